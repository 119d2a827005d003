r"""Bi-Real Net (Liu et al., ECCV 2018): a ResNet with a shortcut around every binary convolution.

```
x ─ sign ─ 3x3 ─ BN ─(+)
└─ (2x2 average ─ real 1x1 ─ BN, if strided) ─┘
```

Bi-Real Net 18 is Larq Zoo's: `birealnet18`. This is Bi-Real Net 34, which Larq Zoo lacks, with the
same block and constants.
"""

from typing import Any

from larq_reactnet._types import ImageShape
from larq_reactnet.zoo._build import finish, image_input, scaled
from larq_reactnet.zoo._layers import (
    batch_norm,
    binary_conv,
    classifier,
    resnet_stages,
    resnet_stem,
    resnet_stride,
    shortcut,
)
from larq_reactnet.zoo.registry import register

import tensorflow as tf

__all__ = ["BiRealNet34", "bi_real_net"]

_BN: dict[str, Any] = {"momentum": 0.8, "epsilon": 1e-3}  # Larq Zoo's


@register(
    "birealnet34",
    paper="Bi-Real Net",
    year=2018,
    url="https://arxiv.org/abs/1808.00278",
    small={"width": 0.125, "stem_strides": 1},
)
def BiRealNet34(
    *,
    input_shape: ImageShape | None = None,
    input_tensor: tf.Tensor | None = None,
    weights: str | None = None,
    include_top: bool = True,
    num_classes: int = 1000,
    classifier_activation: str | None = "softmax",
    width: float = 1.0,
    stem_strides: int = 2,
    binary_weights: bool = True,
) -> tf.keras.Model:
    """Bi-Real Net 34; the paper reports 62.2 % top-1 on ImageNet (recalled, not checked).

    Args:
        width: Multiplies the number of channels, which become multiples of 8.
        stem_strides: 2 for a 7x7 convolution and max-pooling, both of stride 2; 1 for a 3x3
            convolution only, which suits images of 32x32.
        binary_weights: `False` for binary activations with real weights.

    References:
        - [Bi-Real Net: Enhancing the Performance of 1-bit CNNs With Improved Representational
            Capability and Advanced Training Algorithm](https://arxiv.org/abs/1808.00278)
    """
    inputs = image_input(
        input_shape, input_tensor, include_top, smallest=resnet_stride(stem_strides)
    )
    x = bi_real_net(inputs, (6, 8, 12, 6), width, stem_strides, binary_weights)
    if include_top:
        x = classifier(x, num_classes, classifier_activation, "glorot_uniform")
    return finish(inputs, x, "birealnet34", weights)


def bi_real_net(
    x: tf.Tensor, blocks: tuple[int, ...], width: float, stem_strides: int, binary_weights: bool
) -> tf.Tensor:
    """The features of a Bi-Real Net of `blocks` binary convolutions in its four stages."""

    def block(x: tf.Tensor, filters: int, strides: int, name: str) -> tf.Tensor:
        around = shortcut(x, filters, strides, f"{name}_shortcut", "glorot_normal", **_BN)
        x = binary_conv(
            x,
            filters,
            3,
            strides=strides,
            input_quantizer="approx_sign",
            kernel_quantizer="magnitude_aware_sign" if binary_weights else None,
            kernel_initializer="glorot_normal",
            name=name,
        )
        x = batch_norm(f"{name}_bn", **_BN)(x)
        return tf.keras.layers.Add(name=f"{name}_add")([x, around])

    channels = [scaled(filters, width) for filters in (64, 128, 256, 512)]
    x = resnet_stem(x, channels[0], stem_strides, "glorot_normal", **_BN)
    return resnet_stages(x, blocks, channels, block)
