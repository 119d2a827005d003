"""Classify photographs with pretrained weights, with Keras and with the one-bit .tflite made of it.

The photograph of a cat comes with scikit-image (`pip install scikit-image`), so nothing is
downloaded. With a prepared CIFAR-10, its test images are classified too.

    python examples/photos.py --output demo
    python examples/photos.py --output demo --data-dir ~/tensorflow_datasets my_dog.jpg
"""

import argparse
import importlib.util
import sys
from pathlib import Path

import larq_reactnet as lr  # before TensorFlow's Keras is used: it selects Keras 2

import numpy as np
from tabulate import tabulate

RECIPE = "reactnet_a_quarter_cifar10_short"
MEAN, STD = lr.zoo.datasets.STATISTICS["cifar10"]
LABELS = lr.zoo.datasets.class_names("cifar10")
TEST_IMAGES = 1000


def cat() -> list[Path]:
    """Chelsea the cat, a photograph of 451x300 pixels, if scikit-image is installed."""
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        print("No scikit-image, and so no cat: pip install scikit-image")
        return []
    return [Path(found.origin).with_name("data") / "chelsea.png"]


def main(photos: list[Path], output: Path, data_dir: str | None) -> bool:
    """Print what both say. Returns whether they say the same."""
    output.mkdir(parents=True, exist_ok=True)
    row = lr.zoo.pretrained.find("reactnet_a", RECIPE)
    model = lr.zoo.create("reactnet_a", weights=RECIPE)
    # The middle of each photograph, as 32x32 normalized pixels: as data sets and `predict` do it.
    names = [path.name for path in photos]
    images = [lr.converters.prepare_image(path, (32, 32, 3), MEAN, STD) for path in photos]
    if data_dir:
        data = lr.zoo.datasets.load("cifar10", data_dir=data_dir)
        tests, labels = data.test_arrays(TEST_IMAGES)
        names += [f"test image {i}, {LABELS[label]}" for i, label in enumerate(labels)]
        images += [*tests]
    if not images:
        sys.exit("There is nothing to classify: give photographs, or --data-dir.")
    batch = np.stack(images)

    report = lr.converters.export(
        model,
        output / "cifar10.tflite",
        verify_with=batch,
        metadata=lr.converters.Metadata(name=RECIPE, labels=LABELS, mean=MEAN, std=STD),
    )
    keras = model.predict(batch, verbose=0)
    tflite = lr.converters.predict_tflite(report.path.read_bytes(), batch, engine="lce")
    print(f"\n{RECIPE}: {row.top1} % of CIFAR-10's test images, {report.bytes:,} bytes as .tflite")
    rows = [
        (name, *(f"{LABELS[p.argmax()]} {p.max():.1%}" for p in pair))
        for name, *pair in zip(names, keras, tflite, strict=True)
    ]
    print(f"\n{tabulate(rows[: len(photos) + 10], headers=['', 'Keras', '.tflite'])}")
    same = keras.argmax(-1) == tflite.argmax(-1)
    print(f"\nThe same answer for {same.sum()} of {len(same)} images")
    if data_dir:
        right = [np.mean(p[len(photos) :].argmax(-1) == labels) for p in (keras, tflite)]
        print(f"Right of {len(labels)} test images: {right[0]:.1%} Keras, {right[1]:.1%} .tflite")
    return bool(same.mean() > 0.99 and same[: len(photos)].all())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", nargs="*", type=Path, help="photographs, besides the cat")
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder of the .tflite")
    parser.add_argument("--data-dir", help="where tensorflow-datasets keeps CIFAR-10")
    arguments = parser.parse_args()
    for photo in arguments.photos:
        if not photo.is_file():
            parser.error(f"There is no file {photo}.")
    if not main([*cat(), *arguments.photos], arguments.output, arguments.data_dir or None):
        sys.exit("Keras and the .tflite do not agree.")
