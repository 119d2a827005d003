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
from larq_reactnet.zoo._build import finish, image_input
from larq_reactnet.zoo._layers import batch_norm, map_size
from larq_reactnet.zoo._real import Layers, flat_classifier

import larq as lq
import tensorflow as tf

__all__ = ["BinaryLayers", "bnn_plus"]

_REGULARIZERS = {"r1": R1, "r2": R2}


@dataclass(frozen=True)
class BinaryLayers(Layers):
    """Makes binary layers in place of real ones; the attributes are arguments of `bnn_plus`."""

    beta: float | None
    regularizer: str | None
    strength: float
    binary_weights: bool

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

    def norm(self, x: tf.Tensor, index: int) -> tf.Tensor:
        """What stands between two layers: batch normalization, because a sign follows."""
        return batch_norm(f"bn{index}")(x)

    def dense(self, x: tf.Tensor, units: int, index: int) -> tf.Tensor:
        """A binary dense layer, and what stands behind it."""
        x = self.conv(x, units, map_size(x), f"dense{index}", padding="valid")
        return self.norm(x, index)


def bnn_plus(
    name: str,
    smallest: int,
    features: Callable[[tf.Tensor, BinaryLayers], tf.Tensor],
    top: Callable[[tf.Tensor, BinaryLayers], tf.Tensor],
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
    layers = BinaryLayers(width, beta, regularizer, strength, binary_weights)
    x = features(inputs, layers)
    if include_top:
        x = flat_classifier(top(x, layers), num_classes, classifier_activation)
    return finish(inputs, x, name, weights)
