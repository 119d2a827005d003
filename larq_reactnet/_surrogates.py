r"""What stands in for the derivative of the sign in training.

| name | derivative |
| --- | --- |
| `"approx_sign"` | \\(\max(2 - 2 \lvert u \rvert, 0)\\) |
| `"swish_sign"` | \\(\beta \, g(\beta u)\\), see `quantizers.SwishSign` |
| `"ste_sign"` | 1 where \\(\lvert u \rvert \le 1\\), else 0 |
"""

from collections.abc import Callable

from larq_reactnet._fused import fused

import larq as lq
import tensorflow as tf

__all__ = [
    "SLOPES",
    "clipped_gradient",
    "shifted_gradients",
    "shifted_sign",
    "swish_gradient",
    "swish_gradients",
]

# Beyond |beta * x| = 1000 the derivative of SignSwish is 0 in every float type; the bound keeps
# beta * x finite, also in float16.
SATURATION = 1000.0


def approx_slope(u: tf.Tensor) -> tf.Tensor:
    """The derivative of ApproxSign (Bi-Real Net)."""
    return tf.maximum(2 - 2 * tf.abs(u), 0)


def ste_slope(u: tf.Tensor) -> tf.Tensor:
    """The derivative of the straight-through estimator with a clip at 1."""
    return tf.cast(tf.abs(u) <= 1, u.dtype)


def swish_slope(u: tf.Tensor) -> tf.Tensor:
    r"""BNN+'s \\(g(u) = (2 - u \tanh(u / 2)) / (1 + \cosh u)\\), finite for every `u`."""
    u = tf.minimum(tf.abs(u), SATURATION)
    e = tf.exp(-u)  # cosh itself would overflow
    return (2 - u * (1 - e) / (1 + e)) * 2 * e / tf.square(1 + e)


SLOPES: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "approx_sign": approx_slope,
    "swish_sign": lambda u: 5 * swish_slope(5 * u),
    "ste_sign": ste_slope,
}


def _shifted(slope: Callable[[tf.Tensor], tf.Tensor]) -> Callable[..., tf.Tensor]:
    def gradient(dy: tf.Tensor, x: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
        slopes = slope(tf.cast(x, threshold.dtype) - threshold)
        return tf.cast(tf.cast(dy, threshold.dtype) * slopes, x.dtype)

    return fused(gradient)


# The gradient of `sign(x - threshold)` at `x`, of `(dy, x, threshold)`. Under mixed precision the
# threshold is of float32, and so is everything inside.
shifted_gradients = {name: _shifted(slope) for name, slope in SLOPES.items()}


@fused
def shifted_sign(x: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Sign of `x - threshold`."""
    return tf.cast(lq.math.sign(tf.cast(x, threshold.dtype) - threshold), x.dtype)


@fused
def swish_gradient(dy: tf.Tensor, x: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
    """The gradient of SignSwish at `x`, computed in the type of `beta`."""
    slope = beta * swish_slope(beta * tf.cast(x, beta.dtype))
    return tf.cast(tf.cast(dy, beta.dtype) * slope, x.dtype)


@fused
def swish_gradients(dy: tf.Tensor, x: tf.Tensor, beta: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The gradients of SignSwish at `x` and, before they are added up, at `beta`."""
    wide = tf.cast(x, beta.dtype)
    slope = tf.cast(dy, beta.dtype) * swish_slope(beta * wide)
    return tf.cast(beta * slope, x.dtype), wide * slope


@fused
def clipped_gradient(dy: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """The gradient of the straight-through estimator at `x`."""
    return dy * ste_slope(x)
