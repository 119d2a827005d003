"""The zoo's table of sizes holds what `tools/sizes.py` measures."""

from dataclasses import replace

import larq_reactnet as lr
from larq_reactnet.zoo.sizes import TABLE, read

import pytest
import sizes
from helpers import some

MODELS = lr.zoo.list_models()
# One of each way to build a network.
COUNTED = ("bnn_plus_dorefanet", "mobilenet_v1", "quicknet_small", "reactnet_18", "reactnet_a")


@pytest.mark.slow
@pytest.mark.parametrize("name", some(MODELS, *COUNTED))
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
    monkeypatch.setattr(sizes, "list_models", lambda names="": ["binarynet"])
    sizes.main([])
    written = (tmp_path / "sizes.csv").read_text().splitlines()
    rows = TABLE.read_text().splitlines()
    assert written == [rows[0], *(row for row in rows if row.startswith("binarynet,"))]


def test_help_measures_nothing(monkeypatch, capsys):
    monkeypatch.setattr(sizes, "measure", pytest.fail)
    with pytest.raises(SystemExit, match="0"):
        sizes.main(["--help"])
    assert "--only" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        sizes.main(["--only", "vgg_tiny"])
    assert "no model is called vgg_tiny" in capsys.readouterr().err


def test_other_lines_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(sizes, "TABLE", tmp_path / "sizes.csv")
    monkeypatch.setattr(sizes, "measure", lambda name: replace(read()[name], parameters=7))
    sizes.main(["--only", "vgg*"])
    written = (tmp_path / "sizes.csv").read_text().splitlines()
    before = TABLE.read_text().splitlines()
    changed = [new for new, old in zip(written, before, strict=True) if new != old]
    assert [line.split(",")[:5] for line in changed] == [["vgg_small", "VGG", "2014", "32", "7"]]
