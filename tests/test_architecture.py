"""What docs/architecture.md says of the house: what is where, and which way imports point."""

import ast
import configparser
import graphlib
import re

import pytest
from doc_pages import PAGES, ROOT

PAGE = PAGES["architecture.md"]
# What each part may import of the others. Files directly in larq_reactnet are the library.
MAY_IMPORT = {
    "library": {"library"},
    "zoo": {"library", "zoo"},
    "training": {"library", "zoo", "training"},
    "converters": {"library", "converters"},
    "cli": {"library", "zoo", "training", "converters", "cli"},
}


def packages():
    """The folder of each package, by its name."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    elsewhere = dict(
        re.split(r"\s*=\s*", line) for line in setup["options"]["package_dir"].split("\n") if line
    )
    names = setup["options"]["packages"].split()
    return {name: ROOT / elsewhere.get(name, name.replace(".", "/")) for name in names}


def modules():
    """The file of each module, by its dotted name."""
    found = {}
    for package, folder in packages().items():
        for path in folder.glob("*.py"):
            found[package if path.stem == "__init__" else f"{package}.{path.stem}"] = path
    return found


MODULES = modules()


def part_of(module):
    part = module.split(".")[1] if "." in module else "larq_reactnet"
    return part if part in MAY_IMPORT else "library"


def is_for_types(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports_of(module):
    """The modules of this project that a module imports, anywhere in its file."""
    found, left = set(), [ast.parse(MODULES[module].read_text())]
    while left:
        node = left.pop()
        if is_for_types(node):
            continue
        left += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found.add(name if name in MODULES else node.module)
    return {name for name in found if name in MODULES} - {module}


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


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module):
    if module == "larq_reactnet":
        return  # it gives out all parts, the upper ones on first use
    others = {part_of(name) for name in imports_of(module) if name != "larq_reactnet"}
    assert others <= MAY_IMPORT[part_of(module)]
    assert "larq_reactnet" not in imports_of(module) or part_of(module) in ("cli", "training")


def test_no_circles():
    graph = {module: imports_of(module) for module in MODULES}
    graph["larq_reactnet"] = set()
    # A package gives out what its modules define; they do not import it in turn.
    list(graphlib.TopologicalSorter(graph).static_order())


def test_rooms_do_not_know_stages():
    asks_lce = "larq_reactnet.converters._faults.signs"
    for module in MODULES:
        if re.search(r"\.converters\._\w+\.", module) and module != asks_lce:
            stages = {
                name for name in imports_of(module) if re.search(r"\.converters\.[a-z]\w*$", name)
            }
            assert not stages, f"{module} imports {stages}"


def test_modules_have_no_public_names():
    """A module does not have the name of what its package gives out."""
    for package, folder in packages().items():
        source = ast.parse((folder / "__init__.py").read_text())
        given = {
            alias.asname or alias.name
            for node in ast.walk(source)
            if isinstance(node, ast.ImportFrom) and node.module != package
            for alias in node.names
        }
        shadowed = given & {path.stem for path in folder.glob("*.py")}
        assert not shadowed, f"{package}: {shadowed}"
