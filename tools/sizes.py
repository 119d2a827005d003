"""Measure parameters, operations and bytes of every model of the zoo, for its table of sizes.

    python tools/sizes.py
    python tools/sizes.py --only "*alexnet*" vgg_small

It builds each model with its default arguments and random weights, converts it as `export` does,
and writes `zoo/sizes.csv`. That takes half an hour for all of them; `--only` keeps the lines of
all other models.
"""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import asdict, fields, replace

from larq_reactnet._files import replacing
from larq_reactnet.converters import compress, convert, cure, fold
from larq_reactnet.profiling import ops
from larq_reactnet.zoo import create, get, list_models
from larq_reactnet.zoo.sizes import TABLE, Size, read

import tensorflow as tf
from tqdm import tqdm

__all__ = ["count", "measure"]


def count(model: tf.keras.Model, name: str) -> Size:
    """What can be counted without exporting the model."""
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
        tflite_bytes=0,
    )


def measure(name: str) -> Size:
    """Build the model called `name` with its default arguments, count, and convert it.

    The steps are those of `export` without its proofs, which do not change the file. The dense
    layers are stored in int8, the smallest type.
    """
    model = create(name)
    flatbuffer = compress(convert(fold(cure(model))), "int8")
    return replace(count(model, name), tflite_bytes=len(flatbuffer))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="models, or patterns of names")
    only = parser.parse_args(arguments).only
    measured = list_models(only or "")
    if not measured:
        parser.error(f"no model is called {' or '.join(only)}")
    rows = {} if only is None else dict(read())
    for name in tqdm(measured, unit="model"):
        tf.keras.backend.clear_session()
        rows[name] = measure(name)
    with replacing(TABLE) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Size)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(rows[name]) for name in list_models() if name in rows)


if __name__ == "__main__":
    main()
