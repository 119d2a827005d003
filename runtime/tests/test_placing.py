"""What `info` says of where operators run, and that it is so."""

from collections import Counter
from pathlib import Path

import pytest

from larq_reactnet_runtime import Interpreter, instruction_sets
from larq_reactnet_runtime._shared.model import read
from larq_reactnet_runtime.cli import main
from larq_reactnet_runtime.placing import places, summary

TINY = Path(__file__).parent / "data" / "tiny.tflite"


@pytest.mark.parametrize("isa", instruction_sets())
def test_every_operator_has_its_place(isa):
    found = places(TINY, isa=isa)
    nodes = read(TINY.read_bytes()).nodes
    assert [place.name for place in found] == [node.name for node in nodes]
    assert [place.number for place in found] == [*range(len(nodes))]
    for place in found:
        if place.name.startswith("Lce"):
            assert place.kernel == isa
        if place.inside is not None:
            assert found[place.inside].name == "LceBconv2d"
            assert place.inside < place.number
            assert place.kernel
    joined = Counter(place.name for place in found if place.inside is not None)
    assert joined == {"ADD": 1, "PRELU": 1, "LceQuantize": 2}
    left = {place.name for place in found if not place.kernel}
    assert left == {"CONV_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX"}


def test_what_xnnpack_has_is_what_the_interpreter_gave_it():
    """All float operators of this file, where the interpreter tells."""
    interpreter = Interpreter(TINY)._interpreter
    if not hasattr(interpreter, "_get_ops_details"):
        pytest.skip("this interpreter does not tell what it runs")
    there = sum(detail["op_name"] == "DELEGATE" for detail in interpreter._get_ops_details())
    found = places(TINY)
    ours = sum(place.name == "LceBconv2d" for place in found)
    assert any(place.by_xnnpack for place in found) == (there > ours + 1)  # and one LceQuantize
    assert not any(place.by_xnnpack and place.kernel for place in found)


def test_command(capsys):
    assert main(["info", str(TINY), "--operators"]) == 0
    out = capsys.readouterr().out
    rows = dict(line.split(maxsplit=1) for line in out.splitlines())
    best = places(TINY)[1].kernel
    assert rows["kernel"] == f"3 LceBconv2d in {best}, 1 LceQuantize in {best}"
    assert rows["joined"] == "2 LceQuantize, 1 ADD, 1 PRELU"
    assert rows["1"].split() == ["LceQuantize", best]
    assert rows["3"].split(maxsplit=1)[1].strip() == f"{best}, within 2"
    for title, text in summary(places(TINY)):
        assert rows[title] == text


def test_a_file_that_does_not_run_says_why(tmp_path, capsys):
    path = tmp_path / "other.tflite"
    path.write_bytes(TINY.read_bytes().replace(b"LceBconv2d", b"LceBconv2x"))
    assert main(["info", str(path), "--operators"]) == 0
    out = capsys.readouterr().out
    assert "not runnable" in out
    assert "kernel" not in out
