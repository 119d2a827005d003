"""Train a narrow ReActNet-A on handwritten digits in two steps, and export it to one bit.

The data comes with scikit-learn, so nothing is downloaded. Two minutes on two CPU cores.

    python examples/digits.py --output demo
"""

import argparse
import sys
from pathlib import Path

import larq_reactnet as lr  # before TensorFlow's Keras is used: it selects Keras 2

import numpy as np
import tensorflow as tf
from PIL import Image
from tabulate import tabulate

STEP1_EPOCHS, STEP2_EPOCHS = 8, 12
LEARNING_RATE = 2e-3
WANTED = 0.95
PIXEL = 127.5  # inputs are (pixel - 127.5) / 127.5


def fit(model: tf.keras.Model, data: lr.zoo.datasets.Dataset, epochs: int) -> None:
    """Adam with a learning rate that falls linearly to zero, as in the ReActNet paper."""
    steps = epochs * data.steps_per_epoch
    rate = tf.keras.optimizers.schedules.PolynomialDecay(LEARNING_RATE, steps, 0.0)
    model.compile(
        tf.keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(data.train, validation_data=data.test, epochs=epochs, verbose=2)


def main(output: Path) -> float:
    """Train, export, run the exported file, and print what came out. Returns its accuracy."""
    output.mkdir(parents=True, exist_ok=True)
    tf.keras.utils.set_random_seed(0)
    data = lr.zoo.datasets.load("digits", batch_size=32)
    images, labels = data.test_arrays()

    print("\nStep 1: binary activations, real weights")
    model = lr.zoo.ReActNetA(
        input_shape=data.image_shape,
        num_classes=data.num_classes,
        width=0.25,
        stem_strides=1,
        binary_weights=False,
    )
    fit(model, data, STEP1_EPOCHS)

    print("\nStep 2: binary activations and weights")
    model = lr.binarize_weights(model)
    fit(model, data, STEP2_EPOCHS)
    model.save_weights(str(output / "weights.h5"))

    print()
    metadata = lr.converters.Metadata(
        name="digits", labels=tuple("0123456789"), mean=(PIXEL,), std=(PIXEL,)
    )
    report = lr.converters.export(
        model, output / "model.tflite", verify_with=images, metadata=metadata
    )
    pixels = (images[0] * PIXEL + PIXEL).round().astype(np.uint8)
    Image.fromarray(np.squeeze(pixels)).save(output / "digit.png")
    flatbuffer = report.path.read_bytes()
    answers = lr.converters.predict_tflite(flatbuffer, images, engine="lce").argmax(-1)
    accuracy = float(np.mean(answers == labels))
    keras_accuracy = model.evaluate(data.test, verbose=0)[1]
    signs = sum(layer.signs for layer in report.flips)
    flipped = sum(layer.flipped for layer in report.flips)
    (output / "report.txt").write_text(f"{report}\n")

    rows = [
        ("Keras test accuracy", f"{keras_accuracy:.2%} of {len(labels)} images"),
        (".tflite test accuracy", f"{accuracy:.2%}"),
        ("same class, Keras and .tflite", f"{report.agreement.same_class:.2%}"),
        (".tflite", f"{report.bytes:,} bytes"),
        ("weights as float32", f"{report.float_bytes:,} bytes"),
        ("binary share of MACs", f"{report.ops.binary_share:.2%}"),
        (
            "binary convolutions",
            f"{report.operators['LceBconv2d']} of {report.binary_convolutions}",
        ),
        ("folding changes outputs by", f"{report.folding_error:.0e}, in float64"),
        ("signs that differ", f"{flipped:,} of {signs:,}"),
        ("files", ", ".join(str(path) for path in sorted(output.iterdir()))),
    ]
    print(f"\n{tabulate(rows)}")
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder of the results")
    reached = main(parser.parse_args().output)
    if reached < WANTED:
        sys.exit(f"The accuracy {reached:.2%} is below {WANTED:.0%}.")
