"""Keras's own applications made binary: what becomes of them, and whether they become files.

Each is built with random weights, made binary, differentiated, checked and exported. The table
says how many of its layers became binary, how many weights got no gradient or one that is not
finite, how many findings of `check` are left to the user, and how many convolutions of the file are
binary ones of Larq Compute Engine: it must be as many as became binary, because `export` joins the
two halves of a convolution that doubles the channels.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import larq_reactnet as lr
from larq_reactnet.binarizing import STYLES, Binarization

import numpy as np
import tensorflow as tf
from tabulate import tabulate
from tqdm import tqdm

EXAMPLES = """examples:
  python benchmarks/binarized_files.py --json files.json
  python benchmarks/binarized_files.py --models MobileNet VGG16 --style plain
"""
# Arguments that make them small.
APPLICATIONS: dict[str, dict[str, float]] = {
    "MobileNet": {"alpha": 0.25},
    "MobileNetV2": {"alpha": 0.35},
    "ResNet50": {},
    "VGG16": {},
    "EfficientNetB0": {},
    "DenseNet121": {},
}
CLASSES = 10


def measured(name: str, style: str, size: int, folder: Path) -> dict[str, Any]:
    """What becomes of one application."""
    constructor = getattr(tf.keras.applications, name)
    shape = (size, size, 3)
    model = constructor(input_shape=shape, weights=None, classes=CLASSES, **APPLICATIONS[name])
    reports: list[Binarization] = []
    binary = lr.binarize_model(model, style, report=reports.append)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(16, *shape)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(binary(images, training=True)[:, 0])
    gradients = tape.gradient(loss, binary.trainable_weights)
    wrong = [
        g is None or not np.isfinite(np.asarray(tf.convert_to_tensor(g))).all() for g in gradients
    ]
    lr.recalibrate(binary, images, print_fn=None)
    blocking = [finding for finding in lr.converters.check(binary) if finding.blocks]
    path = folder / f"{name}.tflite"
    # With random weights, all images get about the same outputs.
    lr.converters.export(binary, path, verify_with=images, min_agreement=0.0)
    return {
        "model": name,
        "layers": len(reports[0].layers),
        "became binary": sum(bool(layer.became) for layer in reports[0].layers),
        "weights without gradient": sum(wrong),
        "findings left": len(blocking),
        "LceBconv2d": lr.converters.count_operators(path.read_bytes())["LceBconv2d"],
        "bytes": path.stat().st_size,
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=APPLICATIONS, default=[*APPLICATIONS])
    parser.add_argument("--style", choices=STYLES, default="reactnet")
    parser.add_argument("--size", type=int, default=64, help="height and width of images")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for name in tqdm(arguments.models):
            tf.keras.backend.clear_session()
            rows.append(measured(name, arguments.style, arguments.size, Path(folder)))
    print(tabulate(rows, headers="keys"))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
