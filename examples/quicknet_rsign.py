"""QuickNet with RSign: the activations of Larq's network get ReActNet's learned thresholds.

The same few lines give any network of Larq's layers another quantizer, and keep its weights.

    python examples/quicknet_rsign.py --output quicknet
    python examples/quicknet_rsign.py --output quicknet --weights imagenet   # downloaded once

It is trained on handwritten digits, which come with scikit-learn, so nothing is downloaded; with
Larq's weights for ImageNet, training starts from them, with a new last layer.
"""

import argparse
from pathlib import Path

import larq_reactnet as lr  # before TensorFlow's Keras is used: it selects Keras 2

import numpy as np
import tensorflow as tf


def with_input_quantizer(model: tf.keras.Model, quantizer: str) -> tf.keras.Model:
    """A copy of a model whose binary activations have another quantizer, with the same weights."""

    def copy(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        config = layer.get_config()
        if getattr(layer, "input_quantizer", None) is not None:
            config["input_quantizer"] = quantizer
        return type(layer).from_config(config)

    twin = tf.keras.models.clone_model(model, clone_function=copy)
    for old, new in zip(model.layers, twin.layers, strict=True):
        if getattr(old, "input_quantizer", None) is None:
            new.set_weights(old.get_weights())
        else:  # the new quantizer has weights of its own, which start at their initial values
            new.kernel.assign(old.kernel)
            if old.use_bias:
                new.bias.assign(old.bias)
    return twin


def thresholds(model: tf.keras.Model) -> np.ndarray:
    """The learned thresholds of all channels of all RSigns."""
    quantizers = [getattr(layer, "input_quantizer", None) for layer in model.layers]
    found = [q.get_weights()[0].ravel() for q in quantizers if isinstance(q, lr.quantizers.RSign)]
    return np.concatenate(found)


def main(output: Path, network: str, weights: str | None, image_size: int, epochs: int) -> float:
    """Train, export and save. Returns the accuracy on the test images."""
    output.mkdir(parents=True, exist_ok=True)
    tf.keras.utils.set_random_seed(0)
    data = lr.zoo.datasets.load("digits", image_size=image_size, batch_size=32)
    model = lr.zoo.create(
        network, input_shape=data.image_shape, num_classes=data.num_classes, weights=weights
    )
    if weights is None:
        # QuickNet's own 1e-5 lets batch normalization multiply a filter whose ReLU is hardly ever
        # above 0 by hundreds, and with it what float32 rounds in the engine.
        for layer in model.layers:
            if isinstance(layer, tf.keras.layers.BatchNormalization):
                layer.epsilon = 1e-3
    quicknet = with_input_quantizer(model, "rsign")
    images, _ = data.test_arrays(200)
    same = np.array_equal(model.predict(images, verbose=0), quicknet.predict(images, verbose=0))
    count = len(thresholds(quicknet))
    print(f"{count:,} thresholds at 0; the outputs are {'the same' if same else 'OTHERS'}")

    steps = epochs * data.steps_per_epoch
    rate = tf.keras.optimizers.schedules.PolynomialDecay(2e-3, steps, 0.0)
    quicknet.compile(
        tf.keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    quicknet.fit(data.train, epochs=epochs, verbose=2)
    accuracy = float(quicknet.evaluate(data.test, verbose=0)[1])
    learned = thresholds(quicknet)
    least, most = learned.min(), learned.max()
    print(f"{accuracy:.1%} of the test images; thresholds from {least:.3f} to {most:.3f}")

    assert lr.converters.check(quicknet) == []  # nothing that LCE would get wrong
    report = lr.converters.export(quicknet, output / "quicknet_rsign.tflite", verify_with=images)
    print(f"\n{report}")
    quicknet.save(output / "quicknet_rsign.h5")
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("quicknet"), help="folder of the results"
    )
    parser.add_argument("--network", default="quicknet_small", help="or another one of Larq Zoo")
    parser.add_argument("--weights", help="pretrained weights to start from, such as imagenet")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3)
    main(**vars(parser.parse_args()))
