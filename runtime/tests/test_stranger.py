"""An interpreter whose structs are not those of TensorFlow Lite is refused, not read wrongly."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from building import compiler_of

from larq_reactnet_runtime import library_path

SOURCE = Path(__file__).resolve().parent / "abi" / "stranger.cc"
CHANGES = re.findall(r"#define (CHANGE_\w+)", SOURCE.read_text())
KNOWN = {"CHANGE_NONE", "CHANGE_ENDS"}
COMPILER = compiler_of("c++")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no compiler of C++ for this Linux here")


@pytest.mark.parametrize("change", CHANGES)
def test_interpreter(change, tmp_path):
    program = tmp_path / "stranger"
    command = [*COMPILER, "-std=c++17", f"-DCHANGE={change}", SOURCE, "-o", program, "-ldl"]
    subprocess.run(command, check=True)
    library = os.environ.get("LARQ_REACTNET_LIBRARY", library_path())
    done = subprocess.run([program, library], capture_output=True, text=True, check=False)
    if change in KNOWN:
        assert (done.returncode, done.stdout, done.stderr) == (0, "claims 1\n", "")
        return
    assert done.returncode == 1
    assert "does not know the structs of this interpreter" in done.stdout + done.stderr
    assert "claims" not in done.stdout
