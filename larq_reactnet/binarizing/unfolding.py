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
    tf.keras.layers.Conv1D,
    tf.keras.layers.Conv2D,
    tf.keras.layers.DepthwiseConv2D,
    tf.keras.layers.SeparableConv2D,
    tf.keras.layers.Dense,
)


def unfolded(model: tf.keras.Model, *, last: bool = False) -> tf.keras.Model:
    """A copy of `model` that computes the same; `model` itself if nothing is to be unfolded.

    The layers of inner models are its own. The activation of a convolution or dense layer is a
    layer behind it, and a separable convolution is a depthwise and a 1x1 convolution, unless it is
    shared.

    Args:
        model: Functional or sequential model.
        last: Whether layers that give the outputs are unfolded, too. Otherwise they keep their
            names, by which `fit` knows the targets of each output.

    Raises:
        ValueError: If a layer cannot be copied.
    """
    model = flattened(model)
    taken = {layer.name for layer in model.layers}
    calls = calls_in(model)
    times = Counter(id(call.layer) for call in calls)
    taken_again = {id(tensor) for call in calls for tensor in call.inputs}
    ends = {id(tensor) for tensor in model.outputs} - taken_again

    def is_folded(call: Call) -> bool:
        layer = call.layer
        if type(layer) not in _KERNELS or len(call.outputs) != 1 or len(call.inputs) != 1:
            return False
        names = {layer.name + end for end in (DEPTHWISE, POINTWISE)}
        if times[id(layer)] > 1 or (_is_separable(layer) and taken & names):
            return False
        if id(call.outputs[0]) in ends and not last:
            return False
        return _is_separable(layer) or layer.activation is not tf.keras.activations.linear

    def apart(call: Call, tensors: Tensors) -> Any:
        if not is_folded(call):
            return None
        layer, x = call.layer, tensors[id(call.inputs[0])]
        x = _separated(layer, x) if _is_separable(layer) else _linear(layer, x)
        if layer.activation is not tf.keras.activations.linear:
            name = layer.name + ACTIVATION
            while name in taken:
                name += "_"
            x = tf.keras.layers.Activation(layer.activation, name=name, dtype=layer.dtype)(x)
        return x

    return rebuild(model, apart) if any(map(is_folded, calls)) else model


def _is_separable(layer: tf.keras.layers.Layer) -> bool:
    return isinstance(layer, tf.keras.layers.SeparableConv2D)


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
        depthwise_regularizer=layer.depthwise_regularizer,
        name=layer.name + DEPTHWISE,
        dtype=layer.dtype_policy,
    )
    pointwise = tf.keras.layers.Conv2D(
        layer.filters,
        1,
        data_format=layer.data_format,
        use_bias=layer.use_bias,
        kernel_regularizer=layer.pointwise_regularizer,
        bias_regularizer=layer.bias_regularizer,
        name=layer.name + POINTWISE,
        dtype=layer.dtype_policy,
    )
    x = pointwise(depthwise(x))
    first, *rest = layer.get_weights()
    depthwise.set_weights([first])
    pointwise.set_weights(rest)
    return x
