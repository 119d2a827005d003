r"""ReActNet: MobileNetV1 made binary, with RSign and RPReLU (Liu et al., ECCV 2020).

A block of ReActNet-A is two binary convolutions with a shortcut around each. Where the channels
double, the second one is duplicated and its results are concatenated:

```
x ─ RSign ─ 3x3 ─ BN ─(+)─ RPReLU ─ y ─ RSign ─ 1x1 ─ BN ─(+)─ RPReLU
└─ (2x2 average if strided) ─┘      └──────────────────────┘

                               y ─ RSign ┬ 1x1 ─ BN ─(+ y)─┬ concat ─ RPReLU
                                         └ 1x1 ─ BN ─(+ y)─┘
```

Structure and constants are those of the official code, https://github.com/liuzechun/ReActNet,
where it differs from the figures of the paper.
"""

from larq_reactnet.layers import LearnableBias, RPReLU
from larq_reactnet.quantizers import RSign
from larq_reactnet.zoo._build import finish, image_input, scaled
from larq_reactnet.zoo.registry import register

import larq as lq
import tensorflow as tf

__all__ = ["ReActNetA"]

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


@register(
    "reactnet_a",
    paper="ReActNet (ECCV 2020)",
    url="https://arxiv.org/abs/2003.03488",
    small={"width": 0.25, "stem_strides": 1},
)
def ReActNetA(
    *,
    input_shape: tuple[int | None, ...] | None = None,
    input_tensor: tf.Tensor | None = None,
    weights: str | None = None,
    include_top: bool = True,
    num_classes: int = 1000,
    classifier_activation: str | None = "softmax",
    width: float = 1.0,
    stem_strides: int = 2,
    binary_weights: bool = True,
) -> tf.keras.Model:
    """ReActNet-A.

    | at 224x224 | BOPs | FLOPs | OPs | binary weights | all weights |
    | --- | --- | --- | --- | --- | --- |
    | | 4.817e9 | 0.119e8 | 0.871e8 | 28,253,184 | 29.3 M |

    The paper reports 69.4 % top-1 on ImageNet.

    !!! example
        ```python
        model = ReActNetA(input_shape=(32, 32, 3), num_classes=10, width=0.25, stem_strides=1)
        ```

    Args:
        input_shape: `(height, width, channels)`, by default `(224, 224, 3)`.
        input_tensor: Keras tensor to use as input.
        weights: `None` for random initialization, or the path of a weights file.
        include_top: Whether to end in the global average and the classifier.
        num_classes: Number of classes.
        classifier_activation: `"softmax"`, or `None` for logits (distillation needs them).
        width: Multiplies the number of channels; the 32 of the stem are rounded, the rest follows.
        stem_strides: Stride of the first convolution; 1 suits images of 32x32.
        binary_weights: `False` for step 1 of the two-step training, where activations are binary
            and weights are real; `binarize_weights` then makes the model of step 2.

    Returns:
        A Keras model, not compiled.

    Raises:
        ValueError: If an argument has a bad value, or the images are smaller than the stride.

    References:
        - [ReActNet: Towards Precise Binary Neural Network with Generalized Activation
            Functions](https://arxiv.org/abs/2003.03488)
    """
    inputs = image_input(input_shape, input_tensor, stride=16 * stem_strides)
    kernel_quantizer = "react_sign" if binary_weights else None

    stem = scaled(32, width, divisor=1)
    x = tf.keras.layers.Conv2D(
        stem,
        3,
        strides=stem_strides,
        padding="same",
        use_bias=False,
        kernel_initializer=_uniform(),
        name="stem",
    )(inputs)
    x = _batch_norm("stem_bn")(x)  # no activation follows
    for index, (multiple, strides) in enumerate(_BLOCKS, 1):
        x = _block(x, multiple * stem, strides, kernel_quantizer, f"block{index}")
    if include_top:
        x = tf.keras.layers.GlobalAveragePooling2D(name="pool")(x)
        x = tf.keras.layers.Dense(num_classes, kernel_initializer=_uniform(), name="logits")(x)
        x = tf.keras.layers.Activation(classifier_activation, dtype="float32", name="output")(x)
    return finish(inputs, x, "reactnet_a", weights)


def _block(
    x: tf.Tensor, filters: int, strides: int, kernel_quantizer: str | None, name: str
) -> tf.Tensor:
    """A block with `filters` output channels: as many as its input has, or twice as many."""
    channels = x.shape[-1]
    shortcut = x
    if strides == 2:
        shortcut = tf.keras.layers.AveragePooling2D(2, padding="same", name=f"{name}_pool")(x)
    y = _binary_conv(x, 3, strides, RSign(_SURROGATE), kernel_quantizer, f"{name}_3x3")
    y = _batch_norm(f"{name}_3x3_bn")(y)
    y = tf.keras.layers.Add(name=f"{name}_3x3_add")([y, shortcut])
    y = RPReLU(name=f"{name}_3x3_rprelu")(y)

    if filters == channels:
        z = _pointwise(y, y, RSign(_SURROGATE), kernel_quantizer, f"{name}_1x1")
    else:
        # The figure in the paper gives each branch an RSign; in the code they share one, which is
        # this shift before both signs.
        shifted = LearnableBias(name=f"{name}_1x1_shift")(y)
        branches = [
            _pointwise(shifted, y, _SURROGATE, kernel_quantizer, f"{name}_1x1_{branch}")
            for branch in "ab"
        ]
        z = tf.keras.layers.Concatenate(name=f"{name}_concat")(branches)
    return RPReLU(name=f"{name}_1x1_rprelu")(z)


def _pointwise(
    x: tf.Tensor,
    shortcut: tf.Tensor,
    input_quantizer: RSign | str,
    kernel_quantizer: str | None,
    name: str,
) -> tf.Tensor:
    """A binary 1x1 convolution that keeps the number of channels, and its shortcut."""
    x = _binary_conv(x, 1, 1, input_quantizer, kernel_quantizer, name)
    x = _batch_norm(f"{name}_bn")(x)
    return tf.keras.layers.Add(name=f"{name}_add")([x, shortcut])


def _binary_conv(
    x: tf.Tensor,
    kernel_size: int,
    strides: int,
    input_quantizer: RSign | str,
    kernel_quantizer: str | None,
    name: str,
) -> tf.Tensor:
    """A binary convolution that keeps the number of channels."""
    # Padding is zero, as in the paper's code, but for maps smaller than the kernel (the last block
    # of a 32x32 image): LCE's kernels compute zero padding wrongly there.
    is_tiny = any(size is not None and size < kernel_size for size in x.shape[1:3])
    return lq.layers.QuantConv2D(
        x.shape[-1],
        kernel_size,
        strides=strides,
        padding="same",
        pad_values=1.0 if is_tiny else 0.0,
        use_bias=False,
        input_quantizer=input_quantizer,
        kernel_quantizer=kernel_quantizer,
        kernel_initializer=_uniform(),
        # Not in the paper's code, where a weight that has left [-1, 1] gets no gradient in step 2.
        kernel_constraint="weight_clip",
        name=name,
    )(x)


def _batch_norm(name: str) -> tf.keras.layers.Layer:
    return tf.keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)  # PyTorch's


def _uniform() -> tf.keras.initializers.Initializer:
    """PyTorch's default for convolutions and dense layers: uniform in +-1 / sqrt(fan_in)."""
    return tf.keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
