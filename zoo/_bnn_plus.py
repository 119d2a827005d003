"""What the networks of BNN+ share (Darabi et al., 2018).

A binary layer is, as in the paper's algorithm 1: sign, binary convolution scaled by the trained
alpha, (max-pooling), batch normalization. First and last layer are real. Dense layers are written
as convolutions, because Larq Compute Engine has binary kernels for convolutions only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from larq_reactnet._types import ImageShape
from larq_reactnet.quantizers import BNNPlusSign, SwishSign
from larq_reactnet.regularizers import R1, R2
from larq_reactnet.zoo._build import finish, image_input, scaled
from larq_reactnet.zoo._layers import batch_norm, map_size

import larq as lq
import tensorflow as tf

__all__ = ["Layers", "bnn_plus", "pool"]

_REGULARIZERS = {"r1": R1, "r2": R2}


@dataclass(frozen=True)
class Layers:
    """Makes the layers of a network; the attributes are arguments of `bnn_plus`."""

    width: float
    beta: float | None
    regularizer: str | None
    strength: float
    binary_weights: bool

    def channels(self, filters: int) -> int:
        """`filters` times the width."""
        return scaled(filters, self.width)

    def stem(self, x: tf.Tensor, filters: int, kernel_size: int, **kwargs: Any) -> tf.Tensor:
        """The first convolution, which is real."""
        return tf.keras.layers.Conv2D(
            self.channels(filters),
            kernel_size,
            **{"padding": "same", "use_bias": False, "name": "conv1", **kwargs},
        )(x)

    def conv(
        self, x: tf.Tensor, filters: int, kernel_size: Any, name: str, **kwargs: Any
    ) -> tf.Tensor:
        """A binary convolution with `filters` times the width output channels."""
        penalty = _REGULARIZERS[self.regularizer](self.strength) if self.regularizer else None
        kernel_quantizer = BNNPlusSign(self.beta, penalty) if self.binary_weights else None
        arguments = {
            "padding": "same",
            "pad_values": 1.0,  # padding with ones is binary too, which is cheapest when deployed
            "use_bias": False,
            "input_quantizer": "ste_sign" if self.beta is None else SwishSign(self.beta),
            "kernel_quantizer": kernel_quantizer,
            # BNN+ does not clip. But Larq warns of binary kernels without a constraint, so they
            # get one whose bound is far outside of where alpha and the regularizers keep them.
            "kernel_constraint": "weight_clip",
            "name": name,
        }
        return lq.layers.QuantConv2D(self.channels(filters), kernel_size, **arguments | kwargs)(x)

    def dense(self, x: tf.Tensor, units: int, index: int) -> tf.Tensor:
        """A binary dense layer and its batch normalization."""
        x = self.conv(x, units, map_size(x), f"dense{index}", padding="valid")
        return batch_norm(f"bn{index}")(x)


def pool(x: tf.Tensor, size: int, name: str) -> tf.Tensor:
    """Max-pooling of stride 2."""
    return tf.keras.layers.MaxPooling2D(size, strides=2, padding="same", name=name)(x)


def bnn_plus(
    name: str,
    smallest: int,
    features: Callable[[tf.Tensor, Layers], tf.Tensor],
    top: Callable[[tf.Tensor, Layers], tf.Tensor],
    *,
    input_shape: ImageShape | None = (32, 32, 3),
    input_tensor: tf.Tensor | None = None,
    weights: str | None = None,
    include_top: bool = True,
    num_classes: int = 10,
    classifier_activation: str | None = "softmax",
    width: float = 1.0,
    beta: float | None = 5.0,
    regularizer: str | None = "r1",
    strength: float = 1e-6,
    binary_weights: bool = True,
) -> tf.keras.Model:
    """A network of BNN+: `features`, and if `include_top`, `top` and a dense layer of logits.

    Args:
        width: Multiplies the number of channels, which become multiples of 8.
        beta: Of the SignSwish gradients; the paper uses 5 and 10. `None` for the straight-through
            estimator (hard tanh) that it compares with.
        regularizer: `"r1"`, `"r2"` or `None`.
        strength: Of the regularizer; the paper uses 1e-6 for CIFAR-10 and, for ImageNet, 1e-7 with
            R1 and 1e-6 with R2.
        binary_weights: `False` for binary activations with real weights.

    References:
        - [BNN+: Improved Binary Network Training](https://arxiv.org/abs/1812.11800)
    """
    if regularizer not in (None, *_REGULARIZERS):
        raise ValueError(f"`regularizer` must be 'r1', 'r2' or None, got {regularizer!r}.")
    inputs = image_input(input_shape, input_tensor, include_top, smallest)
    layers = Layers(width, beta, regularizer, strength, binary_weights)
    x = features(inputs, layers)
    if include_top:
        x = top(x, layers)
        x = tf.keras.layers.Flatten(name="flatten")(x)
        x = tf.keras.layers.Dense(num_classes, name="logits")(x)
        x = tf.keras.layers.Activation(classifier_activation, dtype="float32", name="output")(x)
    return finish(inputs, x, name, weights)
