"""What a report needs of a run folder; much of it may be missing."""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from larq_reactnet import zoo
from larq_reactnet._insight.records import Record, read
from larq_reactnet.profiling import Ops, ops
from larq_reactnet.training.runs import Run

__all__ = ["Ran", "read_run"]

_FILES = ("weights.h5", "packed.safetensors", "model.tflite")


@dataclass(frozen=True)
class Ran:
    """A run, as far as it went.

    Attributes:
        name: What it is called on the page.
        run: Its folder.
        content: What `run.json` holds.
        epochs: A row of `history.csv` for each epoch, with `nan` where it has no number.
        insight: What was seen of the binary layers in each epoch; empty if nothing was.
        ops: Its operations, or why they are not known.
        sizes: Bytes of its files.
    """

    name: str
    run: Run
    content: dict[str, Any]
    epochs: list[dict[str, float]]
    insight: list[Record]
    ops: Ops | str
    sizes: dict[str, int]

    @property
    def results(self) -> dict[str, float]:
        """Test loss, test accuracy and hours; empty if the training is not finished."""
        return dict(self.content.get("results", {}))

    @property
    def metrics(self) -> list[str]:
        """The names of the metrics of training images."""
        names = dict.fromkeys(name for row in self.epochs for name in row)
        left_out = ("step", "epoch", "seconds")
        return [name for name in names if name not in left_out and not name.startswith("val_")]

    def values(self, name: str) -> list[float]:
        """A metric of each epoch."""
        return [row.get(name, math.nan) for row in self.epochs]

    def starts(self) -> Iterator[int]:
        """Indices of the epochs with which the steps after the first begin."""
        for index in range(1, len(self.epochs)):
            if self.epochs[index]["step"] != self.epochs[index - 1]["step"]:
                yield index

    def seen(self) -> list[Record | None]:
        """What was seen in each epoch of `epochs`."""
        by_epoch = {(record["step"], record["epoch"]): record for record in self.insight}
        return [by_epoch.get((int(row["step"]), int(row["epoch"]))) for row in self.epochs]


def read_run(folder: Path, name: str) -> Ran:
    """Read a run folder.

    Raises:
        ValueError: If it is not one, or a file in it is corrupt.
    """
    run = Run(folder)
    content = run.read()
    sizes = {file: (folder / file).stat().st_size for file in _FILES if (folder / file).is_file()}
    return Ran(name, run, content, _history(run), read(run.insight), _ops(run, content), sizes)


def _history(run: Run) -> list[dict[str, float]]:
    if not run.history.is_file():
        return []
    try:
        with run.history.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        found = [{key: float(row[key] or "nan") for key in row} for row in rows]
        for row in found:
            int(row["step"]), int(row["epoch"])
        return found
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{run.history} is corrupt: {error!r}.") from error


def _ops(run: Run, content: dict[str, Any]) -> Ops | str:
    arguments = content["arguments"]
    options = {**run.options(), **arguments.get("steps", [{}])[-1].get("options", {})}
    try:
        return ops(zoo.create(arguments["model"], **options))
    except (ValueError, OSError) as error:
        return f"The network cannot be built: {error}"
