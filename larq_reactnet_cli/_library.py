"""What the command reads of the library's files without importing it.

Importing `larq_reactnet` imports TensorFlow, which takes seconds. So the modules of the command do
that inside of the functions that need it, and what is only a table is read here.
"""

import ast
import csv
import importlib.util
import json
from pathlib import Path
from typing import Any

__all__ = ["models", "recipes"]


def models() -> list[dict[str, Any]]:
    """A row for each model of the zoo: its size and its pretrained weights."""
    weights: dict[str, dict[str, float | None]] = {}
    for row in _rows("weights/weights.csv"):
        if json.loads(row["options"]).get("include_top", True):
            top1 = float(row["top1"]) if row["top1"] else None
            weights.setdefault(row["model"], {})[row["recipe"] or row["dataset"]] = top1
    return [
        {
            "model": row["model"],
            "paper": row["paper"],
            "year": int(row["year"]),
            "image": int(row["image"]),
            "parameters": int(row["parameters"]),
            "OPs": int(row["bops"]) / 64 + int(row["flops"]),
            ".tflite": int(row["tflite_bytes"]),
            "weights": weights.get(row["model"], {}),
        }
        for row in _rows("sizes.csv")
    ]


def recipes() -> dict[str, str]:
    """The first line of each recipe's docstring, by its name."""
    found = {}
    for path in sorted((_zoo() / "recipes").glob("[!_]*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        found[path.stem] = text.split("\n")[0]
    return found


def _rows(name: str) -> list[dict[str, str]]:
    with (_zoo() / name).open(newline="", encoding="utf-8") as file:
        return [*csv.DictReader(file)]


def _zoo() -> Path:
    """The folder of `larq_reactnet.zoo`: in the package, or beside it in the repository."""
    spec = importlib.util.find_spec("larq_reactnet")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    return next(path for path in (package / "zoo", package.parent / "zoo") if path.is_dir())
