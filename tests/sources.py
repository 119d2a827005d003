"""Where the source files of the library are, and the names under which they are imported."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {
    "larq_reactnet": ROOT / "larq_reactnet",
    "larq_reactnet.zoo": ROOT / "zoo",
    "larq_reactnet.converters": ROOT / "converters",
}


def modules():
    """The file of each module, by the name of the module; of a package, its `__init__.py`."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join([package, *parts]).removesuffix(".__init__")] = path
    return found
