"""What `export` gains over Larq Compute Engine alone: bytes, operators, latency, conversion time.

Each network is converted by `lce.convert_keras_model` and written by `export`. Then both files run
alternately in LCE's own interpreter, with one thread and the indirect kernel, the fastest on x86.
Weights are random, which changes neither size nor time; the dense layers are stored in int8.
Reported are the median of the CPU time, and the median of the ratios of neighbouring runs.

    python benchmarks/export.py --json export.json
    python benchmarks/export.py --models reactnet_a --rounds 31
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import larq_reactnet as lr

import larq_compute_engine as lce
import numpy as np
import tensorflow as tf
from tabulate import tabulate
from tqdm import tqdm

CIFAR = {"input_shape": (32, 32, 3), "num_classes": 10}
NETWORKS = {
    "reactnet_a": ("reactnet_a", {}),
    "reactnet_18": ("reactnet_18", {}),
    "reactnet_a at 32x32": ("reactnet_a", {**CIFAR, "stem_strides": 1}),
    "reactnet_18 at 32x32": ("reactnet_18", {**CIFAR, "stem_strides": 1}),
    "bnn_plus_alexnet": ("bnn_plus_alexnet", CIFAR),
    "bnn_plus_dorefanet": ("bnn_plus_dorefanet", CIFAR),
    "bnn_plus_vgg_small": ("bnn_plus_vgg_small", CIFAR),
}


def random_network(name: str, arguments: dict[str, object]) -> tf.keras.Model:
    """A network of the zoo with random shifts, which are all 0 before training."""
    model = lr.zoo.create(name, **arguments)
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        if len(weight.shape) == 1:
            weight.assign_add(rng.normal(scale=0.1, size=weight.shape).astype(np.float32))
    return model


def seconds(interpreter: lce.testing.Interpreter, image: np.ndarray) -> float:
    """CPU time of one inference."""
    began = time.process_time()
    interpreter.predict(image)
    return time.process_time() - began


def benchmark(title: str, rounds: int) -> dict[str, object]:
    """Convert a network both ways and run both files alternately."""
    name, arguments = NETWORKS[title]
    model = random_network(name, arguments)
    image = np.random.default_rng(1).normal(size=(1, *model.input_shape[1:])).astype(np.float32)
    began = time.perf_counter()
    alone = lce.convert_keras_model(model)
    alone_seconds = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        report = lr.converters.export(
            model,
            Path(folder, "model.tflite"),
            verify_with=image,
            min_agreement=0,  # random weights; equality is what the tests prove
            storage="int8",  # the smallest; by default it depends on the outputs
            progress=False,
        )
        export_seconds = time.perf_counter() - began
        ours = report.path.read_bytes()
    files = (alone, ours)
    counts = [lr.converters.count_operators(file) for file in files]
    interpreters = [lce.testing.Interpreter(file, use_indirect_bgemm=True) for file in files]
    for interpreter in interpreters:
        interpreter.predict(image)
    times = [
        [seconds(interpreter, image) for interpreter in interpreters]
        for _ in tqdm(range(rounds), title, leave=False)
    ]
    medians = [1000 * statistics.median(column) for column in zip(*times, strict=True)]
    row: dict[str, object] = {"network": title}
    pairs = {
        "bytes": [len(file) for file in files],
        "ADD": [count["ADD"] for count in counts],
        "LceBconv2d": [count["LceBconv2d"] for count in counts],
        "operators": [sum(count.values()) for count in counts],
        "ms": medians,
        "seconds to convert": [alone_seconds, export_seconds],
    }
    for what, values in pairs.items():
        row |= {f"{what}, LCE": values[0], f"{what}, export": values[1]}
    row["smaller"] = len(alone) / len(ours)
    row["faster"] = statistics.median(theirs / mine for theirs, mine in times)
    return row


def table(rows: list[dict[str, object]]) -> str:
    """The rows as a table for a README."""
    columns = {"bytes": ",", "ADD": "", "LceBconv2d": "", "operators": "", "ms": ".1f"}
    columns["seconds to convert"] = ".0f"
    cells = [
        [
            row["network"],
            *(
                " → ".join(format(row[f"{what}, {who}"], style) for who in ("LCE", "export"))
                for what, style in columns.items()
            ),
            f"{row['smaller']:.2f}",
            f"{row['faster']:.2f}",
        ]
        for row in rows
    ]
    return tabulate(cells, ["network", *columns, "smaller", "faster"], "github")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=NETWORKS, default=[*NETWORKS])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    args = parser.parse_args()
    found = []
    for chosen in args.models:
        found.append(benchmark(chosen, args.rounds))
        print(table(found[-1:]), flush=True)
    print(table(found))
    if args.json:
        args.json.write_text(json.dumps({**vars(args), "rows": found}, indent=1, default=str))
