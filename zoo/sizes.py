"""Paper, parameters, operations and bytes of every model at its default arguments, as a table.

Converting all models takes half an hour, so the numbers are kept in `sizes.csv`, beside this
file. The repository's `tools/sizes.py` measures them anew, and its tests compare the two. The
command `larq-reactnet models` reads the table without this module, which would import TensorFlow.
"""

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

__all__ = ["TABLE", "Size", "read"]

TABLE = Path(__file__).parent / "sizes.csv"


@dataclass(frozen=True)
class Size:
    """A row of the table.

    Attributes:
        model: Name in the registry.
        paper: Where the architecture comes from.
        year: Year of the paper.
        image: Height and width of the images.
        parameters: Number of all weights, as `model.count_params` counts them.
        binary_weights: Number of those that need one bit.
        bops: See `profiling.Ops`.
        flops: See `profiling.Ops`.
        tflite_bytes: Size of the `.tflite` that `converters.export` writes if the outputs allow it
            to store the last dense layers in int8.
    """

    model: str
    paper: str
    year: int
    image: int
    parameters: int
    binary_weights: int
    bops: int
    flops: int
    tflite_bytes: int

    @property
    def ops(self) -> float:
        """BOPs / 64 + FLOPs."""
        return self.bops / 64 + self.flops


@lru_cache
def read() -> dict[str, Size]:
    """The table, by name of the model."""
    with TABLE.open(newline="") as file:
        return {row["model"]: _size(row) for row in csv.DictReader(file)}


def _size(row: dict[str, str]) -> Size:
    texts = {"model": row.pop("model"), "paper": row.pop("paper")}
    numbers = {name: int(number) for name, number in row.items()}
    return Size(**texts, **numbers)  # type: ignore[arg-type]
