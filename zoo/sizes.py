"""Parameters, operations and bytes of every model at its default arguments, as a table.

Building all models takes more than a minute, so the numbers are kept in `sizes.csv`, beside this
file. `python -m larq_reactnet.zoo.sizes` measures them anew; the tests compare them with what they
measure.
"""

import csv
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path

from larq_reactnet._files import replacing
from larq_reactnet.profiling import ops
from larq_reactnet.zoo.registry import create, list_models

import tensorflow as tf
from tqdm import tqdm

__all__ = ["Size", "measure", "read"]

_TABLE = Path(__file__).parent / "sizes.csv"


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
        deployed_bytes: See `profiling.Ops`.
    """

    model: str
    image: int
    parameters: int
    binary_weights: int
    bops: int
    flops: int
    deployed_bytes: int

    @property
    def ops(self) -> float:
        """BOPs / 64 + FLOPs."""
        return self.bops / 64 + self.flops


def measure(name: str) -> Size:
    """Build the model called `name` with its default arguments, and count."""
    model = create(name)
    found = ops(model)
    return Size(
        model=name,
        image=model.input_shape[1],
        parameters=model.count_params(),
        binary_weights=found.binary_weights,
        bops=found.bops,
        flops=found.flops,
        deployed_bytes=found.deployed_bytes,
    )


@lru_cache
def read() -> dict[str, Size]:
    """The table, by name of the model."""
    with _TABLE.open(newline="") as file:
        rows = [(row.pop("model"), row) for row in csv.DictReader(file)]
    return {name: Size(name, **{key: int(row[key]) for key in row}) for name, row in rows}


def _write() -> None:
    with replacing(_TABLE) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Size)], lineterminator="\n")
        writer.writeheader()
        for name in tqdm(list_models(), unit="model"):
            tf.keras.backend.clear_session()
            writer.writerow(asdict(measure(name)))


if __name__ == "__main__":
    _write()
