"""Which part of the library imports which: the arrows point one way, and there is no circle."""

import pytest
from sources import graph, imports

# The parts of the library, and what each of them may import besides itself. "base" are the modules
# that stand in larq_reactnet/ itself, and "front" is its `__init__`, which offers all the others.
MAY_IMPORT = {
    "base": set(),
    "zoo": {"base"},
    "training": {"base", "zoo"},
    "converters": {"base"},
    "front": {"base", "zoo", "training", "converters"},
    "cli": {"base", "zoo", "training", "converters", "front"},
}


def folded(arrows, depth):
    """The same arrows between packages: of each name, only the first `depth` parts are kept."""
    cut = {name: ".".join(name.split(".")[:depth]) for name in arrows}
    found = {short: set() for short in cut.values()}
    for name, targets in arrows.items():
        found[cut[name]] |= {cut[target] for target in targets} - {cut[name]}
    return found


def circle_in(arrows):
    """A circle, as the list of its nodes, or None."""
    finished = set()

    def search(path):
        for target in sorted(arrows[path[-1]]):
            if target in path:
                return path[path.index(target) :]
            if target not in finished and (found := search([*path, target])):
                return found
        finished.add(path[-1])
        return None

    return next(
        (found for name in arrows if name not in finished and (found := search([name]))), None
    )


def part_of(name):
    """The part of the library to which a module belongs."""
    if name == "larq_reactnet":
        return "front"
    if name.split(".")[0] == "larq_reactnet_cli":
        return "cli"
    first = name.split(".")[1]
    return first if first in MAY_IMPORT else "base"


def test_the_arrows_that_the_tests_see(tmp_path):
    known = {"p", "p.a", "p.a.b", "p.c"}
    assert imports("from p.a import b", known) == {"p.a.b"}
    assert imports("from p.a import b, thing", known) == {"p.a", "p.a.b"}
    assert imports("def f():\n    import p.c, numpy", known) == {"p.c"}
    assert imports("if TYPE_CHECKING:\n    from p import c", known) == {"p.c"}
    assert imports("from .b import thing", known, "p.a") == {"p.a.b"}
    assert imports("from . import b", known, "p.a") == {"p.a.b"}
    assert imports("from .. import c", known, "p.a") == {"p.c"}
    assert imports("from ..a.b import thing", known, "p.a") == {"p.a.b"}
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b"}}) == ["b", "c", "d"]
    assert circle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None
    arrows = {"p.a.x": {"p.c"}, "p.c": {"p.a.y"}, "p.a.y": set()}
    assert circle_in(arrows) is None
    assert circle_in(folded(arrows, 2)) == ["p.a", "p.c"]


def test_no_circle_of_modules():
    arrows = graph()
    assert len(arrows) > 80
    assert sum(map(len, arrows.values())) > 200
    assert circle_in(arrows) is None


@pytest.mark.parametrize("depth", [2, 3])
def test_no_circle_of_packages(depth):
    """Neither of packages such as larq_reactnet.zoo, nor of the packages in them."""
    # The front offers everything, and is imported by the command line alone.
    arrows = {name: targets - {"larq_reactnet"} for name, targets in graph().items()}
    del arrows["larq_reactnet"]
    assert circle_in(folded(arrows, depth)) is None


def test_arrows_point_one_way():
    wrong = [
        f"{name} imports {target}"
        for name, targets in sorted(graph().items())
        for target in sorted(targets)
        if part_of(target) not in MAY_IMPORT[part_of(name)] | {part_of(name)}
    ]
    assert wrong == []
