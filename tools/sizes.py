"""Measure parameters, operations and bytes of every model of the zoo, for its table of sizes.

    python tools/sizes.py

It builds each model with its default arguments, which takes more than a minute for all of them, and
writes `zoo/sizes.csv`.
"""

import csv
from dataclasses import asdict, fields

from larq_reactnet._files import replacing
from larq_reactnet.profiling import ops
from larq_reactnet.zoo import create, get, list_models
from larq_reactnet.zoo.sizes import TABLE, Size

import tensorflow as tf
from tqdm import tqdm

__all__ = ["measure"]


def measure(name: str) -> Size:
    """Build the model called `name` with its default arguments, and count."""
    model = create(name)
    found, entry = ops(model), get(name)
    return Size(
        model=name,
        paper=entry.paper,
        year=entry.year,
        image=model.input_shape[1],
        parameters=model.count_params(),
        binary_weights=found.binary_weights,
        bops=found.bops,
        flops=found.flops,
        deployed_bytes=found.deployed_bytes,
    )


def main() -> None:
    """Write the table."""
    with replacing(TABLE) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Size)], lineterminator="\n")
        writer.writeheader()
        for name in tqdm(list_models(), unit="model"):
            tf.keras.backend.clear_session()
            writer.writerow(asdict(measure(name)))


if __name__ == "__main__":
    main()
