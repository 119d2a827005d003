"""What `fold` knows about layers: which pass constants on, which absorb them, which need none."""

from collections.abc import Callable
from typing import Any

from larq_reactnet._graph.calls import Call, KerasTensor
from larq_reactnet._latent import latent
from larq_reactnet.layers import RPReLU
from larq_reactnet.quantizers import RSign

import larq as lq
import numpy as np
import tensorflow as tf

__all__ = [
    "absorber",
    "bias_of",
    "channels_of",
    "commutes",
    "has_bias",
    "is_linear",
    "is_simple",
    "other_weights",
    "replacement",
    "sign_of",
    "value_of",
    "wants",
    "with_bias",
]

layers = tf.keras.layers

# Only these very classes: one that inherits from them may do something else.
_COMMUTING = (
    layers.Add,
    layers.Concatenate,
    layers.Flatten,
    layers.AveragePooling2D,
    layers.MaxPooling2D,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
    layers.UpSampling2D,
    layers.Cropping2D,
    layers.Dropout,
    layers.SpatialDropout2D,
)
_CONVOLUTIONS = (layers.Conv2D, lq.layers.QuantConv2D)
_DEPTHWISE = (layers.DepthwiseConv2D, lq.layers.QuantDepthwiseConv2D)
_DENSE = (layers.Dense, lq.layers.QuantDense)

# The quantizer that remains of an RSign without its threshold, by the surrogate of its gradient.
_SIGNS = {
    "approx_sign": "approx_sign",
    "swish_sign": "bnn_plus_swish_sign",
    "ste_sign": "ste_sign",
}


def channels_of(tensor: KerasTensor) -> int | None:
    """Size of the last axis; None if it is not known, or is the only one."""
    return tensor.shape[-1] if len(tensor.shape) > 1 else None


def is_simple(call: Call) -> bool:
    """Whether a layer is called with its inputs and nothing else, as in inference."""
    args, kwargs = call.arguments
    return len(args) == 1 and not any(
        value is not None and value is not False for value in kwargs.values()
    )


def commutes(call: Call) -> bool:
    """Whether constants per channel may be added after the layer as well as before."""
    layer, shapes = call.layer, [tensor.shape for tensor in call.inputs]
    if any(channels_of(tensor) is None for tensor in call.inputs):
        return False
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return False
    if type(layer) is layers.Activation:
        return layer.activation is tf.keras.activations.linear
    if type(layer) is layers.Add:
        return len({shape[-1] for shape in shapes}) == len({len(shape) for shape in shapes}) == 1
    if type(layer) is layers.Concatenate:
        return layer.axis in (-1, len(shapes[0]) - 1)
    if type(layer) is layers.Flatten:
        return None not in shapes[0][1:]
    return type(layer) in _COMMUTING


def has_bias(layer: tf.keras.layers.Layer) -> bool:
    """Whether the layer has a bias, or could have one, to which a constant adds no operator."""
    if type(layer) is layers.BatchNormalization:
        return list(layer.axis) == [len(layer.input_shape) - 1]
    known = type(layer) in (*_CONVOLUTIONS, *_DEPTHWISE, *_DENSE)
    return known and getattr(layer, "data_format", "channels_last") == "channels_last"


def is_linear(layer: tf.keras.layers.Layer) -> bool:
    """Whether the layer adds its bias last: it has no activation."""
    return getattr(layer, "activation", None) in (None, tf.keras.activations.linear)


def wants(call: Call) -> np.ndarray | float | None:
    """The constant that must be added to the inputs of a layer; None if any constant will do."""
    layer = call.layer
    if not is_simple(call):
        return 0.0
    if type(layer) is RPReLU:
        return -value_of(layer.gamma)
    quantizer = layer if type(layer) is RSign else getattr(layer, "input_quantizer", None)
    if type(quantizer) is RSign and (quantizer is layer or has_bias(layer)):
        return -value_of(quantizer.threshold)
    takes_any = commutes(call) or (has_bias(layer) and absorber(layer) is not None)
    return None if takes_any else 0.0


def absorber(layer: tf.keras.layers.Layer) -> Callable[[np.ndarray], np.ndarray] | None:
    """A function from a constant of each input channel to the constant that it adds to the outputs.

    The outputs are those before the activation. None if what is added is not a constant, as where a
    convolution pads with zeros.
    """
    if type(layer) is layers.BatchNormalization:
        scale = 1.0 if layer.gamma is None else value_of(layer.gamma)
        scale = scale / np.sqrt(value_of(layer.moving_variance) + layer.epsilon)
        return lambda offset: offset * scale
    quantizers = ("input_quantizer", "kernel_quantizer", "depthwise_quantizer")
    if any(getattr(layer, name, None) is not None for name in quantizers):
        return None
    if type(layer) in _DENSE:
        return lambda offset: offset @ value_of(layer.kernel)
    if layer.padding != "valid" and set(layer.kernel_size) != {1}:
        return None
    if type(layer) in _DEPTHWISE:
        taps = value_of(layer.depthwise_kernel).sum((0, 1))
        return lambda offset: (offset[:, None] * taps).reshape(-1)
    taps = value_of(layer.kernel).sum((0, 1))
    taps = taps.reshape(len(taps), layer.groups, -1)
    return lambda offset: np.einsum("gi,igo->go", offset.reshape(layer.groups, -1), taps).reshape(
        -1
    )


def replacement(layer: tf.keras.layers.Layer) -> tuple[Any, list[np.ndarray]] | None:
    """What remains of `layer` (and its weights) once its shift has been applied upstream.

    None if it has no shift of its own.
    """
    if type(layer) is RPReLU:
        shape = layer.input_shape
        axes = [*range(1, len(shape) - 1)]
        prelu = layers.PReLU(shared_axes=axes or None, name=layer.name, dtype=layer.dtype)
        return prelu, [value_of(layer.slope).reshape((1,) * len(axes) + (-1,))]
    if type(layer) is RSign:
        return _plain_sign(layer), []
    return None


def _plain_sign(rsign: RSign) -> Any:
    kind = type(lq.quantizers.get(_SIGNS[rsign.surrogate]))
    return kind(name=rsign.name, dtype=rsign.dtype)


def sign_of(layer: tf.keras.layers.Layer) -> dict[str, Any]:
    """The change of configuration that turns an RSign as input quantizer into a plain sign."""
    quantizer = getattr(layer, "input_quantizer", None)
    if type(quantizer) is not RSign:
        return {}
    return {"input_quantizer": lq.quantizers.serialize(_plain_sign(quantizer))}


def bias_of(layer: tf.keras.layers.Layer) -> Any:
    """The variable of the bias, or None."""
    is_bn = type(layer) is layers.BatchNormalization
    return layer.beta if is_bn else layer.bias


def with_bias(layer: tf.keras.layers.Layer) -> dict[str, Any]:
    """The change of configuration that gives a layer a bias."""
    return {"center" if type(layer) is layers.BatchNormalization else "use_bias": True}


def other_weights(layer: tf.keras.layers.Layer) -> list[Any]:
    """The variables that are neither the bias nor the threshold of an RSign."""
    left_out = [bias_of(layer)]
    if sign_of(layer):
        left_out += layer.input_quantizer.weights
    return [weight for weight in layer.weights if all(weight is not other for other in left_out)]


def value_of(variable: Any) -> np.ndarray:
    """The value of a weight in float64. For a binary kernel, it is that of its latent weights."""
    return np.asarray(latent(variable).numpy(), np.float64)
