"""The profile of the operators, and the library's other options in Python."""

import csv
from pathlib import Path

import numpy as np
import pytest

from larq_reactnet_runtime import Interpreter, instruction_sets

DATA = Path(__file__).parent / "data"
RUNS = 3


@pytest.fixture(scope="module")
def images():
    with np.load(DATA / "batch.npz") as batch:
        return next(iter(batch.values()))[:1].astype(np.float32)


def profile(path, images, **options):
    interpreter = Interpreter(DATA / "tiny.tflite", profile=path, **options)
    outputs = [interpreter.predict(images) for _ in range(RUNS)]
    assert not path.exists()
    del interpreter
    with path.open() as file:
        return outputs[0], list(csv.DictReader(file))


@pytest.mark.parametrize("fuse", [False, True])
@pytest.mark.parametrize("isa", instruction_sets())
def test_profile(tmp_path, images, isa, fuse):
    outputs, rows = profile(tmp_path / "profile.csv", images, isa=isa, fuse=fuse)
    np.testing.assert_array_equal(outputs, Interpreter(DATA / "tiny.tflite").predict(images))
    convolutions = [row for row in rows if row["operator"].startswith("LceBconv2d")]
    assert convolutions
    for row in rows:
        assert int(row["runs"]) == RUNS
        assert 0 < int(row["fastest_ns"]) * RUNS <= int(row["total_ns"])
    for row in convolutions:
        window = row["operator"].split()[1].split("/")[0]
        height, width = map(int, window.split("x"))
        output = np.prod([int(size) for size in row["output"].split("x")])
        products = int(row["products"])
        assert products > 0
        assert products % (output * height * width) == 0
    joined = [row for row in convolutions if len(row["operator"].split()) > 2]
    assert bool(joined) == fuse


def test_a_profile_that_cannot_be_written(tmp_path, images, capfd):
    path = tmp_path / "missing" / "profile.csv"
    interpreter = Interpreter(DATA / "tiny.tflite", profile=path)
    interpreter.predict(images)
    del interpreter
    assert f"the profile cannot be written to {path}" in capfd.readouterr().err
