"""What real networks of one layer after another share; those of BNN+ replace their layers.

A layer is, in the order of BNN+: convolution, (max-pooling), batch normalization, ReLU.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from larq_reactnet._types import ImageShape
from larq_reactnet.zoo._build import finish, image_input, scaled
from larq_reactnet.zoo._layers import batch_norm

import tensorflow as tf

__all__ = ["Layers", "chain", "flat_classifier", "pool"]


@dataclass(frozen=True)
class Layers:
    """Makes the layers of a network, with `width` times as many channels."""

    width: float

    def channels(self, filters: int) -> int:
        """`filters` times the width."""
        return scaled(filters, self.width)

    def stem(self, x: tf.Tensor, filters: int, kernel_size: int, **kwargs: Any) -> tf.Tensor:
        """The first convolution."""
        return tf.keras.layers.Conv2D(
            self.channels(filters),
            kernel_size,
            **{"padding": "same", "use_bias": False, "name": "conv1", **kwargs},
        )(x)

    def conv(
        self, x: tf.Tensor, filters: int, kernel_size: Any, name: str, **kwargs: Any
    ) -> tf.Tensor:
        """A convolution with `filters` times the width output channels."""
        return self.stem(x, filters, kernel_size, name=name, **kwargs)

    def norm(self, x: tf.Tensor, index: int) -> tf.Tensor:
        """What stands between two layers: batch normalization and ReLU."""
        return tf.keras.layers.ReLU(name=f"relu{index}")(batch_norm(f"bn{index}")(x))

    def dense(self, x: tf.Tensor, units: int, index: int) -> tf.Tensor:
        """A dense layer, and what stands behind it."""
        if len(x.shape) > 2:
            x = tf.keras.layers.Flatten(name=f"flatten{index}")(x)
        dense = tf.keras.layers.Dense(self.channels(units), use_bias=False, name=f"dense{index}")
        return self.norm(dense(x), index)


Part = Callable[[tf.Tensor, Layers], tf.Tensor]


def pool(x: tf.Tensor, size: int, name: str) -> tf.Tensor:
    """Max-pooling of stride 2."""
    return tf.keras.layers.MaxPooling2D(size, strides=2, padding="same", name=name)(x)


def flat_classifier(x: tf.Tensor, num_classes: int, activation: str | None) -> tf.Tensor:
    """The last layers of a network: dense layer and activation."""
    x = tf.keras.layers.Flatten(name="flatten")(x)
    x = tf.keras.layers.Dense(num_classes, name="logits")(x)
    return tf.keras.layers.Activation(activation, dtype="float32", name="output")(x)


def chain(
    name: str,
    smallest: int,
    features: Part,
    top: Part,
    *,
    input_shape: ImageShape | None = (32, 32, 3),
    input_tensor: tf.Tensor | None = None,
    weights: str | None = None,
    include_top: bool = True,
    num_classes: int = 10,
    classifier_activation: str | None = "softmax",
    width: float = 1.0,
) -> tf.keras.Model:
    """A real network: `features`, and if `include_top`, `top` and a dense layer of logits.

    Args:
        width: Multiplies the number of channels, which become multiples of 8.
    """
    inputs = image_input(input_shape, input_tensor, include_top, smallest)
    layers = Layers(width)
    x = features(inputs, layers)
    if include_top:
        x = flat_classifier(top(x, layers), num_classes, classifier_activation)
    return finish(inputs, x, name, weights)
