"""What the form of a binary network is worth: one float network, made binary in several ways.

A small float network is trained. Then it is made binary by each style of `binarize_model`, and
naively, as with plain Larq: a sign in front of every layer and on every kernel but the first and
last, and nothing else changed, so that the ReLUs stay. All start from the weights of the float
network and have the same budget: the same epochs, optimizer, learning rate and batches, in one step
with both signs. The table has the accuracy on the test images of each seed.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import larq_reactnet as lr
from larq_reactnet.binarizing import STYLES

import larq as lq
import numpy as np
import tensorflow as tf
from tabulate import tabulate
from tqdm import tqdm

EXAMPLES = """examples:
  python benchmarks/binarized_accuracy.py --epochs 30 --json accuracy.json
  python benchmarks/binarized_accuracy.py --dataset cifar10 --data-dir ~/tensorflow_datasets \\
      --epochs 10 --width 32
"""
NAIVE = "naive"


def float_network(shape: tuple[int, ...], classes: int, width: int) -> tf.keras.Model:
    """Six convolutions of 3x3, as people write them."""
    layers = tf.keras.layers
    inputs = x = layers.Input(shape)
    for multiple, strides in [(1, 1), (1, 1), (2, 2), (2, 1), (4, 2), (4, 1)]:
        x = layers.Conv2D(multiple * width, 3, strides=strides, padding="same", use_bias=False)(x)
        # Keras's momentum of 0.99 is for more steps than a few epochs of the digits have.
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    return tf.keras.Model(inputs, layers.Dense(classes)(x))


def naive(model: tf.keras.Model) -> tf.keras.Model:
    """`model` with a binary layer in place of each convolution but the first."""
    first = next(layer for layer in model.layers if isinstance(layer, tf.keras.layers.Conv2D))

    def clone(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        config = layer.get_config()
        if not isinstance(layer, tf.keras.layers.Conv2D) or layer is first:
            return type(layer).from_config(config)
        signs = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign"}
        return lq.layers.QuantConv2D.from_config(
            {**config, **signs, "kernel_constraint": "weight_clip"}
        )

    twin = tf.keras.models.clone_model(model, clone_function=clone)
    twin.set_weights(model.get_weights())
    return twin


def accuracy(model: tf.keras.Model, data: lr.zoo.datasets.Dataset, epochs: int) -> float:
    """The accuracy on the test images after `epochs`."""
    steps = epochs * data.steps_per_epoch
    rate = tf.keras.optimizers.schedules.CosineDecay(1e-3, max(1, steps))
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf.keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    model.fit(data.train, epochs=epochs, verbose=0)
    return float(model.evaluate(data.test, verbose=0)[1])


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--data-dir")
    parser.add_argument(
        "--epochs", type=int, default=20, help="of the float, and of each binary one"
    )
    parser.add_argument("--width", type=int, default=16, help="channels of the first convolution")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    arguments = parser.parse_args()
    data = lr.zoo.datasets.load(arguments.dataset, data_dir=arguments.data_dir)
    ways: dict[str, Callable[[tf.keras.Model], tf.keras.Model]] = {
        style: lambda model, style=style: lr.binarize_model(model, style, report=None)
        for style in STYLES
    }
    ways[NAIVE] = naive
    found: dict[str, list[float]] = {name: [] for name in ("float", *ways)}
    for seed in tqdm(range(arguments.seeds), unit="seed"):
        tf.keras.utils.set_random_seed(seed)
        model = float_network(data.image_shape, len(data.class_names), arguments.width)
        found["float"].append(accuracy(model, data, arguments.epochs))
        tqdm.write(f"seed {seed}, float: {100 * found['float'][-1]:.1f} %")
        for name, way in tqdm(ways.items(), leave=False):
            tf.keras.utils.set_random_seed(seed)
            found[name].append(accuracy(way(model), data, arguments.epochs))
            tqdm.write(f"seed {seed}, {name}: {100 * found[name][-1]:.1f} %")
    rows = [
        {"network": name, **{f"seed {i}": f"{100 * a:.1f} %" for i, a in enumerate(numbers)}}
        | {"mean": f"{100 * np.mean(numbers):.1f} %"}
        for name, numbers in found.items()
    ]
    print(tabulate(rows, headers="keys"))
    if arguments.json:
        result = {"arguments": {**vars(arguments), "json": None}, "accuracy": found}
        arguments.json.write_text(json.dumps(result, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
