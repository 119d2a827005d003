r"""ReActNet: MobileNetV1 made binary, with RSign and RPReLU (Liu et al., ECCV 2020).

A block is two binary convolutions with a shortcut around each. Where the channels double,
ReActNet-A duplicates the second one and concatenates the results:

```
x ─ RSign ─ 3x3 ─ BN ─(+)─ RPReLU ─ y ─ RSign ─ 1x1 ─ BN ─(+)─ RPReLU
└─ (2x2 average if strided) ─┘      └──────────────────────┘

                               y ─ RSign ┬ 1x1 ─ BN ─(+ y)─┬ concat ─ RPReLU
                                         └ 1x1 ─ BN ─(+ y)─┘
```

ReActNet-B and C have one real 1x1 convolution there, in 4 groups and in one:

```
                               y ─ real 1x1 ─ BN ─(+ concat(y, y))─ RPReLU
```

Structure and constants are those of the official code, https://github.com/liuzechun/ReActNet,
where it differs from the figures of the paper. There is no official code of B and C: that their
real convolutions take `y` as it is, without a sign, and keep the shortcut is chosen here.
"""

from typing import Any

from larq_reactnet._types import ImageShape, Quantizer
from larq_reactnet.layers import LearnableBias, Rotate180, RPReLU
from larq_reactnet.quantizers import RSign
from larq_reactnet.zoo._build import finish, image_input, scaled
from larq_reactnet.zoo._layers import batch_norm, binary_conv, classifier, uniform
from larq_reactnet.zoo.registry import register, variant_of

import tensorflow as tf

__all__ = ["ReActNetA", "ReActNetB", "ReActNetC"]

# Output channels of the blocks, in units of the 32 of the stem, and strides, as in MobileNetV1.
_BLOCKS = [
    (2, 1),
    (4, 2),
    (4, 1),
    (8, 2),
    (8, 1),
    (16, 2),
    *[(16, 1)] * 5,
    (32, 2),
    (32, 1),
]

_SURROGATE = "approx_sign"
_ABOUT = {
    "paper": "ReActNet",
    "year": 2020,
    "url": "https://arxiv.org/abs/2003.03488",
    "small": {"width": 0.25, "stem_strides": 1},
}


def activate(x: tf.Tensor, kind: str | None, name: str) -> tf.Tensor:
    """ReActNet's activation of `x`, or what its ablation has in its place.

    Raises:
        ValueError: If `kind` is not `"rprelu"`, `"prelu"` or `None`.
    """
    if kind == "rprelu":
        return RPReLU(name=f"{name}_rprelu")(x)
    if kind == "prelu":
        quarter = tf.keras.initializers.Constant(0.25)
        return tf.keras.layers.PReLU(quarter, shared_axes=[1, 2], name=f"{name}_prelu")(x)
    if kind is None:
        return x
    raise ValueError(f"`activation` must be 'rprelu', 'prelu' or None, got {kind!r}.")


def _reactnet(
    name: str,
    groups: int | None,
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
    """A ReActNet whose channels double in `groups` of a real convolution, or in two binary ones.

    Args:
        width: Multiplies the number of channels; the 32 of the stem are rounded, the rest follows.
        stem_strides: Stride of the first convolution; 1 suits images of 32x32.
        rsign: `False` for the sign without learnable threshold of the paper's baseline network.
        activation: `"rprelu"`, or `"prelu"` or `None` as in the paper's ablation; its baseline
            network has `rsign=False, activation=None`.
        binary_weights: `False` for step 1 of the two-step training, where activations are binary
            and weights are real; `binarize_weights` then makes the model of step 2.
        torch_padding: Rotate images by 180 degrees first, for weights that
            `converters.load_torch_checkpoint` loads: the padding of strided convolutions then falls
            on the side where PyTorch's does.

    References:
        - [ReActNet: Towards Precise Binary Neural Network with Generalized Activation
            Functions](https://arxiv.org/abs/2003.03488)
    """
    inputs = image_input(input_shape, input_tensor, include_top, smallest=16 * stem_strides)
    kernel_quantizer = "react_sign" if binary_weights else None

    def sign() -> Quantizer:
        return RSign(_SURROGATE) if rsign else _SURROGATE

    def conv_bn_add(
        x: tf.Tensor, shortcut: tf.Tensor, input_quantizer: Quantizer, name: str, **kernel: int
    ) -> tf.Tensor:
        """A binary convolution that keeps the number of channels, and its shortcut."""
        x = binary_conv(
            x,
            x.shape[-1],
            input_quantizer=input_quantizer,
            kernel_quantizer=kernel_quantizer,
            kernel_initializer=uniform(),
            name=name,
            exact_padding=torch_padding,
            **kernel,
        )
        x = batch_norm(f"{name}_bn")(x)
        return tf.keras.layers.Add(name=f"{name}_add")([x, shortcut])

    def double(y: tf.Tensor, name: str) -> tf.Tensor:
        """Twice as many channels as `y` has."""
        if groups is not None:
            x = tf.keras.layers.Conv2D(
                2 * y.shape[-1],
                1,
                groups=groups,
                use_bias=False,
                kernel_initializer=uniform(),
                name=name,
            )(y)
            x = batch_norm(f"{name}_bn")(x)
            twice = tf.keras.layers.Concatenate(name=f"{name}_twice")([y, y])
            return tf.keras.layers.Add(name=f"{name}_add")([x, twice])
        # The figure in the paper gives each branch an RSign; in the code they share one, which is
        # this shift before both signs.
        shifted = LearnableBias(name=f"{name}_shift")(y) if rsign else y
        branches = [
            conv_bn_add(shifted, y, _SURROGATE, f"{name}_{branch}", kernel_size=1)
            for branch in "ab"
        ]
        return tf.keras.layers.Concatenate(name=f"{name[:-4]}_concat")(branches)

    x = Rotate180(name="rotate")(inputs) if torch_padding else inputs
    stem = scaled(32, width, divisor=groups or 1)
    x = tf.keras.layers.Conv2D(
        stem,
        3,
        strides=stem_strides,
        padding="same",
        use_bias=False,
        kernel_initializer=uniform(),
        name="stem",
    )(x)
    x = batch_norm("stem_bn")(x)  # no activation follows
    for index, (multiple, strides) in enumerate(_BLOCKS, 1):
        name_3x3, name_1x1 = f"block{index}_3x3", f"block{index}_1x1"
        around = x
        if strides == 2:
            around = tf.keras.layers.AveragePooling2D(2, padding="same", name=f"block{index}_pool")(
                x
            )
        y = conv_bn_add(x, around, sign(), name_3x3, kernel_size=3, strides=strides)
        y = activate(y, activation, name_3x3)
        if y.shape[-1] == multiple * stem:
            x = conv_bn_add(y, y, sign(), name_1x1, kernel_size=1)
        else:
            x = double(y, name_1x1)
        x = activate(x, activation, name_1x1)
    if include_top:
        x = classifier(x, num_classes, classifier_activation, uniform())
    return finish(inputs, x, name, weights)


@register("reactnet_a", **_ABOUT)
@variant_of(_reactnet)
def ReActNetA(**kwargs: Any) -> tf.keras.Model:
    """ReActNet-A: every convolution but the first is binary.

    | at 224x224 | BOPs | FLOPs | OPs | binary weights | all weights |
    | --- | --- | --- | --- | --- | --- |
    | | 4.817e9 | 0.119e8 | 0.871e8 | 28,253,184 | 29.4 M |

    The paper reports 69.4 % top-1 on ImageNet.

    !!! example
        ```python
        model = ReActNetA(input_shape=(32, 32, 3), num_classes=10, width=0.25, stem_strides=1)
        ```
    """
    return _reactnet("reactnet_a", None, **kwargs)


@register("reactnet_b", **_ABOUT)
@variant_of(_reactnet)
def ReActNetB(**kwargs: Any) -> tf.keras.Model:
    """ReActNet-B: the channels double in real 1x1 convolutions of 4 groups.

    | at 224x224 | BOPs | FLOPs | OPs | binary weights | all weights |
    | --- | --- | --- | --- | --- | --- |
    | | 4.688e9 | 0.440e8 | 1.172e8 | 27,554,816 | 28.8 M |

    The paper reports 70.1 % top-1 on ImageNet. It prints the same BOPs and FLOPs and 1.63e8 OPs,
    which its own rule, OPs = BOPs / 64 + FLOPs, does not give.
    """
    return _reactnet("reactnet_b", 4, **kwargs)


@register("reactnet_c", **_ABOUT)
@variant_of(_reactnet)
def ReActNetC(**kwargs: Any) -> tf.keras.Model:
    """ReActNet-C: the channels double in real 1x1 convolutions.

    | at 224x224 | BOPs | FLOPs | OPs | binary weights | all weights |
    | --- | --- | --- | --- | --- | --- |
    | | 4.688e9 | 1.403e8 | 2.136e8 | 27,554,816 | 29.4 M |

    The paper reports 71.4 % top-1 on ImageNet.
    """
    return _reactnet("reactnet_c", 1, **kwargs)
