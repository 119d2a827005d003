"""The weights of a real layer as those of its binary form."""

from dataclasses import dataclass

from larq_reactnet._types import Shape

import numpy as np
import tensorflow as tf

__all__ = ["Norm", "kernel_of", "norm_of", "restyled"]

# Standard deviation of what stands beside the diagonal, relative to the mean magnitude on it.
_BESIDE = 0.01


def kernel_of(layer: tf.keras.layers.Layer, kind: str, image: Shape) -> np.ndarray:
    """The kernel of a full convolution, of shape (height, width, channels in, channels out).

    That of a depthwise convolution is the diagonal, with small random numbers beside it: zeros
    would all become +1 when they become binary. That of a dense layer covers a whole `image`, and
    that of a `Conv1D` is one of height 1.

    Args:
        layer: The real layer.
        kind: That of the `Unit`.
        image: Height, width and channels of what a dense layer takes.
    """
    if kind == "depthwise":
        depthwise = np.asarray(layer.depthwise_kernel)
        size, channels = depthwise.shape[:2], depthwise.shape[2]
        scale = _BESIDE * np.abs(depthwise).mean()
        full = np.random.default_rng(0).normal(scale=scale, size=(*size, channels, channels))
        diagonal = np.arange(channels)
        full[:, :, diagonal, diagonal] = depthwise[..., 0]
        return full
    kernel = np.asarray(layer.kernel)
    if kind == "sequence":
        return kernel[None]
    return kernel.reshape(*image, -1) if kind == "dense" else kernel


@dataclass(frozen=True)
class Norm:
    """The weights of a batch normalization.

    Attributes:
        gamma: The scale; None without.
        beta: The shift; None without.
        mean: The moving mean.
        variance: The moving variance.
    """

    gamma: np.ndarray | None
    beta: np.ndarray | None
    mean: np.ndarray
    variance: np.ndarray

    def weights(self, part: slice = slice(None)) -> list[np.ndarray]:
        """As Keras orders them, of some of the channels."""
        found = (self.gamma, self.beta, self.mean, self.variance)
        return [weight[part] for weight in found if weight is not None]


def norm_of(
    layer: tf.keras.layers.Layer | None, bias: np.ndarray | None, channels: int, epsilon: float
) -> Norm:
    """The weights of a batch normalization with `epsilon`, behind a convolution without bias.

    Args:
        layer: The batch normalization that does the same behind a convolution with `bias`; None for
            none.
        bias: The bias of that convolution; None for none.
        channels: Number of channels.
        epsilon: That of the new one.
    """
    if layer is None:
        zeros, ones = np.zeros(channels), np.ones(channels)
        return Norm(ones, zeros if bias is None else bias, zeros, ones)
    norm = restyled(layer, epsilon)
    shift = 0.0 if bias is None else bias
    return Norm(norm.gamma, norm.beta, norm.mean - shift, norm.variance)


def restyled(layer: tf.keras.layers.Layer, epsilon: float) -> Norm:
    r"""The weights with which a batch normalization that has `epsilon` computes what `layer` does.

    The variance becomes \\(\max(0, \sigma^2 + \epsilon - \epsilon')\\), and what is cut off goes
    into the scale.
    """
    variance = np.asarray(layer.moving_variance)
    before = variance.astype(np.float64) + layer.epsilon
    after = np.maximum(before - epsilon, 0.0)
    gamma = None
    if layer.scale:
        gamma = np.asarray(layer.gamma) * np.sqrt((after + epsilon) / before)
    beta = np.asarray(layer.beta) if layer.center else None
    return Norm(gamma, beta, np.asarray(layer.moving_mean), after)
