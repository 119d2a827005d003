r"""MeliusNet (Bethge et al., 2020): dense blocks that add channels, and blocks that improve them.

```
x ─┬────────────────────── concat ─ y ─┬───────────────────────────────────(+)
   └ BN ─ sign ─ 3x3, 64 ────┘         └ BN ─ sign ─ 3x3, 64 ─ last channels ┘
```

Larq Zoo has MeliusNet-22, made of `Lambda` layers that Keras cannot load again. These are all four
without such layers. MeliusNet-22 has its weights in the same order as Larq Zoo's, so that Larq's
pretrained weights fit.
"""

from collections.abc import Callable
from typing import Any

from larq_reactnet._types import ImageShape
from larq_reactnet.zoo._build import finish, image_input
from larq_reactnet.zoo._layers import batch_norm
from larq_reactnet.zoo.registry import register, variant_of

import larq as lq
import tensorflow as tf

__all__ = ["MeliusNet22", "MeliusNet29", "MeliusNet42", "MeliusNet59"]

_ABOUT = {
    "paper": "MeliusNet",
    "year": 2020,
    "url": "https://arxiv.org/abs/2001.05936",
}
_CLIP = 1.3
_GROWTH = 64  # channels that a block adds or improves


def _meliusnet(
    name: str,
    blocks: tuple[int, ...],
    transitions: tuple[int, ...],
    *,
    input_shape: ImageShape | None = None,
    input_tensor: tf.Tensor | None = None,
    weights: str | None = None,
    include_top: bool = True,
    num_classes: int = 1000,
    classifier_activation: str | None = "softmax",
    stem_strides: int = 2,
) -> tf.keras.Model:
    """A MeliusNet of `blocks` blocks in its sections, and `transitions` channels between them.

    Args:
        stem_strides: Stride of the first convolution; 1 suits small images.

    References:
        - [MeliusNet: Can Binary Neural Networks Achieve MobileNet-level
            Accuracy?](https://arxiv.org/abs/2001.05936)
    """
    inputs = image_input(input_shape, input_tensor, include_top, smallest=16 * stem_strides)
    x = _conv_bn_relu(_conv(32, 3, "stem_s0_conv", strides=stem_strides), "stem_s0")(inputs)
    x = _conv_bn_relu(_group_conv(32, 4, "stem_s1"), "stem_s1")(x)
    x = _conv_bn_relu(_group_conv(64, 8, "stem_s2"), "stem_s2")(x)
    x = tf.keras.layers.MaxPooling2D(2, padding="same", name="stem_pool")(x)
    for section, repeats in enumerate(blocks):
        for index in range(repeats):
            block = f"section_{section}_block_{index}"
            grown = _grow(x, f"{block}_dense")
            x = tf.keras.layers.Concatenate(name=f"{block}_dense_concat")([x, grown])
            improvement = _grow(x, f"{block}_improve")
            x = _add_to_last_channels(x, improvement, f"{block}_improve")
        if section < len(transitions):
            x = _transition(x, transitions[section], f"section_{section}_transition")
    x = batch_norm("head_bn")(x)
    x = tf.keras.layers.Activation("relu", name="head_relu")(x)
    if include_top:
        x = tf.keras.layers.GlobalAveragePooling2D(name="head_globalpool")(x)
        x = tf.keras.layers.Dense(
            num_classes, kernel_initializer="glorot_normal", name="head_dense"
        )(x)
        x = tf.keras.layers.Activation(classifier_activation, dtype="float32", name="output")(x)
    return finish(inputs, x, name, weights)


def _conv(filters: int, kernel_size: int, name: str, strides: int = 1) -> tf.keras.layers.Layer:
    """A real convolution."""
    return tf.keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="glorot_normal",
        name=name,
    )


def _group_conv(filters: int, groups: int, name: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """A real 3x3 convolution in groups: one layer for each group, as in Larq Zoo's weights."""

    def apply(x: tf.Tensor) -> tf.Tensor:
        size = x.shape[-1] // groups
        parts = [
            _conv(filters // groups, 3, f"{name}_groupconv_conv{index}")(
                x[..., index * size : (index + 1) * size]
            )
            for index in range(groups)
        ]
        return tf.keras.layers.Concatenate(name=f"{name}_groupconv_concat")(parts)

    return apply


def _conv_bn_relu(
    conv: Callable[[tf.Tensor], tf.Tensor], name: str
) -> Callable[[tf.Tensor], tf.Tensor]:
    def apply(x: tf.Tensor) -> tf.Tensor:
        x = batch_norm(f"{name}_bn")(conv(x))
        return tf.keras.layers.Activation("relu", name=f"{name}_relu")(x)

    return apply


def _grow(x: tf.Tensor, name: str) -> tf.Tensor:
    """64 channels out of all of `x`, by a binary convolution."""
    x = batch_norm(f"{name}_bn")(x)
    return lq.layers.QuantConv2D(
        _GROWTH,
        3,
        padding="same",
        pad_values=1.0 if min(size or 3 for size in x.shape[1:3]) < 3 else 0.0,
        use_bias=False,
        input_quantizer=lq.quantizers.SteSign(_CLIP),
        kernel_quantizer=lq.quantizers.SteSign(_CLIP),
        kernel_constraint=lq.constraints.WeightClip(_CLIP),
        kernel_initializer="glorot_normal",
        name=f"{name}_binconv",
    )(x)


def _add_to_last_channels(x: tf.Tensor, improvement: tf.Tensor, name: str) -> tf.Tensor:
    """`x` with its last 64 channels replaced by their sum with `improvement`."""
    last = tf.keras.layers.Add(name=f"{name}_add")([x[..., -_GROWTH:], improvement])
    return tf.keras.layers.Concatenate(name=f"{name}_merge")([x[..., :-_GROWTH], last])


def _transition(x: tf.Tensor, filters: int, name: str) -> tf.Tensor:
    """Half the size and `filters` channels, by a real convolution."""
    x = batch_norm(f"{name}_bn")(x)
    x = tf.keras.layers.MaxPooling2D(2, padding="same", name=f"{name}_maxpool")(x)
    x = tf.keras.layers.Activation("relu", name=f"{name}_relu")(x)
    return _conv(filters, 1, f"{name}_pw")(x)


@register("meliusnet22", **_ABOUT)
@variant_of(_meliusnet)
def MeliusNet22(**kwargs: Any) -> tf.keras.Model:
    """MeliusNet-22; Larq's pretrained weights have 62.4 % top-1 on ImageNet."""
    return _meliusnet("meliusnet22", (4, 5, 4, 4), (160, 224, 256), **kwargs)


@register("meliusnet29", **_ABOUT)
@variant_of(_meliusnet)
def MeliusNet29(**kwargs: Any) -> tf.keras.Model:
    """MeliusNet-29; the paper reports 65.8 % top-1 on ImageNet (recalled, not checked)."""
    return _meliusnet("meliusnet29", (4, 6, 8, 6), (128, 192, 256), **kwargs)


@register("meliusnet42", **_ABOUT)
@variant_of(_meliusnet)
def MeliusNet42(**kwargs: Any) -> tf.keras.Model:
    """MeliusNet-42; the paper reports 69.2 % top-1 on ImageNet (recalled, not checked)."""
    return _meliusnet("meliusnet42", (5, 8, 14, 10), (160, 256, 416), **kwargs)


@register("meliusnet59", **_ABOUT)
@variant_of(_meliusnet)
def MeliusNet59(**kwargs: Any) -> tf.keras.Model:
    """MeliusNet-59; the paper reports 70.7 % top-1 on ImageNet."""
    return _meliusnet("meliusnet59", (6, 12, 24, 12), (192, 320, 544), **kwargs)
