r"""Input quantizers that give 0 and 1, and layers that take these, with signs in their place.

A step \\(q\\) is 1 above its threshold \\(t\\), and 0 at it and below. With
\\(s = \operatorname{sign}(t - x)\\), which is +1 where the step is 0, also at the threshold,

\\[
q = \frac{1 - s}{2}, \qquad \sum_i q_i w_i = \frac{1}{2} \sum_i w_i - \frac{1}{2} \sum_i s_i w_i
\\]

The last sum is a binary convolution, and the rest is a batch normalization of it.
"""

from typing import Any

from larq_reactnet._graph.calls import KerasTensor, Quantizer, clone
from larq_reactnet._latent import binary_kernel, latent
from larq_reactnet.converters._faults.rewrites import activated, plain_sign, without_bias

import larq as lq
import tensorflow as tf

__all__ = ["as_signs", "threshold_of"]

_EPSILON = 2.0**-10  # of the batch normalization; added to 1 minus itself, it gives exactly 1
_HEAVISIDES = (lq.math.heaviside, lq.quantizers.ste_heaviside)


def threshold_of(quantizer: Quantizer) -> float | None:
    """The threshold of a quantizer that gives 1 above it and else 0; None of any other."""
    if isinstance(quantizer, tf.keras.layers.Activation):
        quantizer = quantizer.activation
    if type(quantizer) is lq.quantizers.SteHeaviside or quantizer in _HEAVISIDES:
        return 0.0
    if type(quantizer) is not lq.quantizers.DoReFa or quantizer.precision != 1:
        return None
    # It rounds what it has clipped to 0 to 1, and 1/2 to the even number, 0.
    return 0.5 if quantizer.mode == "activations" else None


def as_signs(layer: tf.keras.layers.Layer, tensor: KerasTensor, name: str) -> Any:
    """Rewrite a layer that takes 0 and 1 as one that takes signs, and a batch normalization.

    Padding with zeros becomes padding with ones, because the sign of a 0 is +1.
    """
    threshold: float | None = 0.5  # of inputs that are 0 and 1 already
    if layer.input_quantizer is not None:
        threshold = threshold_of(layer.input_quantizer)
    changes: dict[str, Any] = {
        "input_quantizer": plain_sign(layer),
        "use_bias": False,
        "activation": "linear",
    }
    if getattr(layer, "padding", "valid") == "same":
        if layer.pad_values != 0:
            raise ValueError(f"{layer.name} pads with {layer.pad_values}.")
        changes["pad_values"] = 1.0
    copy = clone(layer, name=name, **changes)
    distance = tf.keras.layers.Rescaling(-1.0, threshold, name=f"{name}_step", dtype=layer.dtype)
    result = copy(distance(tensor))
    for new, old in zip(copy.weights, without_bias(layer), strict=True):
        latent(new).assign(latent(old))
    affine = tf.keras.layers.BatchNormalization(
        epsilon=_EPSILON, name=f"{name}_affine", dtype=layer.dtype
    )
    result = affine(result)
    kernel = binary_kernel(layer)
    total = tf.reduce_sum(kernel, [*range(len(kernel.shape) - 1)])
    affine.gamma.assign(-tf.ones_like(total) / 2)
    affine.beta.assign(total / 2 + (layer.bias if layer.use_bias else 0.0))
    affine.moving_variance.assign(tf.ones_like(total) - _EPSILON)
    return activated(layer, result, name)
