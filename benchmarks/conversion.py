"""Seconds to convert: `converters.convert` against LCE's own `convert_keras_model`.

Both run alternately on the same model. Reported are the median of the ratios, and whether the two
files give the same outputs to the last bit.

    python benchmarks/conversion.py --json conversion.json
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import larq_reactnet as lr

import larq_compute_engine as lce
import numpy as np
import tensorflow as tf
from tabulate import tabulate


def seconds(function: Callable[[tf.keras.Model], bytes], model: tf.keras.Model) -> float:
    """Time of one conversion."""
    began = time.perf_counter()
    function(model)
    return time.perf_counter() - began


def benchmark(model: tf.keras.Model, rounds: int) -> dict[str, float | bool]:
    """Time both ways alternately."""
    ways = {"larq_reactnet": lr.converters.convert, "LCE alone": lce.convert_keras_model}
    times = [[seconds(way, model) for way in ways.values()] for _ in range(rounds)]
    inputs = np.random.default_rng(0).normal(size=(4, *model.input_shape[1:])).astype(np.float32)
    outputs = [
        lr.converters.predict_tflite(way(model), inputs, progress=False) for way in ways.values()
    ]
    medians = [statistics.median(column) for column in zip(*times, strict=True)]
    return {
        **{f"seconds, {name}": median for name, median in zip(ways, medians, strict=True)},
        "median ratio": statistics.median(theirs / ours for ours, theirs in times),
        "same outputs": bool(np.array_equal(*outputs)),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="reactnet_a")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    args = parser.parse_args()
    entry = lr.zoo.get(args.model)
    small = lr.zoo.create(args.model, input_shape=(32, 32, 3), num_classes=10, **entry.small)
    result = benchmark(small, args.rounds)
    print(tabulate(result.items(), floatfmt=".3f"))
    if args.json:
        args.json.write_text(json.dumps({**vars(args), **result}, indent=1, default=str))
