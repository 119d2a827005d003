"""What is in a wheel: the packages under their names, and nothing else."""

import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from sources import ROOT, modules

# What a build or a run leaves behind, and the other distribution.
LEFT_OUT = (".*", "__pycache__", "*.egg-info", "build", "demo", "dist", "runs", "runtime")


def packages():
    """The folder of each package, relative to the root."""
    files = modules().items()
    return {name: path.parent.relative_to(ROOT) for name, path in files if path.stem == "__init__"}


def data():
    """The names in the wheel of all files that are not Python."""
    zoo = ROOT / "zoo"
    names = {f"larq_reactnet/zoo/weights/{path.name}" for path in (zoo / "weights").iterdir()}
    for folder in ("kernels", "project"):
        files = (ROOT / "converters" / "_c" / folder).iterdir()
        names |= {f"larq_reactnet/converters/_c/{folder}/{path.name}" for path in files}
    return {"larq_reactnet/py.typed", "larq_reactnet/zoo/sizes.csv", *names}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of a copy, because setuptools would add what it once built in the original."""
    source, target = tmp_path_factory.mktemp("source") / "source", tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*LEFT_OUT))
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(target)]
    command = [sys.executable, "-m", "pip", "wheel", *options, str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = target.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_setup_cfg_lists_every_package():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    found = packages()
    assert {"larq_reactnet.training", "larq_reactnet.zoo.recipes"} < found.keys()
    assert sorted(config["options"]["packages"].split()) == sorted(found)
    lines = config["options"]["package_dir"].strip().splitlines()
    elsewhere = {name: str(path) for name, path in found.items() if path != Path(*name.split("."))}
    assert dict(line.split(" = ") for line in lines) == elsewhere


def test_files(wheel):
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    own = {
        f"{package.replace('.', '/')}/{path.name}"
        for package, folder in packages().items()
        for path in (ROOT / folder).glob("*.py")
    }
    assert names == own | data()
    # What is in tools/ is for the repository alone.
    assert (ROOT / "tools" / "ship.py").is_file()
    assert not [name for name in names if "tools" in name or name.endswith("/ship.py")]


def test_requirements(wheel):
    name = next(name for name in wheel.namelist() if name.endswith("METADATA"))
    metadata = wheel.read(name).decode()
    for requirement in ("tensorflow", "larq", "larq-zoo", "larq-compute-engine", "tf-keras"):
        assert f"Requires-Dist: {requirement}" in metadata
