"""Padding that is a layer of its own before a convolution, and what the convolution reads of it."""

import inspect
from dataclasses import dataclass

from larq_reactnet._graph.calls import Call, KerasTensor

import numpy as np
import tensorflow as tf

__all__ = [
    "Amounts",
    "Padding",
    "Sizes",
    "Window",
    "padding_of",
    "same",
    "sizes_of",
    "trimmed",
    "window",
    "window_of",
]

layers = tf.keras.layers
Sizes = tuple[int, int]  # height and width
Amounts = tuple[tuple[int, int], tuple[int, int]]  # rows above and below, columns left and right

_WITH_WINDOW = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)


@dataclass(frozen=True)
class Padding:
    """A call that pads an image with a constant.

    Attributes:
        amounts: Rows above and below, columns left and right.
        value: The constant.
    """

    amounts: Amounts
    value: float


@dataclass(frozen=True)
class Window:
    """The part of an image that a convolution sees at once, and the strides by which it moves."""

    extents: tuple[int, int]
    strides: tuple[int, int]


def padding_of(call: Call) -> Padding | None:
    """The padding that `call` does; None if it does something else."""
    layer = call.layer
    if type(layer) is layers.ZeroPadding2D and layer.data_format == "channels_last":
        (top, bottom), (left, right) = layer.padding
        return Padding(((top, bottom), (left, right)), 0.0)
    is_function = type(layer).__name__ == "TFOpLambda"  # what Keras makes of `tf.pad(tensor, ...)`
    if not is_function or layer.get_config()["function"].rpartition(".")[2] != "pad":
        return None
    args, kwargs = call.arguments
    given = inspect.signature(tf.compat.v1.pad).bind(*args, **kwargs)
    given.apply_defaults()
    if len(call.inputs) != 1 or str(given.arguments["mode"]).upper() != "CONSTANT":
        return None
    amounts = np.asarray(given.arguments["paddings"])
    if amounts.shape != (4, 2) or amounts[[0, 3]].any():
        return None
    (top, bottom), (left, right) = amounts[1:3].tolist()
    return Padding(((top, bottom), (left, right)), float(given.arguments["constant_values"]))


def window(layer: tf.keras.layers.Layer) -> Window | None:
    """The window of a two-dimensional convolution without padding of its own, or None."""
    is_convolution = isinstance(layer, _WITH_WINDOW)
    if not is_convolution or isinstance(layer, layers.Conv2DTranspose):
        return None
    if layer.padding != "valid" or layer.data_format != "channels_last":
        return None
    return window_of(layer)


def window_of(layer: tf.keras.layers.Layer) -> Window:
    """The window of a two-dimensional convolution."""
    sizes = zip(layer.kernel_size, layer.dilation_rate, strict=True)
    height, width = ((size - 1) * rate + 1 for size, rate in sizes)
    return Window((height, width), tuple(layer.strides))


def same(sizes: Sizes, window: Window) -> Amounts:
    """The amounts of TensorFlow's `padding="same"` for an image of `sizes`."""
    top, left = (_same(*axis) for axis in zip(sizes, window.extents, window.strides, strict=True))
    return top, left


def trimmed(sizes: Sizes, amounts: Amounts, window: Window) -> Amounts:
    """The padding `amounts` without the rows and columns that the window never reads."""
    axes = zip(sizes, amounts, window.extents, window.strides, strict=True)
    top, left = (
        (before, max(0, after - (size + before + after - extent) % stride))
        for size, (before, after), extent, stride in axes
    )
    return top, left


def _same(size: int, extent: int, stride: int) -> tuple[int, int]:
    total = max(0, (-(-size // stride) - 1) * stride + extent - size)
    return total // 2, total - total // 2


def sizes_of(tensor: KerasTensor) -> Sizes | None:
    """Height and width of an image tensor, or None if they are not known."""
    shape = tuple(tensor.shape)
    return (shape[1], shape[2]) if len(shape) == 4 and None not in shape[1:3] else None
