"""What docs/architecture.md says of the house: what is where, and that nothing is shadowed.

Which way imports point is in test_arrows.py.
"""

import ast
import re

import pytest
from doc_pages import PAGES, ROOT
from sources import graph, modules

PAGE = PAGES["architecture.md"]
MODULES = modules()


def tree():
    """The paths in the picture of the house."""
    picture = re.search(r"## The house\n\n```text\n(.*?)```", PAGE, re.DOTALL)[1]
    paths, folder = [], ""
    for line in picture.splitlines():
        indented, name = line.startswith(" "), line.split()[0]
        if not indented:
            folder = name
        paths.append(f"{folder}{name}" if indented else name)
        paths += [f"{folder}{other}" for other in re.findall(r"\b\w+\.py\b", line)[1:]]
    return paths


@pytest.mark.parametrize("path", tree())
def test_path_exists(path):
    found = ROOT / path
    assert found.is_dir() if path.endswith("/") else found.is_file()


def test_every_stage_is_in_the_picture():
    """All modules of converters and all that is public in the library."""
    shown = set(tree())
    missing = {
        str(path.relative_to(ROOT))
        for folder in ("larq_reactnet", "converters")
        for path in (ROOT / folder).glob("[!_]*.py")
    } - shown
    assert not missing


def test_rooms_do_not_know_stages():
    asks_lce = "larq_reactnet.converters._faults.trying"
    for module, imported in graph().items():
        if re.search(r"\.converters\._\w+\.", module) and module != asks_lce:
            stages = {name for name in imported if re.search(r"\.converters\.[a-z]\w*$", name)}
            assert not stages, f"{module} imports {stages}"


def test_modules_have_no_public_names():
    """A module does not have the name of what its package gives out."""
    for package, path in MODULES.items():
        if path.name != "__init__.py":
            continue
        given = {
            alias.asname or alias.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and node.module != package
            for alias in node.names
        }
        shadowed = given & {other.stem for other in path.parent.glob("*.py")}
        assert not shadowed, f"{package}: {shadowed}"
