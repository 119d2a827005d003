"""What the shared library exports: functions with C names, and nothing else."""

import shutil
import subprocess
import sys

import pytest

from larq_reactnet_runtime import instruction_sets, library_path, load_delegate

EXPORTED = {
    "tflite_plugin_create_delegate",
    "tflite_plugin_destroy_delegate",
    "larq_reactnet_runtime_instruction_sets",
    "larq_reactnet_runtime_version",
    "Java_larqreactnet_RuntimeDelegate_create",
    "Java_larqreactnet_RuntimeDelegate_destroy",
}


def test_nothing_else_is_exported():
    """Templates of the standard library, say, would be mixed up with those of TensorFlow."""
    if not sys.platform.startswith("linux") or shutil.which("nm") is None:
        pytest.skip("nm, which lists the symbols of a library on Linux, is not here")
    command = ["nm", "--dynamic", "--defined-only", "--format=posix", str(library_path())]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {line.split()[0] for line in lines} == EXPORTED


def test_every_instruction_set_can_be_chosen():
    names = instruction_sets()
    assert names[-1] == "portable"
    assert len(set(names)) == len(names)
    for name in names:
        load_delegate(isa=name)
    with pytest.raises(ValueError, match=f"one of auto, {', '.join(names)} on this machine"):
        load_delegate(isa="abacus")


def test_instruction_sets_need_no_interpreter(monkeypatch):
    expected = instruction_sets()
    for name in ("ai_edge_litert", "tflite_runtime", "tensorflow"):
        monkeypatch.setitem(sys.modules, name, None)
    assert instruction_sets() == expected
