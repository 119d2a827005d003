r"""ReActNet-18 and 34: Bi-Real Net with RSign and RPReLU (Liu et al., ECCV 2020).

```
x ─ RSign ─ 3x3 ─ BN ─(+)─ RPReLU
└─ (2x2 average ─ real 1x1 ─ BN, if strided) ─┘
```

Structure and constants are those of the folder `resnet` of the official code,
https://github.com/liuzechun/ReActNet. It has no ReActNet-34: that is Bi-Real Net 34 with the same
block.
"""

from typing import Any

from larq_reactnet._types import ImageShape
from larq_reactnet.layers import Rotate180
from larq_reactnet.quantizers import RSign
from larq_reactnet.zoo._build import finish, image_input, scaled
from larq_reactnet.zoo._layers import (
    batch_norm,
    binary_conv,
    classifier,
    resnet_stages,
    resnet_stem,
    resnet_stride,
    shortcut,
    uniform,
)
from larq_reactnet.zoo.reactnet import activate
from larq_reactnet.zoo.registry import register, variant_of

import tensorflow as tf

__all__ = ["ReActNet18", "ReActNet34"]

_ABOUT = {
    "paper": "ReActNet",
    "year": 2020,
    "url": "https://arxiv.org/abs/2003.03488",
    "small": {"width": 0.125, "stem_strides": 1},
}


def _reactnet(
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
    rsign: bool = True,
    activation: str | None = "rprelu",
    binary_weights: bool = True,
    torch_padding: bool = False,
) -> tf.keras.Model:
    """A ReActNet of `blocks` binary convolutions in its four stages.

    Args:
        width: Multiplies the number of channels, which become multiples of 8.
        stem_strides: 2 for a 7x7 convolution and max-pooling, both of stride 2; 1 for a 3x3
            convolution only, which suits images of 32x32.
        rsign: `False` for the sign without learnable threshold.
        activation: `"rprelu"`, or `"prelu"` or `None` as in the paper's ablation.
        binary_weights: `False` for step 1 of the two-step training, where activations are binary
            and weights are real; `binarize_weights` then makes the model of step 2.
        torch_padding: Rotate images by 180 degrees first, for weights that
            `converters.load_torch_checkpoint` loads: the padding of strided convolutions then falls
            on the side where PyTorch's does.

    References:
        - [ReActNet: Towards Precise Binary Neural Network with Generalized Activation
            Functions](https://arxiv.org/abs/2003.03488)
    """
    inputs = image_input(
        input_shape, input_tensor, include_top, smallest=resnet_stride(stem_strides)
    )

    def block(x: tf.Tensor, filters: int, strides: int, name: str) -> tf.Tensor:
        around = shortcut(x, filters, strides, f"{name}_shortcut", uniform())
        x = binary_conv(
            x,
            filters,
            3,
            strides=strides,
            input_quantizer=RSign() if rsign else "approx_sign",
            kernel_quantizer="react_sign" if binary_weights else None,
            kernel_initializer=uniform(),
            name=name,
            exact_padding=torch_padding,
        )
        x = batch_norm(f"{name}_bn")(x)
        x = tf.keras.layers.Add(name=f"{name}_add")([x, around])
        return activate(x, activation, name)

    channels = [scaled(filters, width) for filters in (64, 128, 256, 512)]
    x = Rotate180(name="rotate")(inputs) if torch_padding else inputs
    x = resnet_stem(x, channels[0], stem_strides, uniform())  # no activation follows
    x = resnet_stages(x, blocks, channels, block)
    if include_top:
        x = classifier(x, num_classes, classifier_activation, uniform())
    return finish(inputs, x, name, weights)


@register("reactnet_18", **_ABOUT)
@variant_of(_reactnet)
def ReActNet18(**kwargs: Any) -> tf.keras.Model:
    """ReActNet-18.

    | at 224x224 | BOPs | FLOPs | OPs | binary weights | all weights |
    | --- | --- | --- | --- | --- | --- |
    | | 1.676e9 | 1.378e8 | 1.640e8 | 10,985,472 | 11.7 M |

    The paper reports 65.5 % top-1 on ImageNet, the README of its code 65.9 %.
    """
    return _reactnet("reactnet_18", (4, 4, 4, 4), **kwargs)


@register("reactnet_34", **_ABOUT)
@variant_of(_reactnet)
def ReActNet34(**kwargs: Any) -> tf.keras.Model:
    """ReActNet-34, of which the paper reports nothing.

    | at 224x224 | BOPs | FLOPs | OPs | binary weights | all weights |
    | --- | --- | --- | --- | --- | --- |
    | | 3.526e9 | 1.378e8 | 1.929e8 | 21,086,208 | 21.8 M |
    """
    return _reactnet("reactnet_34", (6, 8, 12, 6), **kwargs)
