"""Pretrained weights: what `weights="cifar10"` of a constructor means.

`weights/weights.csv` has a row for each file:

| column | content |
| --- | --- |
| `model` | name of the model in the registry |
| `dataset` | what `weights=` must be to get the file |
| `options` | arguments of the constructor that the file needs, other than the defaults, as JSON |
| `recipe` | how the weights were trained: the name of a file in `recipes/` |
| `commit`, `seed`, `hardware` | commit of the sources, seed, and the machine of the training |
| `top1`, `date` | accuracy on the test set after the last epoch, in percent, and its date |
| `bytes`, `sha256` | size, if known, and hash of the file |
| `location` | name of a file in `weights/`, or the address from which it is downloaded |
| `licence`, `source` | licence of the weights, and where they come from |
"""

import csv
import datetime
import functools
import json
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from larq_reactnet._fitting import has_classifier
from larq_reactnet._names import did_you_mean
from larq_reactnet._run_folder import RunFolder
from larq_reactnet.weights_files import OtherHeadError, load_weights
from larq_reactnet.zoo._download import fetch, found

import pooch
import tensorflow as tf

__all__ = [
    "FOLDER",
    "Weights",
    "by_recipe",
    "exists",
    "find",
    "list_weights",
    "load",
    "options_of",
    "read_table",
    "say",
]

FOLDER = Path(__file__).with_name("weights")


@dataclass(frozen=True)
class Weights:
    """A row of the table. What is not known is `None` or empty."""

    model: str
    dataset: str
    options: dict[str, Any]
    recipe: str
    commit: str
    seed: int | None
    hardware: str
    top1: float | None
    date: str
    bytes: int | None
    sha256: str
    location: str
    licence: str
    source: str

    def __str__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"{self.dataset!r}" + (f" with {options}" if options else "")

    @property
    def include_top(self) -> bool:
        """Whether the file has the weights of the classifier."""
        return bool(self.options.get("include_top", True))

    def place(self) -> str:
        """Where the file is: in the package, here, or to be downloaded."""
        if not _is_address(self.location):
            return "in the package"
        path = found(self.location, self.sha256)
        return f"to download from {self.location}" if path is None else str(path)

    def file(self, output: Path | None = None) -> Path:
        """The path of the file, which is downloaded if it is neither in the package nor cached.

        Args:
            output: Folder into which a file that is not in the package is copied.

        Raises:
            ValueError: If the file in the package is not the one it should be.
            OSError: If there is no such file, or it cannot be downloaded.
        """
        if _is_address(self.location):
            return fetch(self.location, self.sha256, output)
        path = FOLDER / self.location
        if not path.is_file():
            raise FileNotFoundError(f"There is no file {path}: install larq_reactnet again.")
        found = pooch.file_hash(path)
        if found != self.sha256:
            raise ValueError(
                f"{path} is corrupt: its SHA-256 is {found} instead of {self.sha256}. Install "
                "larq_reactnet again."
            )
        return path


def list_weights(model: str | None = None) -> list[Weights]:
    """The rows of the table, or those of one model."""
    return [row for row in read_table(FOLDER / "weights.csv") if model in (None, row.model)]


def by_recipe(name: str) -> Weights | None:
    """The row of the weights that the recipe called `name` made, if there are any."""
    return next((row for row in list_weights() if name and row.recipe == name), None)


def find(model: str, dataset: str, *, include_top: bool = True) -> Weights:
    """The row of a model that was trained on `dataset`, or by the recipe of that name.

    Without the top, it is that of a file of its own, if there is one, or else of the whole network.

    Raises:
        ValueError: If there is none; the message lists what there is for the model.
    """
    rows = list_weights(model)
    row = _find(rows, dataset, include_top)
    if row is not None:
        return row
    if not rows:
        raise ValueError(
            f"There are no pretrained weights for {model} yet, but for "
            f"{', '.join(sorted({row.model for row in list_weights()}))}."
        )
    names = {name for row in rows for name in (row.dataset, row.recipe) if name}
    shown = [str(row) for row in rows if row.include_top]
    raise ValueError(
        f"There are no {dataset!r} weights for {model}{did_you_mean(dataset, sorted(names), shown)}"
    )


def options_of(
    model: str, weights: str | os.PathLike[str] | None, *, include_top: bool = True
) -> dict[str, Any]:
    """The arguments of the constructor that the weights need, none for files.

    Args:
        model: Name of the model in the registry.
        weights: As for the constructor.
        include_top: As for the constructor.

    Raises:
        ValueError: If `weights` is the folder of a run of another model.
    """
    row = _find(list_weights(model), weights, include_top)
    if row is not None:
        return row.options
    if not weights or not os.path.isdir(weights):
        return {}
    run = RunFolder(Path(weights))
    trained = run.read()["arguments"]["model"]
    if trained != model:
        raise ValueError(f"{weights} is a run of {trained}, not of {model}.")
    return run.options()


def exists(model: str, weights: str | os.PathLike[str]) -> bool:
    """Whether `weights` names weights of the table, a file or a folder."""
    return _find(list_weights(model), weights, True) is not None or os.path.exists(weights)


def _find(
    rows: Iterable[Weights], weights: str | os.PathLike[str] | None, include_top: bool
) -> Weights | None:
    """The row that `weights` names: the first, if there are several for a data set."""
    named = [row for row in rows if weights and weights in (row.dataset, row.recipe)]
    whole = [row for row in named if row.include_top]
    without = [row for row in named if not row.include_top]
    return next(iter(whole if include_top else without + whole), None)


def load(
    model: tf.keras.Model,
    weights: str | os.PathLike[str],
    name: str,
    *,
    other_head: bool = False,
) -> None:
    """Load pretrained weights, or a file, into a model of the zoo.

    Args:
        model: Model to load them into. If it has no head, or another one and `other_head` is set,
            a line on stderr says what was left out.
        weights: A `dataset` or `recipe` of the table, or else the path of a file that
            `save_weights` (`.h5`) or `save_packed` wrote, or of the folder of a run.
        name: Name of the model in the registry.
        other_head: Whether the model may be for another number of classes. Its last layer then
            keeps the weights that it has.

    Raises:
        ValueError: If there is neither, or the weights do not fit; nothing is loaded then.
        OSError: If the file cannot be read or downloaded.
    """
    weights = os.fspath(weights)
    include_top = has_classifier(model)
    other_head = other_head or not include_top
    is_known = _find(list_weights(name), weights, include_top) is not None
    path, origin = Path(weights), ""
    if not is_known and path.is_dir() and RunFolder(path).exists():
        path = RunFolder(path).trained_weights()
    elif is_known or not path.is_file():
        try:
            row = find(name, weights, include_top=include_top)
        except ValueError as error:
            reason = f"`weights` must be None, the path of a file or a name, got {weights!r}."
            raise ValueError(f"{reason} {error}") from None
        path = row.file()
        origin = f"These weights of {name} are for {row}, and the default for all other arguments. "
    try:
        left_out = load_weights(model, path, other_head=other_head)
    except OtherHeadError as error:
        raise ValueError(
            f"{origin}{error}\nSay in `num_classes` how many classes the weights have, or another "
            "number for a new last layer."
        ) from error
    except ValueError as error:
        raise ValueError(f"{origin}{error}") from error
    if left_out:
        say(name, weights, left_out)


def say(name: str, weights: str, left_out: str) -> None:
    """Say on stderr what was left out when `weights` were loaded, in one line."""
    print(f"{name}: the weights {weights!r} were loaded {left_out}.", file=sys.stderr)


@functools.cache
def read_table(path: Path) -> tuple[Weights, ...]:
    """The rows of a table.

    Raises:
        ValueError: If a row is not as it should be; the message says which.
    """
    rows: dict[tuple[str, str, str, bool], Weights] = {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        columns = [field.name for field in fields(Weights)]
        if reader.fieldnames != columns:
            raise ValueError(f"{path} must have the columns {columns}, not {reader.fieldnames}.")
        for cells in reader:
            try:
                row = _row(cells)
                key = (row.model, row.dataset, row.recipe, row.include_top)
                if key in rows:
                    raise ValueError("there is a row for these already")
            except (TypeError, ValueError) as error:
                row_name = f"{cells['model']} {cells['dataset']}"
                raise ValueError(f"{path}, row {row_name}: {error}.") from error
            rows[key] = row
    return tuple(rows.values())


def _row(cells: dict[str, Any]) -> Weights:
    """The row that is written in `cells`."""
    if None in cells or None in cells.values():
        raise ValueError("it has too many or too few columns")
    for column in ("model", "dataset", "licence", "source"):
        if not cells[column]:
            raise ValueError(f"`{column}` is empty")
    if not isinstance(options := json.loads(cells["options"]), dict):
        raise ValueError(f"`options` is not a JSON object: {cells['options']}")
    if not re.fullmatch("[0-9a-f]{64}", cells["sha256"]):
        raise ValueError("`sha256` does not have 64 hexadecimal digits")
    location = cells["location"]
    if not _is_address(location) and not re.fullmatch(r"\w[\w.-]*", location):
        raise ValueError(f"`location` is neither an address nor the name of a file: {location}")
    if cells["date"]:
        datetime.date.fromisoformat(cells["date"])
    numbers = {
        "options": options,
        "seed": int(cells["seed"]) if cells["seed"] else None,
        "top1": float(cells["top1"]) if cells["top1"] else None,
        "bytes": int(cells["bytes"]) if cells["bytes"] else None,
    }
    return Weights(**{**cells, **numbers})


def _is_address(location: str) -> bool:
    return location.startswith(("https://", "http://"))
