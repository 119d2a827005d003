"""Whether networks that are trained in a short type are as accurate as in float32.

Each row is the same recipe: ReActNet-A, by default of a quarter of the channels, in its two steps,
3 epochs of CIFAR-10 or 8 of digits. It is trained in both precisions with several seeds. The spread
of the seeds says what a difference means.

    python benchmarks/precision.py --data-dir ~/tensorflow_datasets
    python benchmarks/precision.py --datasets digits --seeds 0 1 2 3 4 --precision mixed_float16
    python benchmarks/precision.py --emulate --width 0.125
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import larq_reactnet as lr
from larq_reactnet.training import Run
from larq_reactnet.zoo.recipes import two_step

import tensorflow as tf
import tensorflow.compat.v2 as tf_of_keras
from tabulate import tabulate

EPOCHS = {"cifar10": (1, 2), "digits": (3, 5)}


def emulate() -> None:
    """Compute convolutions of short types as processors with instructions for them do.

    These multiply exactly, add up in float32, and round the sum. So do convolutions in float32 of
    values in a short type, whose result is rounded. TensorFlow has other kernels for processors
    without such instructions, which take ten times as long as float32.
    """
    convolution = tf_of_keras.nn.convolution

    def emulated(input: tf.Tensor, filters: tf.Tensor, *args: Any, **options: Any) -> tf.Tensor:
        exact = convolution(
            tf.cast(input, tf.float32), tf.cast(filters, tf.float32), *args, **options
        )
        return tf.cast(exact, input.dtype)

    tf_of_keras.nn.convolution = emulated


def accuracy(dataset: str, precision: str, seed: int, arguments: argparse.Namespace) -> float:
    """The accuracy on the test images. A run that is there already is not repeated."""
    step1, step2 = EPOCHS[dataset]
    recipe = two_step(
        "reactnet_a",
        options={"width": arguments.width, "stem_strides": 1},
        dataset=dataset,
        batch_size=64,
        step1_epochs=step1,
        epochs=step2,
        precision=precision,
        seed=seed,
    )
    folder = arguments.output / f"{dataset}_{precision}_{seed}"
    lr.training.train(recipe, folder, data_dir=arguments.data_dir, verbose=arguments.verbose)
    return float(Run(folder).read()["results"]["accuracy"])


def main(arguments: argparse.Namespace) -> None:
    """Train everything and print the table."""
    if arguments.emulate:
        emulate()
    arguments.output.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for dataset in arguments.datasets:
        for precision in ("float32", arguments.precision):
            found = [accuracy(dataset, precision, seed, arguments) for seed in arguments.seeds]
            rows.append(
                {
                    "data": dataset,
                    "precision": precision,
                    "mean": statistics.mean(found),
                    "spread": statistics.stdev(found) if len(found) > 1 else None,
                    "of seeds": found,
                }
            )
    table = [{**row, "of seeds": ", ".join(f"{x:.2%}" for x in row["of seeds"])} for row in rows]
    print(tabulate(table, headers="keys", floatfmt=".2%"))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--datasets", nargs="+", choices=EPOCHS, default=[*EPOCHS])
    parser.add_argument("--data-dir", help="where tensorflow-datasets keeps CIFAR-10")
    parser.add_argument("--precision", default="mixed_bfloat16", help="beside float32")
    parser.add_argument(
        "--emulate",
        action="store_true",
        help="compute convolutions of short types in float32, and round what comes out, on a "
        "processor without instructions for them",
    )
    parser.add_argument("--width", type=float, default=0.25, help="of ReActNet-A")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=Path("runs/precision"))
    parser.add_argument("--verbose", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    main(parser.parse_args())
