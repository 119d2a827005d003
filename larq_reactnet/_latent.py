"""Latent weights, which training updates, and the binary weights that a layer makes of them."""

from typing import Any

import tensorflow as tf

__all__ = ["binary_kernel", "latent"]


def latent(variable: Any) -> tf.Variable:
    """The variable that training updates: the latent one of a quantized weight, or `variable`."""
    return getattr(variable, "latent_variable", variable)


def binary_kernel(layer: tf.keras.layers.Layer) -> tf.Tensor:
    """What the kernel quantizer of `layer` makes of its latent weights."""
    return layer.kernel_quantizer(tf.convert_to_tensor(latent(layer.kernel)))
