"""The source files of the library, the names under which they are imported, and what they import.

Imports are read from the source text, those inside of functions too. What is imported only for type
checkers counts as well, because a reader follows it like any other.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {
    "larq_reactnet": ROOT / "larq_reactnet",
    "larq_reactnet.zoo": ROOT / "zoo",
    "larq_reactnet.converters": ROOT / "converters",
    "larq_reactnet_cli": ROOT / "larq_reactnet_cli",
}


def modules():
    """The file of each module, by the name of the module; of a package, its `__init__.py`."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join([package, *parts]).removesuffix(".__init__")] = path
    return found


def imports(source, known, package=""):
    """The modules of `known` that the text of a module in `package` imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            module = ".".join([*above, node.module] if node.module else above)
            names = {f"{module}.{alias.name}" for alias in node.names}
            submodules = names & known
            found |= submodules
            if submodules != names:  # something else is taken from the module itself
                found.add(module)
    return found & known


def graph():
    """What each module imports."""
    files = modules()
    found = {}
    for name, path in files.items():
        package = name if path.stem == "__init__" else name.rpartition(".")[0]
        found[name] = imports(path.read_text(), files.keys(), package)
    return found
