"""Images/s of `model.fit`: ReActNet-A against the same network of Larq's stock layers only.

The stock network has the same convolutions, batch normalizations and shortcuts, but `approx_sign`
instead of RSign, a plain PReLU instead of RPReLU, and no shifts; its kernel quantizer is
`magnitude_aware_sign`. The two are trained alternately in one process. Reported is the median of
the ratios of each pair of runs.

    python benchmarks/training.py --json training.json
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import larq_reactnet as lr

import larq as lq
import numpy as np
import tensorflow as tf
from tabulate import tabulate


def stock_twin(model: tf.keras.Model) -> tf.keras.Model:
    """`model` with Larq's and Keras's own layers in place of this project's."""

    def clone(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        config = layer.get_config()
        if isinstance(layer, lr.layers.RPReLU):
            slope = tf.keras.initializers.Constant(0.25)
            return tf.keras.layers.PReLU(slope, shared_axes=[1, 2], name=layer.name)
        if isinstance(layer, lr.layers.LearnableBias):
            return tf.keras.layers.Activation("linear", name=layer.name)
        if isinstance(layer, lq.layers.QuantConv2D):
            config["input_quantizer"] = "approx_sign"
            config["kernel_quantizer"] = "magnitude_aware_sign"
        return type(layer).from_config(config)

    return tf.keras.models.clone_model(model, clone_function=clone)


def images_per_second(model: tf.keras.Model, data: tf.data.Dataset, images: int) -> float:
    """Speed of one epoch of `model.fit`."""
    began = time.perf_counter()
    model.fit(data, epochs=1, verbose=0)
    return images / (time.perf_counter() - began)


def benchmark(args: argparse.Namespace) -> dict[str, float]:
    """Time both networks alternately."""
    model = lr.zoo.ReActNetA(
        input_shape=(args.size, args.size, 3), num_classes=10, width=args.width, stem_strides=1
    )
    models = {"larq_reactnet": model, "stock Larq": stock_twin(model)}
    images = args.steps * args.batch_size
    rng = np.random.default_rng(0)
    x = rng.normal(size=(images, args.size, args.size, 3)).astype(np.float32)
    y = rng.integers(0, 10, images)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(args.batch_size)
    speeds: dict[str, list[float]] = {name: [] for name in models}
    for round_ in range(-1, args.rounds):
        for name, candidate in models.items():
            if round_ < 0:
                candidate.compile("adam", "sparse_categorical_crossentropy")
            speed = images_per_second(candidate, data, images)
            if round_ >= 0:
                speeds[name].append(speed)
    ratios = [ours / stock for ours, stock in zip(*speeds.values(), strict=True)]
    return {
        **{f"images/s, {name}": statistics.median(values) for name, values in speeds.items()},
        "median ratio": statistics.median(ratios),
        "smallest ratio": min(ratios),
        "largest ratio": max(ratios),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--size", type=int, default=32, help="height and width of the images")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=40, help="training steps of each timed run")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    args = parser.parse_args()
    result = benchmark(args)
    print(tabulate(result.items(), floatfmt=".3f"))
    if args.json:
        args.json.write_text(json.dumps({**vars(args), **result}, indent=1, default=str))
