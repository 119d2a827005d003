"""BinaryNet, or BNN (Hubara et al., NIPS 2016), for CIFAR-10: the first binary network."""

from larq_reactnet._types import ImageShape
from larq_reactnet.zoo._build import finish, image_input, scaled
from larq_reactnet.zoo._layers import map_size
from larq_reactnet.zoo.registry import register

import larq as lq
import tensorflow as tf

__all__ = ["BinaryNet"]


@register(
    "binarynet",
    paper="BinaryNet",
    year=2016,
    url="https://arxiv.org/abs/1602.02830",
    small={"width": 0.125},
)
def BinaryNet(
    *,
    input_shape: ImageShape | None = (32, 32, 3),
    input_tensor: tf.Tensor | None = None,
    weights: str | None = None,
    include_top: bool = True,
    num_classes: int = 10,
    classifier_activation: str | None = "softmax",
    width: float = 1.0,
) -> tf.keras.Model:
    """BinaryNet for CIFAR-10; the paper reports 89.9 %.

    A VGG of six 3x3 convolutions of 128, 128, 256, 256, 512 and 512 channels with 2x2 max-pooling
    after every second, and dense layers of 1024, 1024 and the classes. All weights are binary,
    those of the first layer too, whose inputs are not (in the `.tflite` it is a float convolution).
    Every layer ends in batch normalization.

    The paper trains with the squared hinge loss on what is the logits here; this network ends in a
    softmax like all of the zoo. Padding is one, which is binary, where the paper pads with zero.

    Args:
        width: Multiplies the number of channels, which become multiples of 8.

    References:
        - [Binarized Neural Networks](https://arxiv.org/abs/1602.02830)
    """
    inputs = image_input(input_shape, input_tensor, include_top, smallest=8)

    def layer(
        x: tf.Tensor, filters: int, kernel_size: int | tuple[int, int], name: str, pool: bool
    ) -> tf.Tensor:
        x = lq.layers.QuantConv2D(
            filters,
            kernel_size,
            padding="same" if kernel_size == 3 else "valid",
            pad_values=1.0,
            use_bias=False,
            input_quantizer=None if x is inputs else "ste_sign",
            kernel_quantizer="ste_sign",
            kernel_constraint="weight_clip",
            name=name,
        )(x)
        if pool:
            x = tf.keras.layers.MaxPooling2D(2, padding="same", name=f"{name}_pool")(x)
        return tf.keras.layers.BatchNormalization(
            momentum=0.9, epsilon=1e-4, scale=False, name=f"{name}_bn"
        )(x)

    x = inputs
    for index, filters in enumerate((128, 128, 256, 256, 512, 512), 1):
        x = layer(x, scaled(filters, width), 3, f"conv{index}", pool=index % 2 == 0)
    if include_top:
        units = scaled(1024, width)
        x = layer(x, units, map_size(x), "dense7", pool=False)
        x = layer(x, units, 1, "dense8", pool=False)
        x = layer(x, num_classes, 1, "logits", pool=False)
        x = tf.keras.layers.Flatten(name="flatten")(x)
        x = tf.keras.layers.Activation(classifier_activation, dtype="float32", name="output")(x)
    return finish(inputs, x, "binarynet", weights)
