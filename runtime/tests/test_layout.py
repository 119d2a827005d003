"""The rooms of the library's sources: what includes what."""

import re
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[1] / "src"
ROOMS = ["tflite", "graph", "ops", "kernels", "base"]  # a room includes itself and those behind it
FILES = sorted(SOURCES.rglob("*.h")) + sorted(SOURCES.rglob("*.cc"))


def test_every_file_is_in_a_room():
    assert FILES
    assert {path.parent.relative_to(SOURCES).as_posix() for path in FILES} == {*ROOMS}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCES).as_posix())
def test_no_file_includes_one_of_a_room_above(path):
    allowed = ROOMS[ROOMS.index(path.parent.name) :]
    for included in re.findall(r'^#include "(.+)"$', path.read_text(), re.MULTILINE):
        assert (SOURCES / included).is_file(), f"{included} is not a path from src/"
        assert included.split("/")[0] in allowed
