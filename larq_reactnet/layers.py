r"""The layers of ReActNet: RPReLU and the learnable shift, and the rotation of images."""

from typing import Any

from larq_reactnet._fused import Gradient, at_least_float32, fused, sum_of_channels
from larq_reactnet._types import Initializer, Shape

import larq as lq
import tensorflow as tf

__all__ = ["LearnableBias", "RPReLU", "Rotate180"]


@lq.utils.register_keras_custom_object
class LearnableBias(tf.keras.layers.Layer):
    r"""Adds a trained constant to each channel: \\(y_c = x_c + b_c\\).

    The `LearnableBias` of the official ReActNet, starting at 0. In front of several binary
    convolutions it is an `RSign` whose threshold \\(-b\\) they share. Input and output have the
    same shape, channels last.

    Args:
        bias_initializer: Initializer of the weight of shape `(channels,)`.
        **kwargs: Arguments of `tf.keras.layers.Layer`.
    """

    def __init__(self, bias_initializer: Initializer = "zeros", **kwargs: Any):
        super().__init__(**kwargs)
        self.bias_initializer = tf.keras.initializers.get(bias_initializer)

    def build(self, input_shape: Shape) -> None:
        """Create the bias, of shape `(channels,)`."""
        self.bias = _channel_weight(self, "bias", input_shape, self.bias_initializer)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Add the bias to `inputs`, whose last axis is channels."""
        wide = at_least_float32(inputs.dtype)
        outputs = tf.nn.bias_add(tf.cast(inputs, wide), tf.cast(self.bias, wide))
        return tf.cast(outputs, inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        initializer = tf.keras.initializers.serialize(self.bias_initializer)
        return {**super().get_config(), "bias_initializer": initializer}


@lq.utils.register_keras_custom_object
class RPReLU(tf.keras.layers.Layer):
    r"""ReActNet's PReLU between two learnable shifts (ReActNet section 4.2, equation 6).

    \\[
    f(x_c) = \begin{cases}
      x_c - \gamma_c + \zeta_c & x_c > \gamma_c \\\
      \beta_c (x_c - \gamma_c) + \zeta_c & x_c \leq \gamma_c
    \end{cases}
    \\]

    All three weights have shape `(channels,)`; \\(\gamma\\) and \\(\zeta\\) start at 0. The slope
    \\(\beta\\) starts at 0.25, as in PyTorch. (With 0, as in Keras, every second sign would see
    no negative value, and the gradients of a deep network would explode.) The input is
    `(batch, features)`, `(batch, height, width, channels)` or any other rank with channels last.
    The layer becomes ADD, PRELU, ADD in TensorFlow Lite.

    Args:
        slope_initializer: Initializer of \\(\beta\\).
        **kwargs: Arguments of `tf.keras.layers.Layer`.

    References:
        - [ReActNet: Towards Precise Binary Neural Network with Generalized Activation
            Functions](https://arxiv.org/abs/2003.03488)
    """

    def __init__(self, slope_initializer: Initializer | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.slope_initializer = tf.keras.initializers.get(
            slope_initializer or tf.keras.initializers.Constant(0.25)
        )

    def build(self, input_shape: Shape) -> None:
        """Create gamma, zeta and the slope, of shape `(channels,)` each."""
        self.gamma = _channel_weight(self, "gamma", input_shape, "zeros")
        self.slope = _channel_weight(self, "slope", input_shape, self.slope_initializer)
        self.zeta = _channel_weight(self, "zeta", input_shape, "zeros")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Apply the function to `inputs`, whose last axis is channels."""
        wide = at_least_float32(inputs.dtype)
        weights = [tf.cast(weight, wide) for weight in (self.gamma, self.slope, self.zeta)]
        return (trained_rprelu if training is True else rprelu)(inputs, *weights)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        initializer = tf.keras.initializers.serialize(self.slope_initializer)
        return {**super().get_config(), "slope_initializer": initializer}


def rprelu(x: tf.Tensor, gamma: tf.Tensor, slope: tf.Tensor, zeta: tf.Tensor) -> tf.Tensor:
    """What `RPReLU` computes, in the form that LCE turns into ADD, PRELU, ADD."""
    shifted = tf.nn.bias_add(tf.cast(x, gamma.dtype), -gamma)  # `-` would be a SUB
    # LCE makes one PRELU of exactly this form, with a slope of one rank less than its input.
    slope = tf.reshape(slope, (1,) * (len(x.shape) - 2) + (-1,))
    y = tf.nn.bias_add(tf.nn.relu(shifted) + (-slope) * tf.nn.relu(-shifted), zeta)
    return tf.cast(y, x.dtype)


@tf.custom_gradient
def trained_rprelu(
    x: tf.Tensor, gamma: tf.Tensor, slope: tf.Tensor, zeta: tf.Tensor
) -> tuple[tf.Tensor, Gradient]:
    r"""What `RPReLU` computes in training: the same with few passes over memory.

    The gradient at \\(x = \gamma\\) is that of the lower branch, as in PyTorch.
    """

    def grad(dy: tf.Tensor) -> tuple[tf.Tensor, ...]:
        dx, slopes = _rprelu_gradients(dy, x, gamma, slope)
        dshift, dslope, dzeta = (sum_of_channels(d, gamma.dtype) for d in (dx, slopes, dy))
        return dx, -dshift, dslope, dzeta

    return _rprelu(x, gamma, slope, zeta), grad


@fused
def _rprelu(x: tf.Tensor, gamma: tf.Tensor, slope: tf.Tensor, zeta: tf.Tensor) -> tf.Tensor:
    shifted = tf.cast(x, gamma.dtype) - gamma
    return tf.cast(tf.where(shifted > 0, shifted, slope * shifted) + zeta, x.dtype)


@fused
def _rprelu_gradients(
    dy: tf.Tensor, x: tf.Tensor, gamma: tf.Tensor, slope: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The gradients at `x` and, before they are added up, at `slope`."""
    shifted = tf.cast(x, gamma.dtype) - gamma
    upstream = tf.cast(dy, gamma.dtype)
    dx = tf.where(shifted > 0, upstream, slope * upstream)
    return tf.cast(dx, x.dtype), upstream * tf.minimum(shifted, 0)


@lq.utils.register_keras_custom_object
class Rotate180(tf.keras.layers.Layer):
    """Rotates images, `(batch, height, width, channels)`, by 180 degrees.

    If an image has an even number of pixels, a convolution of stride 2 pads one side only: the top
    and left in PyTorch, the bottom and right in TensorFlow with `"same"`. With a rotated image and
    rotated kernels, TensorFlow computes what PyTorch does. The layer becomes one REVERSE_V2 in
    TensorFlow Lite.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Rotate `inputs`."""
        return tf.reverse(inputs, [1, 2])


def rotates(model: tf.keras.Model) -> bool:
    """Whether `model` rotates its images. Its weights fit only models that do the same."""
    return any(isinstance(layer, Rotate180) for layer in model.layers)


def _channel_weight(
    layer: tf.keras.layers.Layer, name: str, input_shape: Shape, initializer: Initializer
) -> tf.Variable:
    """A weight of `layer` with a number for each channel of its input."""
    channels = tf.TensorShape(input_shape)[-1]
    if channels is None:
        raise ValueError(f"{layer.name} needs to know the number of channels, got {input_shape}.")
    # Under mixed precision it stays float32, and so does the arithmetic with it.
    return layer.add_weight(
        name, shape=(channels,), initializer=initializer, experimental_autocast=False
    )
