"""Layers that several architectures of the zoo are made of."""

from collections.abc import Callable, Sequence
from typing import Any

from larq_reactnet._types import Initializer, Quantizer

import larq as lq
import tensorflow as tf

__all__ = [
    "batch_norm",
    "binary_conv",
    "classifier",
    "map_size",
    "resnet_stages",
    "resnet_stem",
    "resnet_stride",
    "shortcut",
    "uniform",
]


def batch_norm(name: str, **kwargs: Any) -> tf.keras.layers.Layer:
    """Batch normalization with the constants of PyTorch."""
    return tf.keras.layers.BatchNormalization(
        **{"momentum": 0.9, "epsilon": 1e-5, "name": name, **kwargs}
    )


def uniform() -> tf.keras.initializers.Initializer:
    """PyTorch's default for convolutions and dense layers: uniform in +-1 / sqrt(fan_in)."""
    return tf.keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


def binary_conv(
    x: tf.Tensor,
    filters: int,
    kernel_size: int,
    *,
    strides: int = 1,
    input_quantizer: Quantizer,
    kernel_quantizer: Quantizer,
    kernel_initializer: Initializer,
    name: str,
    exact_padding: bool = False,
) -> tf.Tensor:
    """A binary convolution without bias.

    It pads with zeros, as in PyTorch. But it pads with ones where the map is smaller than the
    kernel, because LCE computes zero padding wrongly there, unless `exact_padding` is set.
    """
    is_tiny = any(size is not None and size < kernel_size for size in x.shape[1:3])
    return lq.layers.QuantConv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        pad_values=1.0 if is_tiny and not exact_padding else 0.0,
        use_bias=False,
        input_quantizer=input_quantizer,
        kernel_quantizer=kernel_quantizer,
        kernel_initializer=kernel_initializer,
        # The papers' code does not clip. There, a weight that has left [-1, 1] gets no gradient.
        kernel_constraint="weight_clip",
        name=name,
    )(x)


def resnet_stem(
    x: tf.Tensor,
    filters: int,
    strides: int,
    initializer: Initializer,
    activation: str | None = None,
    **bn: Any,
) -> tf.Tensor:
    """The first layers of a ResNet.

    If `strides` is 2, they are a 7x7 convolution and 3x3 max-pooling, both of stride 2. If it is 1,
    as is usual for images of 32x32, they are only a 3x3 convolution.
    """
    x = tf.keras.layers.Conv2D(
        filters,
        {1: 3, 2: 7}[strides],
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer=initializer,
        name="stem",
    )(x)
    x = batch_norm("stem_bn", **bn)(x)
    if activation is not None:
        x = tf.keras.layers.Activation(activation, name=f"stem_{activation}")(x)
    if strides == 2:
        x = tf.keras.layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    return x


def resnet_stride(stem_strides: int) -> int:
    """Total stride of a ResNet with this stem.

    Raises:
        ValueError: If `stem_strides` is neither 1 nor 2.
    """
    if stem_strides not in (1, 2):
        raise ValueError(f"`stem_strides` must be 1 or 2, got {stem_strides!r}.")
    return {1: 8, 2: 32}[stem_strides]


def shortcut(
    x: tf.Tensor, filters: int, strides: int, name: str, initializer: Initializer, **bn: Any
) -> tf.Tensor:
    """The shortcut of Bi-Real Net around a block that takes `x`.

    It is `x` itself, or where the block changes the shape, the 2x2 average of `x` through a real
    1x1 convolution.
    """
    if x.shape[-1] == filters and strides == 1:
        return x
    if strides == 2:
        x = tf.keras.layers.AveragePooling2D(2, padding="same", name=f"{name}_pool")(x)
    x = tf.keras.layers.Conv2D(
        filters, 1, use_bias=False, kernel_initializer=initializer, name=f"{name}_conv"
    )(x)
    return batch_norm(f"{name}_bn", **bn)(x)


def resnet_stages(
    x: tf.Tensor,
    blocks: Sequence[int],
    channels: Sequence[int],
    block: Callable[[tf.Tensor, int, int, str], tf.Tensor],
) -> tf.Tensor:
    """The stages of a ResNet: all but the first begin with a block of stride 2.

    Args:
        x: Output of the stem.
        blocks: Number of blocks in each stage.
        channels: Number of channels of each stage.
        block: Function of a tensor, the number of output channels, the stride, and a name.
    """
    for stage, (repeats, filters) in enumerate(zip(blocks, channels, strict=True), 1):
        for index in range(1, repeats + 1):
            strides = 2 if stage > 1 and index == 1 else 1
            x = block(x, filters, strides, f"stage{stage}_block{index}")
    return x


def classifier(
    x: tf.Tensor, num_classes: int, activation: str | None, kernel_initializer: Initializer
) -> tf.Tensor:
    """The last layers of a network: global average, dense layer and activation."""
    x = tf.keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = tf.keras.layers.Dense(num_classes, kernel_initializer=kernel_initializer, name="logits")(x)
    return tf.keras.layers.Activation(activation, dtype="float32", name="output")(x)


def map_size(x: tf.Tensor) -> tuple[int, int]:
    """Height and width of `x`: the kernel size of a dense layer that is written as a convolution.

    Raises:
        ValueError: If they are not known.
    """
    height, width = x.shape[1:3]
    if height is None or width is None:
        raise ValueError("The dense layers need a fixed `input_shape`, or `include_top=False`.")
    return height, width
