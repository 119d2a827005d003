"""The weights that were trained here, as Keras models and as one-bit `.tflite` files.

Each network is exported with all test images of its data set. Its accuracy is that of the Keras
model and of the file in Larq Compute Engine's own interpreter.

    python benchmarks/shipped.py --data-dir ~/tensorflow_datasets
"""

import argparse
import tempfile
from pathlib import Path

import larq_reactnet as lr

import numpy as np
from tabulate import tabulate


def measure(row: lr.zoo.pretrained.Weights, data_dir: str | None) -> list[str]:
    """A row of the table."""
    data = lr.zoo.datasets.load(row.dataset, data_dir=data_dir)
    images, labels = data.test_arrays()
    model = lr.zoo.create(row.model, weights=row.recipe)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.tflite")
        metadata = lr.converters.Metadata(
            name=model.name, labels=tuple(data.class_names), mean=data.mean, std=data.std
        )
        report = lr.converters.export(
            model, path, verify_with=images, verify_limit=len(images), metadata=metadata
        )
        outputs = lr.converters.predict_tflite(path.read_bytes(), images, engine="lce")
    answers = [model.predict(images, verbose=0).argmax(-1), outputs.argmax(-1)]
    return [
        f"`{row.recipe}`",
        *(f"{np.mean(answer == labels):.2%}".replace("%", " %") for answer in answers),
        f"{report.agreement.same_class:.2%}".replace("%", " %"),
        f"{report.float_bytes:,}",
        f"{report.bytes:,}",
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", help="where tensorflow-datasets keeps CIFAR-10")
    arguments = parser.parse_args()
    shipped = [row for row in lr.zoo.pretrained.list_weights() if row.recipe]
    headers = ["recipe", "Keras", "`.tflite`", "same class", "bytes as float32", "bytes"]
    rows = [measure(row, arguments.data_dir) for row in shipped]
    print(tabulate(rows, headers, "github"))
