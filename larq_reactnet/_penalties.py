r"""Sums of penalties \\(\sum_i \rho(\alpha - |w_i|)\\), in one loop over the weights each way."""

from collections.abc import Callable
from typing import Any

from larq_reactnet._fused import Gradient, fused, sum_of_channels

import tensorflow as tf

__all__ = ["absolute", "squared"]

Sum = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def _summed(rho: Callable[[Any], Any], slope: Callable[[Any], Any]) -> Sum:
    """The sum as a function of weights and alpha, which is one number or one for each filter.

    Args:
        rho: The penalty of a distance.
        slope: Its derivative.
    """

    @fused
    def penalties(w: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
        return rho(alpha - tf.abs(w))

    @fused
    def gradients(dy: tf.Tensor, w: tf.Tensor, alpha: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        of_alpha = dy * slope(alpha - tf.abs(w))
        return -of_alpha * tf.sign(w), of_alpha

    @tf.custom_gradient
    def summed(w: tf.Tensor, alpha: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        def grad(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            dw, dalpha = gradients(dy, w, alpha)
            if alpha.shape.rank == 0:
                return dw, tf.reduce_sum(dalpha)
            return dw, sum_of_channels(dalpha, alpha.dtype)

        return tf.reduce_sum(penalties(w, alpha)), grad

    return summed


absolute = _summed(tf.abs, tf.sign)
squared = _summed(tf.square, lambda distance: 2 * distance)
