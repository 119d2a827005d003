r"""The networks of BNN+ (Darabi et al., 2018).

A binary layer is, as in the paper's algorithm 1: sign, binary convolution scaled by the trained
alpha, (max-pooling), batch normalization. First and last layer are real. Dense layers are written
as convolutions, because that is what Larq Compute Engine makes binary kernels of.
"""

from larq_reactnet.quantizers import BNNPlusSign, SwishSign
from larq_reactnet.regularizers import R1, R2
from larq_reactnet.zoo._build import finish, image_input, scaled
from larq_reactnet.zoo.registry import register

import larq as lq
import tensorflow as tf

__all__ = ["BNNPlusAlexNet"]

_REGULARIZERS = {"r1": R1, "r2": R2}


@register(
    "bnn_plus_alexnet",
    paper="BNN+ (2018)",
    url="https://arxiv.org/abs/1812.11800",
    small={"width": 0.125},
)
def BNNPlusAlexNet(
    *,
    input_shape: tuple[int | None, ...] | None = (32, 32, 3),
    input_tensor: tf.Tensor | None = None,
    weights: str | None = None,
    include_top: bool = True,
    num_classes: int = 10,
    classifier_activation: str | None = "softmax",
    width: float = 1.0,
    beta: float = 5.0,
    regularizer: str | None = "r1",
    strength: float = 1e-6,
    binary_weights: bool = True,
) -> tf.keras.Model:
    """BNN+'s AlexNet for CIFAR-10; the paper (version 2) reports 87.4 %.

    The paper takes the AlexNet of Krizhevsky's "One weird trick" (2014) and does not say how it is
    fitted to 32x32 images. Chosen here: its widths 64, 192, 384, 256, 256, 4096, 4096; a 5x5 stem
    of stride 1; 3x3 max-pooling of stride 2 after the first, second and fifth convolution.

    Args:
        input_shape: `(height, width, channels)`.
        input_tensor: Keras tensor to use as input.
        weights: `None` for random initialization, or the path of a weights file.
        include_top: Whether to end in the three dense layers.
        num_classes: Number of classes.
        classifier_activation: `"softmax"`, or `None` for logits.
        width: Multiplies the number of channels, which become multiples of 8.
        beta: Of the SignSwish gradients; the paper uses 5 and 10.
        regularizer: `"r1"`, `"r2"` or `None`.
        strength: Of the regularizer; the paper uses 1e-6 for CIFAR-10.
        binary_weights: `False` for binary activations with real weights.

    Returns:
        A Keras model, not compiled.

    Raises:
        ValueError: If an argument has a bad value, or the images are smaller than the stride.

    References:
        - [BNN+: Improved Binary Network Training](https://arxiv.org/abs/1812.11800)
    """
    if regularizer not in (None, *_REGULARIZERS):
        raise ValueError(f"`regularizer` must be 'r1', 'r2' or None, got {regularizer!r}.")
    inputs = image_input(input_shape, input_tensor, stride=8)

    def binary_conv(
        filters: int, kernel_size: int | tuple[int, int], padding: str, name: str
    ) -> tf.keras.layers.Layer:
        penalty = _REGULARIZERS[regularizer](strength) if regularizer else None
        return lq.layers.QuantConv2D(
            scaled(filters, width),
            kernel_size,
            padding=padding,
            pad_values=1.0,  # a padding that is binary too, which is the cheapest when deployed
            use_bias=False,
            input_quantizer=SwishSign(beta),
            kernel_quantizer=BNNPlusSign(beta, penalty) if binary_weights else None,
            # BNN+ does not clip. This bound is far outside of where alpha and the regularizers
            # keep the weights; it answers Larq, which warns of kernels without a constraint.
            kernel_constraint="weight_clip",
            name=name,
        )

    x = tf.keras.layers.Conv2D(scaled(64, width), 5, padding="same", use_bias=False, name="conv1")(
        inputs
    )
    x = _pool("pool1")(x)
    x = _batch_norm("bn1")(x)
    for index, filters in enumerate((192, 384, 256, 256), 2):
        x = binary_conv(filters, 3, "same", f"conv{index}")(x)
        if index in (2, 5):
            x = _pool(f"pool{index}")(x)
        x = _batch_norm(f"bn{index}")(x)
    if include_top:
        if None in x.shape[1:3]:
            raise ValueError("The dense layers need a fixed `input_shape`, or `include_top=False`.")
        x = binary_conv(4096, tuple(x.shape[1:3]), "valid", "dense6")(x)
        x = _batch_norm("bn6")(x)
        x = binary_conv(4096, 1, "valid", "dense7")(x)
        x = _batch_norm("bn7")(x)
        x = tf.keras.layers.Flatten(name="flatten")(x)
        x = tf.keras.layers.Dense(num_classes, name="logits")(x)
        x = tf.keras.layers.Activation(classifier_activation, dtype="float32", name="output")(x)
    return finish(inputs, x, "bnn_plus_alexnet", weights)


def _pool(name: str) -> tf.keras.layers.Layer:
    return tf.keras.layers.MaxPooling2D(3, strides=2, padding="same", name=name)


def _batch_norm(name: str) -> tf.keras.layers.Layer:
    return tf.keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)
