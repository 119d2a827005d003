"""What both packages have: the runtime's copies are those of `make copies`, and run there."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ORIGINALS = ROOT / "converters" / "_shared"
COPIES = ROOT / "runtime" / "python" / "larq_reactnet_runtime" / "_shared"
OTHERS = {"numpy", "PIL"}  # packages that the runtime may import


def files(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.py")}


def test_the_copies_are_equal():
    originals, copies = files(ORIGINALS), files(COPIES)
    assert "metadata.py" in originals
    assert [*sorted(originals)] == [*sorted(copies)], "Run `make copies`."
    different = [name for name in originals if originals[name] != copies[name]]
    assert not different, f"Run `make copies`: the copies of {different} are not the originals."


@pytest.mark.parametrize("path", sorted(ORIGINALS.glob("*.py")), ids=lambda path: path.name)
def test_the_runtime_can_run_them(path):
    """In Python 3.9, with what it installs."""
    source = path.read_text()
    assert source.startswith("# The original is in converters/_shared ")
    for node in ast.walk(ast.parse(source, feature_version=(3, 9))):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            continue  # of this room
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno} imports from outside of the room"
            names = [node.module]
        for name in names:
            top = name.split(".")[0]
            assert top in OTHERS | sys.stdlib_module_names, f"line {node.lineno} imports {name}"
