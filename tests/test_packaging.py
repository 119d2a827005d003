"""What is in a wheel: the packages under their names, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_wheel(tmp_path):
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(tmp_path)]
    command = [sys.executable, "-m", "pip", "wheel", *options, str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    for folder, package in (("larq_reactnet", ""), ("zoo", "zoo/"), ("converters", "converters/")):
        for path in (ROOT / folder).glob("*.py"):
            assert f"larq_reactnet/{package}{path.name}" in names
    assert "larq_reactnet/py.typed" in names
    assert "larq_reactnet/zoo/sizes.csv" in names
    for path in (ROOT / "zoo" / "weights").iterdir():
        assert f"larq_reactnet/zoo/weights/{path.name}" in names
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert top == {"larq_reactnet"}
    for requirement in ("tensorflow", "larq", "larq-zoo", "larq-compute-engine", "tf-keras"):
        assert f"Requires-Dist: {requirement}" in metadata
