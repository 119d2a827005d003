"""What each style makes of a convolution: one row for each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from larq_reactnet._names import did_you_mean
from larq_reactnet._types import Quantizer
from larq_reactnet.layers import RPReLU
from larq_reactnet.quantizers import BNNPlusSign, RSign, SwishSign
from larq_reactnet.regularizers import R1

import tensorflow as tf

__all__ = ["ACTIVATIONS", "STYLES", "Style", "style_of"]


@dataclass(frozen=True)
class Style:
    """The form that a binary convolution gets.

    Attributes:
        input_quantizer: Makes the quantizer of the inputs, a new one for each convolution.
        kernel_quantizer: Makes that of the kernel.
        activation: A key of `ACTIVATIONS`: what stands in the place of an activation.
        shortcuts: Whether a convolution gets a shortcut where one needs no parameters.
        branches: Whether twice the channels are two convolutions whose results are concatenated,
            as in ReActNet-A, and the shared sign of these, with a learnable shift before it.
        basic_blocks: Whether the basic block of a ResNet becomes two convolutions with a shortcut
            each, with average pooling and a real 1x1 convolution in place of a strided one.
        pad_values: What a convolution pads with.
        batch_norm: Constants of all batch normalizations. They are changed so that the function
            stays as it is.
    """

    input_quantizer: Callable[[], Quantizer]
    kernel_quantizer: Callable[[], Quantizer]
    activation: str | None
    shortcuts: bool
    branches: Quantizer | None
    basic_blocks: bool
    pad_values: float
    batch_norm: dict[str, float]


_PYTORCH = {"momentum": 0.9, "epsilon": 1e-5}

STYLES = {
    "reactnet": Style(  # Liu et al., 2020, figure 5, and the official code
        RSign, lambda: "react_sign", "rprelu", True, "approx_sign", True, 0.0, _PYTORCH
    ),
    "birealnet": Style(  # Liu et al., 2018, with Larq Zoo's constants
        lambda: "approx_sign",
        lambda: "magnitude_aware_sign",
        None,
        True,
        None,
        True,
        0.0,
        {"momentum": 0.8, "epsilon": 1e-3},
    ),
    "bnn_plus": Style(  # Darabi et al., 2018, algorithm 1, with the regularizer R1 for CIFAR-10
        lambda: SwishSign(5.0),
        lambda: BNNPlusSign(5.0, R1(1e-6)),
        None,
        False,
        None,
        False,
        1.0,
        _PYTORCH,
    ),
    "plain": Style(  # what Larq's own documentation starts with
        lambda: "ste_sign", lambda: "ste_sign", None, False, None, False, 0.0, {}
    ),
}


def _prelu(name: str, rank: int) -> tf.keras.layers.Layer:
    quarter = tf.keras.initializers.Constant(0.25)
    return tf.keras.layers.PReLU(quarter, shared_axes=[*range(1, rank - 1)] or None, name=name)


# What an activation can become, by the argument `activation`: given its name and the rank of what
# it takes. With None it is left out.
ACTIVATIONS: dict[str, Callable[[str, int], Any]] = {
    "rprelu": lambda name, _: RPReLU(name=name),
    "prelu": _prelu,
}


def style_of(name: str) -> Style:
    """The style called `name`.

    Raises:
        ValueError: If there is none.
    """
    if name not in STYLES:
        raise ValueError(f"There is no style {name!r}{did_you_mean(str(name), STYLES)}")
    return STYLES[name]
