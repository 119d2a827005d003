"""Elementwise arithmetic in one loop over memory, for training.

TensorFlow computes one operation after the other, and each reads and writes whole tensors. Of a
function of several operations, XLA makes one loop.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import tensorflow as tf

__all__ = ["Gradient", "at_least_float32", "fused", "sum_of_channels"]

# What a function that is decorated by `tf.custom_gradient` returns beside its result.
Gradient: TypeAlias = Callable[..., tf.Tensor | tuple[tf.Tensor, ...]]


def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, compiled by XLA into one loop over its arguments.

    LCE's converter does not know compiled functions, so they must not be part of the forward pass
    of an exported network: use them for gradients, and where `training` is true.

    Args:
        function: Of elementwise operations on its arguments, which are tensors. Sums do not belong
            into it: XLA adds up one number after the other on a CPU.
    """

    # One for each type and shape: TensorFlow warns of a function that it has to trace again and
    # again, and knows it by the identity of what is inside.
    @functools.cache
    def compiled(kind: tuple[tuple[tf.DType, str], ...]) -> Callable[..., Any]:
        return tf.function(functools.partial(function), jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(*tensors: tf.Tensor) -> Any:
        return compiled(tuple((tensor.dtype, str(tensor.shape)) for tensor in tensors))(*tensors)

    return call


def sum_of_channels(x: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """The sum over all axes but the last, in `dtype` and of shape `(channels,)`."""
    # Several times faster than `tf.reduce_sum`. In bfloat16 it would lose nearly all small numbers.
    return tf.raw_ops.BiasAddGrad(out_backprop=tf.cast(x, dtype))


def at_least_float32(dtype: tf.DType) -> tf.DType:
    """The type in which numbers of type `dtype` are added up."""
    return tf.float32 if dtype.size < tf.float32.size else dtype
