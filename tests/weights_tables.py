"""Writes tables of pretrained weights for tests."""

import json

from larq_reactnet.zoo import pretrained

COLUMNS = (
    "model,dataset,options,recipe,commit,seed,hardware,top1,date,bytes,sha256,location,"
    "licence,source"
)
OPTIONS = {"width": 0.125}


def line(**cells):
    """A row of a table."""
    row = {
        "model": "bnn_plus_alexnet",
        "dataset": "cifar10",
        "options": json.dumps(OPTIONS),
        "recipe": "cifar10_bnn_plus",
        "commit": "0" * 40,
        "seed": "0",
        "hardware": "a test",
        "top1": "87.5",
        "date": "2026-01-31",
        "bytes": "1000",
        "sha256": "0" * 64,
        "location": "weights.safetensors",
        "licence": "Apache-2.0",
        "source": "a test",
        **cells,
    }
    return ",".join('"' + row[column].replace('"', '""') + '"' for column in COLUMNS.split(","))


def table(folder, *lines):
    path = folder / "weights.csv"
    path.write_text("\n".join([COLUMNS, *lines]) + "\n")
    pretrained.read_table.cache_clear()
    return path
