"""The zoo's table of sizes holds what `tools/sizes.py` measures."""

from dataclasses import replace

import larq_reactnet as lr
from larq_reactnet.zoo.sizes import TABLE, read

import pytest
import sizes

MODELS = lr.zoo.list_models()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in MODELS]
)
def test_size_in_the_table(name):
    row = read()[name]
    assert row.tflite_bytes > row.binary_weights / 8
    assert replace(row, tflite_bytes=0) == sizes.count(lr.zoo.create(name), name)


def test_the_table_has_no_other_models():
    assert list(read()) == MODELS


@pytest.mark.slow
def test_table_is_written(tmp_path, monkeypatch):
    """The line of a model is the same as in the package, with the bytes that `export` writes."""
    monkeypatch.setattr(sizes, "TABLE", tmp_path / "sizes.csv")
    monkeypatch.setattr(sizes, "list_models", lambda: ["binarynet"])
    sizes.main()
    written = (tmp_path / "sizes.csv").read_text().splitlines()
    rows = TABLE.read_text().splitlines()
    assert written == [rows[0], *(row for row in rows if row.startswith("binarynet,"))]
