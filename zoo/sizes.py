"""Parameters, operations and bytes of every model at its default arguments, as a table.

Exporting all models takes half an hour, so the numbers are kept in `sizes.csv`, beside this
file. The repository's `tools/sizes.py` measures them anew, and its tests compare the two.
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
        image: Height and width of the images.
        parameters: Number of all weights, as `model.count_params` counts them.
        binary_weights: Number of those that need one bit.
        bops: See `profiling.Ops`.
        flops: See `profiling.Ops`.
        tflite_bytes: Size of the `.tflite` that `converters.export` writes if the outputs allow it
            to store the last dense layers in int8.
    """

    model: str
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
        rows = [(row.pop("model"), row) for row in csv.DictReader(file)]
    return {name: Size(name, **{key: int(row[key]) for key in row}) for name, row in rows}
