"""What accuracy the networks that microcontrollers.py counts have in int8.

Each shipped network has a twin with real weights and ReLU. It is trained on CIFAR-10 in one step,
with the optimizer, learning rate and batches of the shipped weights, for a third of their epochs:
real weights need fewer. Then it is made int8 by TensorFlow Lite, calibrated with 500 training
images, and all test images are classified by that.

A training that was interrupted goes on if the same command is given again.
"""

import argparse
import json
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import larq_reactnet as lr
from larq_reactnet.zoo import recipes, registry

import numpy as np
import tensorflow as tf
from int8_in_c import int8_file
from int8_twins import SHIPPED, real_twin
from tabulate import tabulate
from tqdm import tqdm

EXAMPLES = """examples:
  python benchmarks/int8_accuracy.py --data-dir ~/tensorflow_datasets --output ~/int8
  python benchmarks/int8_accuracy.py --networks dorefanet --epochs 1 --output /tmp/int8
"""
CALIBRATION = 500


@registry.register("int8_twin", paper="none", year=2026, url="none", listed=False)
def int8_twin(
    *,
    of: str = "",
    options: Iterable[tuple[str, Any]] = (),
    input_shape: tuple[int, int, int] | None = None,
    num_classes: int = 10,
    classifier_activation: str | None = "softmax",
    weights: None = None,
) -> tf.keras.Model:
    """The real twin of the network that the zoo calls `of`."""
    shape = {"input_shape": input_shape, "num_classes": num_classes}
    model = lr.zoo.create(of, classifier_activation=classifier_activation, **shape, **dict(options))
    return real_twin(model)


def recipe_of(key: str, epochs: int | None) -> recipes.Recipe:
    """The recipe of the shipped weights, for the twin."""
    _, name, _, weights = SHIPPED[key]
    recipe = recipes.load(weights)
    *_, last = recipe.steps
    whole = epochs or math.ceil(sum(step.epochs for step in recipe.steps) / 3)
    return replace(
        recipe,
        model="int8_twin",
        options={"of": name, "options": tuple(recipe.options.items())},
        steps=(replace(last, epochs=whole, options={}),),
    )


def int8_answers(content: bytes, images: np.ndarray, title: str) -> np.ndarray:
    """The classes that the int8 file gives."""
    interpreter = tf.lite.Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (given,), (gives,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero = given["quantization"]
    pixels = np.clip(np.round(images / np.float32(scale)) + zero, -128, 127).astype(np.int8)
    answers = []
    for image in tqdm(pixels, title, unit="image"):
        interpreter.set_tensor(given["index"], image[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(gives["index"])[0].argmax())
    return np.array(answers)


def measure(key: str, args: argparse.Namespace) -> dict[str, Any]:
    """Train a twin, and its accuracies."""
    recipe = recipe_of(key, args.epochs)
    model = lr.training.train(recipe, args.output / key, data_dir=args.data_dir, verbose=2)
    data = lr.zoo.datasets.load(recipe.dataset, data_dir=args.data_dir, augmentation=None)
    images, labels = data.test_arrays()
    seen = next(data.train.unbatch().batch(CALIBRATION).as_numpy_iterator())[0]
    content = int8_file(model, seen)
    (args.output / f"{key}_int8.tflite").write_bytes(content)
    (row,) = (row for row in lr.zoo.pretrained.list_weights() if row.recipe == SHIPPED[key][-1])
    answers = model.predict(images, verbose=0).argmax(-1), int8_answers(content, images, key)
    float32, int8 = (float(np.mean(answer == labels)) for answer in answers)
    epochs = recipe.steps[0].epochs
    return {"network": SHIPPED[key][0], "epochs": epochs, "float32": float32, "int8": int8,
            "binary": (row.top1 or 0) / 100}  # fmt: skip


def main() -> None:
    """Train, measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the trainings")
    parser.add_argument("--data-dir", help="where tensorflow-datasets keeps CIFAR-10")
    parser.add_argument("--networks", nargs="+", choices=SHIPPED, default=list(SHIPPED),
                        metavar="NETWORK", help=f"of {', '.join(SHIPPED)} (all)")  # fmt: skip
    parser.add_argument("--epochs", type=int, help="by default a third of those of the weights")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    rows = [measure(key, args) for key in args.networks]
    shown = [
        {**row, **{name: f"{row[name]:.2%}" for name in ("float32", "int8", "binary")}}
        for row in rows
    ]
    print("\n" + tabulate(shown, headers="keys", disable_numparse=True))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
