r"""The layers of ReActNet: RPReLU and the learnable shift, and the rotation of images."""

from typing import Any

from larq_reactnet._fused import Gradient, fused, sum_of_channels
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
        shape = (_channels(self, input_shape),)
        self.bias = self.add_weight("bias", shape=shape, initializer=self.bias_initializer)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Add the bias to `inputs`, whose last axis is channels."""
        return tf.nn.bias_add(inputs, self.bias)

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
        shape = (_channels(self, input_shape),)
        self.gamma = self.add_weight("gamma", shape=shape, initializer="zeros")
        self.slope = self.add_weight("slope", shape=shape, initializer=self.slope_initializer)
        self.zeta = self.add_weight("zeta", shape=shape, initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Apply the function to `inputs`, whose last axis is channels."""
        if training is True:
            weights = (self.gamma, self.slope, self.zeta)
            return trained_rprelu(inputs, *map(tf.convert_to_tensor, weights))
        x = tf.nn.bias_add(inputs, -self.gamma)  # an ADD when converted; `-` would be a SUB
        # LCE makes one PRELU of exactly this form, with a slope of one rank less than its input.
        slope = tf.reshape(self.slope, (1,) * (len(inputs.shape) - 2) + (-1,))
        return tf.nn.bias_add(tf.nn.relu(x) + (-slope) * tf.nn.relu(-x), self.zeta)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        initializer = tf.keras.initializers.serialize(self.slope_initializer)
        return {**super().get_config(), "slope_initializer": initializer}


@fused
def _rprelu(x: tf.Tensor, gamma: tf.Tensor, slope: tf.Tensor, zeta: tf.Tensor) -> tf.Tensor:
    x = x - gamma
    return tf.where(x > 0, x, slope * x) + zeta


@fused
def _rprelu_gradients(
    dy: tf.Tensor, x: tf.Tensor, gamma: tf.Tensor, slope: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The gradients at `x` and, before they are added up, at `slope`."""
    x = x - gamma
    return tf.where(x > 0, dy, slope * dy), dy * tf.minimum(x, 0)


@tf.custom_gradient
def trained_rprelu(
    x: tf.Tensor, gamma: tf.Tensor, slope: tf.Tensor, zeta: tf.Tensor
) -> tuple[tf.Tensor, Gradient]:
    """What `RPReLU` computes in training, with few passes over memory."""

    def grad(dy: tf.Tensor) -> tuple[tf.Tensor, ...]:
        dx, dslope = _rprelu_gradients(dy, x, gamma, slope)
        return dx, -sum_of_channels(dx), sum_of_channels(dslope), sum_of_channels(dy)

    return _rprelu(x, gamma, slope, zeta), grad


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


def _channels(layer: tf.keras.layers.Layer, input_shape: Shape) -> int:
    channels = tf.TensorShape(input_shape)[-1]
    if channels is None:
        raise ValueError(f"{layer.name} needs to know the number of channels, got {input_shape}.")
    return int(channels)
