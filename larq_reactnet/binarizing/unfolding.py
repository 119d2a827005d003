"""The same model in parts that are easier to recognize."""

from collections import Counter
from typing import Any

from larq_reactnet._graph.calls import (
    Call,
    KerasTensor,
    Tensors,
    calls_in,
    clone,
    flattened,
    rebuild,
)

import tensorflow as tf

__all__ = ["DEPTHWISE", "POINTWISE", "unfolded"]

DEPTHWISE, POINTWISE, ACTIVATION = "_depthwise", "_pointwise", "_activation"

_KERNELS = (
    tf.keras.layers.Conv2D,
    tf.keras.layers.DepthwiseConv2D,
    tf.keras.layers.SeparableConv2D,
    tf.keras.layers.Dense,
)


def unfolded(model: tf.keras.Model) -> tf.keras.Model:
    """A copy of `model` that computes the same.

    The layers of inner models are its own. The activation of a convolution or dense layer is a
    layer behind it, and a separable convolution is a depthwise and a 1x1 convolution, unless it is
    shared.

    Raises:
        ValueError: If a layer cannot be copied.
    """
    model = flattened(model)
    taken = {layer.name for layer in model.layers}
    calls = Counter(id(call.layer) for call in calls_in(model))

    def apart(call: Call, tensors: Tensors) -> Any:
        layer = call.layer
        if type(layer) not in _KERNELS or len(call.outputs) != 1 or len(call.inputs) != 1:
            return None
        if calls[id(layer)] > 1:
            return None
        ends = layer.activation is not tf.keras.activations.linear
        is_separable = isinstance(layer, tf.keras.layers.SeparableConv2D)
        names = [layer.name + end for end in (ACTIVATION, DEPTHWISE, POINTWISE)]
        if not (ends or is_separable) or taken.intersection(names):
            return None
        x = tensors[id(call.inputs[0])]
        x = _separated(layer, x) if is_separable else _linear(layer, x)
        if ends:
            act = tf.keras.layers.Activation(layer.activation, name=names[0], dtype=layer.dtype)
            x = act(x)
        return x

    return rebuild(model, apart)


def _linear(layer: tf.keras.layers.Layer, x: KerasTensor) -> KerasTensor:
    copy = clone(layer, activation="linear")
    x = copy(x)
    copy.set_weights(layer.get_weights())
    return x


def _separated(layer: tf.keras.layers.Layer, x: KerasTensor) -> KerasTensor:
    """A separable convolution in its two parts."""
    depthwise = tf.keras.layers.DepthwiseConv2D(
        layer.kernel_size,
        strides=layer.strides,
        padding=layer.padding,
        depth_multiplier=layer.depth_multiplier,
        data_format=layer.data_format,
        dilation_rate=layer.dilation_rate,
        use_bias=False,
        name=layer.name + DEPTHWISE,
        dtype=layer.dtype_policy,
    )
    pointwise = tf.keras.layers.Conv2D(
        layer.filters,
        1,
        data_format=layer.data_format,
        use_bias=layer.use_bias,
        name=layer.name + POINTWISE,
        dtype=layer.dtype_policy,
    )
    x = pointwise(depthwise(x))
    first, *rest = layer.get_weights()
    depthwise.set_weights([first])
    pointwise.set_weights(rest)
    return x
