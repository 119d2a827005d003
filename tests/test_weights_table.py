"""The table of pretrained weights in the package, and tables that are wrong."""

import json

import larq_reactnet as lr
from larq_reactnet.zoo import pretrained

import pytest
from weights_tables import COLUMNS, line, table

# The table of the package.

ROWS = pretrained.list_weights()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.model} {row}")
def test_row(row):
    entry = lr.zoo.get(row.model)
    assert row.options.keys() <= entry.arguments.keys()
    assert row.top1 is None or 0 < row.top1 < 100
    if row.location.startswith("http"):
        assert row.location.startswith("https://")
        return
    path = row.file()  # which checks the hash
    assert path.stat().st_size == row.bytes
    assert row.recipe
    assert row.date


def test_no_file_without_a_row():
    names = {path.name for path in pretrained.FOLDER.iterdir()} - {"weights.csv"}
    assert names <= {row.location for row in ROWS}


def test_larq_zoo_is_there():
    assert len([row for row in ROWS if row.source.startswith("Larq Zoo")]) == 28
    row = pretrained.find("quicknet", "imagenet")
    assert row.top1 == 63.3
    assert row.location.endswith("/quicknet-v1.0/quicknet_weights.h5")
    without = pretrained.find("quicknet", "imagenet", include_top=False)
    assert without.location.endswith("_notop.h5")
    assert [row, without] == pretrained.list_weights("quicknet")


# Tables that are wrong.

BAD = {
    "model": ({"model": ""}, "`model` is empty"),
    "licence": ({"licence": ""}, "`licence` is empty"),
    "options": ({"options": "width=2"}, "Expecting value"),
    "options list": ({"options": "[]"}, "not a JSON object"),
    "short hash": ({"sha256": "0" * 63}, "64 hexadecimal digits"),
    "long hash": ({"sha256": "0" * 64 + "\n"}, "64 hexadecimal digits"),
    "top1": ({"top1": "high"}, "could not convert"),
    "bytes": ({"bytes": "1.5"}, "invalid literal"),
    "date": ({"date": "January"}, "isoformat"),
    "folder": ({"location": "../secret.h5"}, "`location` is neither"),
    "path": ({"location": "/etc/passwd"}, "`location` is neither"),
    "scheme": ({"location": "ftp://host/file"}, "`location` is neither"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_row(name, tmp_path):
    cells, match = BAD[name]
    path = table(tmp_path, line(dataset="digits"), line(**cells))
    with pytest.raises(ValueError, match=match) as caught:
        pretrained.read_table(path)
    assert f"{path}, row {cells.get('model', 'bnn_plus_alexnet')} cifar10: " in str(caught.value)


def test_bad_tables(tmp_path):
    path = table(tmp_path, line(), line(location="other.h5"))
    with pytest.raises(ValueError, match="row bnn_plus_alexnet cifar10: there is a row for these"):
        pretrained.read_table(path)
    no_top = json.dumps({"include_top": False})
    assert len(pretrained.read_table(table(tmp_path, line(), line(options=no_top)))) == 2
    for wrong in (line() + ",more", line().rpartition(",")[0]):
        with pytest.raises(ValueError, match="too many or too few columns"):
            pretrained.read_table(table(tmp_path, wrong))
    path.write_text(COLUMNS.replace("licence", "license") + "\n")
    pretrained.read_table.cache_clear()
    with pytest.raises(ValueError, match="must have the columns"):
        pretrained.read_table(path)
