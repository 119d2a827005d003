"""Real-valued ResNet-18 and 34 (He et al., CVPR 2016): baselines, and teachers of binary networks.

Keras has no ResNet of basic blocks. Structure and constants are torchvision's, so that the stride
is in the first 3x3 convolution of a stage and in a 1x1 convolution of its shortcut.
"""

from typing import Any

from larq_reactnet._types import ImageShape
from larq_reactnet.zoo._build import finish, image_input, scaled
from larq_reactnet.zoo._layers import (
    batch_norm,
    classifier,
    resnet_stages,
    resnet_stem,
    resnet_stride,
)
from larq_reactnet.zoo.registry import register, variant_of

import tensorflow as tf

__all__ = ["ResNet18", "ResNet34"]

_ABOUT = {
    "paper": "ResNet",
    "year": 2016,
    "url": "https://arxiv.org/abs/1512.03385",
    "small": {"width": 0.125, "stem_strides": 1},
}


def _resnet(
    name: str,
    blocks: tuple[int, ...],
    *,
    input_shape: ImageShape | None = None,
    input_tensor: tf.Tensor | None = None,
    weights: str | None = None,
    include_top: bool = True,
    num_classes: int = 1000,
    classifier_activation: str | None = "softmax",
    width: float = 1.0,
    stem_strides: int = 2,
) -> tf.keras.Model:
    """A ResNet of `blocks` basic blocks in its four stages.

    Args:
        width: Multiplies the number of channels, which become multiples of 8.
        stem_strides: 2 for a 7x7 convolution and max-pooling, both of stride 2; 1 for a 3x3
            convolution only, which suits images of 32x32.

    References:
        - [Deep Residual Learning for Image Recognition](https://arxiv.org/abs/1512.03385)
    """
    inputs = image_input(
        input_shape, input_tensor, include_top, smallest=resnet_stride(stem_strides)
    )

    def conv_bn(x: tf.Tensor, filters: int, kernel_size: int, strides: int, name: str) -> tf.Tensor:
        x = tf.keras.layers.Conv2D(
            filters,
            kernel_size,
            strides=strides,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=name,
        )(x)
        return batch_norm(f"{name}_bn")(x)

    def block(x: tf.Tensor, filters: int, strides: int, name: str) -> tf.Tensor:
        around = x
        if strides > 1 or filters != x.shape[-1]:
            around = conv_bn(x, filters, 1, strides, f"{name}_shortcut")
        x = conv_bn(x, filters, 3, strides, f"{name}_a")
        x = tf.keras.layers.Activation("relu", name=f"{name}_a_relu")(x)
        x = conv_bn(x, filters, 3, 1, f"{name}_b")
        x = tf.keras.layers.Add(name=f"{name}_add")([x, around])
        return tf.keras.layers.Activation("relu", name=f"{name}_relu")(x)

    channels = [scaled(filters, width) for filters in (64, 128, 256, 512)]
    x = resnet_stem(inputs, channels[0], stem_strides, "he_normal", activation="relu")
    x = resnet_stages(x, blocks, channels, block)
    if include_top:
        x = classifier(x, num_classes, classifier_activation, "glorot_uniform")
    return finish(inputs, x, name, weights)


@register("resnet18", **_ABOUT)
@variant_of(_resnet)
def ResNet18(**kwargs: Any) -> tf.keras.Model:
    """ResNet-18, real-valued."""
    return _resnet("resnet18", (2, 2, 2, 2), **kwargs)


@register("resnet34", **_ABOUT)
@variant_of(_resnet)
def ResNet34(**kwargs: Any) -> tf.keras.Model:
    """ResNet-34, real-valued: the teacher of the official ReActNet."""
    return _resnet("resnet34", (3, 4, 6, 3), **kwargs)
