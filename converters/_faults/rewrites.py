"""Rewrites: layers for which LCE has no kernel, or a wrong one, as others that give the same."""

from collections.abc import Callable
from typing import Any

from larq_reactnet._graph.calls import KerasTensor, clone, functions_of
from larq_reactnet._graph.padding import (
    Amounts,
    Sizes,
    same,
    sizes_of,
    window_of,
)
from larq_reactnet._latent import binary_kernel, latent

import larq as lq
import numpy as np
import tensorflow as tf

__all__ = [
    "ConstantMap",
    "Rewrite",
    "activated",
    "again",
    "as_convolution",
    "as_plane",
    "gives_the_same",
    "padded",
    "padded_before",
    "plain_sign",
    "rewritten",
    "split",
    "with_map",
    "with_ones",
    "without_bias",
]

_LARGE = 1e30  # above the threshold of any sign, so that its sign is +1

# A function of a layer, its input and a name for the layer that replaces it. It returns the output.
Rewrite = Callable[[tf.keras.layers.Layer, KerasTensor, str], KerasTensor]


@lq.utils.register_keras_custom_object
class ConstantMap(tf.keras.layers.Layer):
    """Adds a constant to each position and channel of an image.

    LCE would fuse a plain addition into the binary convolution before it, whose kernel then refuses
    a constant that is not one number per channel. It does not fuse what is behind a RESHAPE.
    """

    def build(self, input_shape: Any) -> None:
        """Create the constant, of the shape of one flattened image."""
        size = int(np.prod(input_shape[1:]))
        self.map = self.add_weight("map", shape=(size,), initializer="zeros", trainable=False)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Add the constant to `inputs`."""
        flat = tf.nn.bias_add(tf.reshape(inputs, (-1, self.map.shape[0])), self.map)
        return tf.reshape(flat, (-1, *inputs.shape[1:]))


def again(layer: tf.keras.layers.Layer, tensor: KerasTensor, **changes: Any) -> Any:
    """The output of a copy of `layer`, weights included, for `tensor`.

    Args:
        layer: The layer, which is not changed.
        tensor: Its new input.
        **changes: Other values in the copy's configuration. They must not change its weights.
    """
    copy = clone(layer, **changes)
    result = copy(tensor)
    copy.set_weights(layer.get_weights())
    return result


def as_convolution(layer: tf.keras.layers.Layer, tensor: KerasTensor, name: str) -> Any:
    """Rewrite a `QuantDense` of inputs `(batch, channels)` as a convolution of one pixel."""
    config = clone(layer).get_config()  # whose quantizers are not built for a shape yet
    shared = ("activation", "dtype", "input_quantizer", "kernel_quantizer", "use_bias")
    arguments = {key: config[key] for key in shared}
    if layer.input_quantizer is None:  # its inputs are signs, and the sign of a sign is the same
        arguments["input_quantizer"] = plain_sign(layer)
    with tf.keras.utils.custom_object_scope(functions_of(layer)):
        conv = lq.layers.QuantConv2D(layer.units, 1, name=name, **_constrained(arguments))
    one = (1, 1, tensor.shape[-1])
    result = conv(tf.keras.layers.Reshape(one, name=f"{name}_pixel", dtype=layer.dtype)(tensor))
    for new, old in zip(conv.weights, layer.weights, strict=True):
        new.assign(tf.reshape(latent(old), new.shape))
    units = tf.keras.layers.Reshape((layer.units,), name=f"{name}_units", dtype=layer.dtype)
    return units(result)


def split(layer: tf.keras.layers.Layer, tensor: KerasTensor, name: str) -> Any:
    """Rewrite a grouped `QuantConv2D` as one convolution for each group."""
    changes = {"filters": layer.filters // layer.groups, "groups": 1, "activation": "linear"}
    if layer.input_quantizer is None:
        changes["input_quantizer"] = plain_sign(layer)  # in each part: LCE cannot split bits
    results = []
    for index, part in enumerate(tf.split(tensor, layer.groups, axis=-1)):
        conv = clone(layer, name=f"{name}_group{index + 1}", **changes)
        results.append(conv(part))
        for new, old in zip(conv.weights, layer.weights, strict=True):
            new.assign(_part(latent(old), new.shape, index))
    beside = tf.keras.layers.Concatenate(name=name, dtype=layer.dtype)(results)
    return activated(layer, beside, name)


def as_plane(layer: tf.keras.layers.Layer, tensor: KerasTensor, name: str) -> Any:
    """Rewrite a `QuantConv1D` as a convolution of an image that is one pixel wide."""
    config = clone(layer).get_config()
    for key in ("kernel_size", "strides", "dilation_rate"):
        config[key] = (*config[key], 1)
    if layer.input_quantizer is None:
        config["input_quantizer"] = plain_sign(layer)
    with tf.keras.utils.custom_object_scope(functions_of(layer)):
        conv = lq.layers.QuantConv2D.from_config({**_constrained(config), "name": name})
    steps, channels = tensor.shape[1:]
    plane = tf.keras.layers.Reshape((steps, 1, channels), name=f"{name}_plane", dtype=layer.dtype)
    result = conv(plane(tensor))
    for new, old in zip(conv.weights, layer.weights, strict=True):
        latent(new).assign(tf.reshape(latent(old), new.shape))
    line = (result.shape[1], layer.filters)
    return tf.keras.layers.Reshape(line, name=f"{name}_line", dtype=layer.dtype)(result)


def padded_before(layer: tf.keras.layers.Layer, tensor: KerasTensor, name: str) -> Any:
    """Rewrite a `QuantConv2D` that pads with -1 or +1: padding is a layer before its sign."""
    sizes = sizes_of(tensor)
    if sizes is None or abs(layer.pad_values) != 1:
        raise ValueError(f"{layer.name} does not pad with -1 or +1.")
    changes = {"padding": "valid", "pad_values": 0.0}
    if layer.input_quantizer is None:  # its inputs are signs, and the sign of a sign is the same
        changes["input_quantizer"] = plain_sign(layer)
    value = layer.pad_values * _LARGE
    return again(layer, padded(tensor, same(sizes, window_of(layer)), value), name=name, **changes)


def padded(tensor: KerasTensor, amounts: Amounts, value: float = _LARGE) -> Any:
    """Images with rows and columns of `value` around them, by default one whose sign is +1."""
    return tf.pad(tensor, [(0, 0), *amounts, (0, 0)], constant_values=value)


def with_ones(layer: tf.keras.layers.Layer, tensor: KerasTensor, name: str) -> Any:
    """Rewrite a `QuantConv2D` that pads with zeros: pad with ones, and subtract what they add."""
    sizes = sizes_of(tensor)
    assert sizes is not None  # as the rule has checked
    amounts = same(sizes, window_of(layer))
    return with_map(layer, tensor, name, sizes, amounts, pad_values=1.0)


def with_map(
    layer: tf.keras.layers.Layer,
    tensor: KerasTensor,
    name: str,
    sizes: Sizes,
    amounts: Amounts,
    **changes: Any,
) -> Any:
    """A copy of a `QuantConv2D` that takes ones for zeros, and what they add subtracted.

    Args:
        layer: The layer.
        tensor: Its new input.
        name: A name for the copy.
        sizes: Height and width of the images without padding.
        amounts: How much padding there is around them, which is now of ones.
        **changes: Other values in the configuration of the copy.
    """
    conv = clone(layer, **{"name": name, "use_bias": False, "activation": "linear", **changes})
    result = conv(tensor)
    for new, old in zip(conv.weights, without_bias(layer), strict=True):
        latent(new).assign(latent(old))
    zeros = np.zeros((1, *sizes, tensor.shape[-1]), layer.dtype)
    ones = np.pad(zeros, ((0, 0), *amounts, (0, 0)), constant_values=1)
    kernel = binary_kernel(layer)
    added = tf.nn.conv2d(ones, kernel, layer.strides, "VALID", dilations=layer.dilation_rate)
    constant = ConstantMap(name=f"{name}_map", dtype=layer.dtype)
    result = constant(result)
    constant.map.assign(tf.reshape((layer.bias if layer.use_bias else 0.0) - added, [-1]))
    return activated(layer, result, name)


def gives_the_same(rewrite: Rewrite, layer: tf.keras.layers.Layer, shape: Any) -> bool:
    """Whether a rewrite of `layer` gives the same outputs, tried with random numbers."""
    return rewritten(rewrite, layer, shape) is not None


def rewritten(
    rewrite: Rewrite, layer: tf.keras.layers.Layer, shape: Any, low: float = -1.0
) -> tf.keras.Model | None:
    """A rewrite of `layer` as a model of its own; None if it gives other outputs.

    This is tried with random numbers; if the layer has no input quantizer, with `low` and 1.
    """
    try:
        inputs = tf.keras.layers.Input(shape[1:])
        numbers = np.random.default_rng(0).normal(size=(2, *shape[1:])).astype(np.float32)
        if layer.input_quantizer is None:
            numbers = np.where(numbers > 0, 1, low).astype(np.float32)
        model = tf.keras.Model(inputs, rewrite(layer, inputs, layer.name))
        expected, found = np.asarray(layer(numbers)), np.asarray(model(numbers))
    except (ValueError, TypeError, tf.errors.InvalidArgumentError):
        return None
    is_same = np.allclose(expected, found, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    return model if is_same else None


def activated(layer: tf.keras.layers.Layer, tensor: KerasTensor, name: str) -> Any:
    """The activation of `layer` as a layer of its own, if it has one."""
    if layer.activation is tf.keras.activations.linear:
        return tensor
    name = f"{name}_activation"
    return tf.keras.layers.Activation(layer.activation, name=name, dtype=layer.dtype)(tensor)


def plain_sign(layer: tf.keras.layers.Layer) -> dict[str, Any]:
    """The configuration of an input quantizer for `layer` that LCE recognizes."""
    return lq.quantizers.serialize(lq.quantizers.SteSign(dtype=layer.dtype))


def _part(value: Any, shape: Any, index: int) -> Any:
    """The part number `index` of a weight, split into parts of `shape`."""
    for axis, (whole, part) in enumerate(zip(value.shape, shape, strict=True)):
        if whole != part:
            value = tf.split(value, whole // part, axis=axis)[index]
    return value


def without_bias(layer: tf.keras.layers.Layer) -> list[Any]:
    """The weights of `layer` but for its bias."""
    return [weight for weight in layer.weights if weight is not getattr(layer, "bias", None)]


def _constrained(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments and a kernel constraint, because Larq warns if there is none."""
    return {**arguments, "kernel_constraint": "weight_clip"}
