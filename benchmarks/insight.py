"""What `callbacks.BinaryInsight` costs: the time of `model.fit` with it over the time without it.

The same epoch is trained alternately with and without the callback, with TensorBoard's summaries
and a file, as `larq-reactnet train` does. Reported is the median of the ratios of each pair, of the
time that passes and of the time of the processor, which other programs disturb less; the goal is at
most 1.05.

    python benchmarks/insight.py --json insight.json
    python benchmarks/insight.py --model reactnet_18 --size 32 --batch-size 128 --steps 20
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import larq_reactnet as lr

import numpy as np
import tensorflow as tf
from tabulate import tabulate


def seconds(
    model: tf.keras.Model, data: tf.data.Dataset, folder: Path | None
) -> tuple[float, float]:
    """How long an epoch of `model.fit` takes, with the callback if there is a folder for it.

    Returns:
        The time that passes and the time of the processor, in seconds.
    """
    callbacks = []
    if folder is not None:
        options = {"path": folder / "insight.jsonl", "log_dir": folder / "logs"}
        callbacks = [lr.callbacks.BinaryInsight(print_fn=None, **options)]
    clocks = (time.perf_counter, time.process_time)
    began = [clock() for clock in clocks]
    model.fit(data, epochs=1, verbose=0, callbacks=callbacks)
    passed, used = (clock() - start for clock, start in zip(clocks, began, strict=True))
    return passed, used


def benchmark(args: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Time an epoch alternately with and without the callback."""
    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    options = json.loads(args.options)
    model = lr.zoo.create(
        args.model, input_shape=(args.size, args.size, 3), num_classes=10, **options
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    images = args.steps * args.batch_size
    rng = np.random.default_rng(0)
    x = rng.normal(size=(images, args.size, args.size, 3)).astype(np.float32)
    data = tf.data.Dataset.from_tensor_slices((x, rng.integers(0, 10, images)))
    data = data.batch(args.batch_size)
    times: dict[str, list[tuple[float, float]]] = {"without": [], "with": []}
    for round_ in range(-1, args.rounds):  # the first one traces the graphs
        for name, where in (("without", None), ("with", folder)):
            found = seconds(model, data, where)
            if round_ >= 0:
                times[name].append(found)
    result = {
        f"seconds of an epoch {name} it": statistics.median(passed for passed, _ in values)
        for name, values in times.items()
    }
    for index, clock in enumerate(("", ", of the processor")):
        pairs = zip(times["without"], times["with"], strict=True)
        ratios = [watched[index] / plain[index] for plain, watched in pairs]
        result |= {
            f"median ratio{clock}": statistics.median(ratios),
            f"smallest ratio{clock}": min(ratios),
            f"largest ratio{clock}": max(ratios),
        }
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="reactnet_a", help="name in the zoo")
    parser.add_argument(
        "--options",
        default='{"width": 0.25, "stem_strides": 1}',
        help="arguments of its constructor, as JSON",
    )
    parser.add_argument("--size", type=int, default=32, help="height and width of the images")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=100, help="training steps of an epoch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = benchmark(args, Path(folder))
    print(tabulate(result.items(), floatfmt=".3f"))
    if args.json:
        args.json.write_text(json.dumps({**vars(args), **result}, indent=1, default=str))
