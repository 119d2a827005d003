"""The library and the package are of one version, or nothing runs."""

import re
import subprocess
from pathlib import Path

import pytest
from building import compiler_of

from larq_reactnet_runtime import Interpreter, __version__, _engine, instruction_sets, load_delegate

HERE = Path(__file__).resolve().parent
TINY = HERE / "data" / "tiny.tflite"


def test_versions_are_equal():
    header = (HERE.parent / "src" / "tflite" / "version.h").read_text()
    assert re.search(r'kVersion = "(.*)"', header)[1] == __version__
    assert _engine._loaded().larq_reactnet_runtime_version().decode() == __version__


def test_a_library_of_another_version(monkeypatch):
    monkeypatch.setattr("larq_reactnet_runtime.__version__", "99.0")
    for call in (instruction_sets, load_delegate, lambda: Interpreter(TINY)):
        with pytest.raises(RuntimeError, match=rf"is of version {__version__}, and .* 99"):
            call()


@pytest.mark.skipif(compiler_of("c") is None, reason="no compiler of C for this Linux here")
def test_a_library_that_does_not_tell_its_version(monkeypatch, tmp_path):
    """As those before the first that did."""
    source, path = tmp_path / "old.c", tmp_path / "old.so"
    source.write_text("const char* larq_reactnet_runtime_instruction_sets() { return 0; }")
    subprocess.run([*compiler_of("c"), "-shared", "-fPIC", source, "-o", path], check=True)
    monkeypatch.setattr(_engine, "library_path", lambda: path)
    with pytest.raises(RuntimeError, match="is of version older, and the package"):
        instruction_sets()


def test_what_is_no_library(monkeypatch, tmp_path):
    path = tmp_path / "no.so"
    path.write_bytes(b"\x7fELF for another machine")
    monkeypatch.setattr(_engine, "library_path", lambda: path)
    with pytest.raises(RuntimeError, match=r"cannot be loaded: .*install|Install"):
        load_delegate()
