"""Found before converting: layers that Larq Compute Engine would leave in float or get wrong.

LCE makes a binary kernel of a `QuantConv2D` whose inputs are signs and whose weights have one
magnitude per output filter. Everything else it converts without a word to float operators, up to 32
times larger; some it gets wrong, like a ternary input quantizer, which it takes for a sign.
"""

from dataclasses import dataclass
from typing import Any

from larq_reactnet.profiling import KERNELS, calls_of, flat_layers

import larq as lq
import numpy as np
import tensorflow as tf

__all__ = ["Finding", "binary_convolutions", "check"]

# LCE takes magnitudes for equal that are within 0.5 % of each other.
_TOLERANCE = 5e-3

_AS_CONVOLUTION = (
    "write it as a QuantConv2D with padding='valid': the first dense layer with the height and "
    "width of its input as kernel size, the following ones with 1"
)


@dataclass(frozen=True)
class Finding:
    """A layer that would not become a binary operator, and what to do about it."""

    layer: str
    problem: str
    cure: str

    def __str__(self) -> str:
        return f"{self.layer}: {self.problem}; {self.cure}."


def check(model: tf.keras.Model) -> list[Finding]:
    """Find the layers of `model` that are meant to be binary and would not be in the `.tflite`."""
    return [
        Finding(layer.name, *finding)
        for layer in flat_layers(model)
        if not _takes_images(layer, model) and (finding := _examine(layer))
    ]


def binary_convolutions(model: tf.keras.Model) -> list[tf.keras.layers.Layer]:
    """The layers that must become `LceBconv2d`, one entry for each call."""
    return [
        layer
        for layer, calls in calls_of(model)
        if _is_quantized(layer) and not _takes_images(layer, model) and _examine(layer) is None
        for _ in range(calls)
    ]


def _quantizers(layer: tf.keras.layers.Layer) -> list[Any]:
    names = ("input_quantizer", *KERNELS.values())
    return [q for name in names if (q := getattr(layer, name, None)) is not None]


def _is_quantized(layer: tf.keras.layers.Layer) -> bool:
    return any(not isinstance(q, lq.quantizers.NoOp) for q in _quantizers(layer))


def _takes_images(layer: tf.keras.layers.Layer, model: tf.keras.Model) -> bool:
    """Whether `layer` is the first of `model`, with real inputs.

    Its weights may be binary, as in BinaryNet, but it is not meant to be a binary convolution.
    """
    return (
        getattr(layer, "input_quantizer", None) is None
        and any(layer is other for other in model.layers)
        and isinstance(layer.inbound_nodes[0].inbound_layers, tf.keras.layers.InputLayer)
    )


def _examine(layer: tf.keras.layers.Layer) -> tuple[str, str] | None:
    """The problem with `layer` and its cure, or None."""
    if not _is_quantized(layer):
        return None
    kind = type(layer).__name__
    if isinstance(layer, lq.layers.QuantDense):
        return f"LCE has no binary dense kernel, so {kind} stays in float", _AS_CONVOLUTION
    if not isinstance(layer, lq.layers.QuantConv2D):
        return f"LCE has no binary kernel for {kind}, which stays in float", "use a QuantConv2D"
    if layer.groups > 1:
        return (
            f"LCE's default kernel refuses a binary convolution in {layer.groups} groups",
            "split it into QuantConv2D layers without groups",
        )
    return _examine_padding(layer) or _examine_input(layer) or _examine_kernel(layer)


def _examine_padding(layer: tf.keras.layers.Layer) -> tuple[str, str] | None:
    if layer.padding != "same" or layer.pad_values == 1:
        return None
    kernel = layer.kernel_size
    extent = [(k - 1) * rate + 1 for k, rate in zip(kernel, layer.dilation_rate, strict=True)]
    sizes = [layer.get_input_shape_at(i)[1:3] for i in range(len(layer.inbound_nodes))]
    tiny = [size for size in sizes if any(s and s < e for s, e in zip(size, extent, strict=True))]
    if not tiny:
        return None
    size = tiny[0]
    # Measured with LCE 0.16: its default and indirect kernels differ from its reference and Keras.
    return (
        f"its {size[0]}x{size[1]} input is smaller than its {kernel[0]}x{kernel[1]} kernel, where "
        "LCE computes zero padding wrongly",
        "use `pad_values=1.0`",
    )


def _examine_input(layer: tf.keras.layers.Layer) -> tuple[str, str] | None:
    if layer.input_quantizer is not None:
        return _examine_sign(layer.input_quantizer, layer.get_input_shape_at(0)[-1])
    padded = False
    producer = layer.inbound_nodes[0].inbound_layers
    while isinstance(producer, tf.keras.layers.ZeroPadding2D):
        padded, producer = True, producer.inbound_nodes[0].inbound_layers
    if not isinstance(producer, lq.quantizers.Quantizer | tf.keras.layers.Activation):
        return (
            "its weights are binary but its inputs are not, so its weights stay in float",
            "give it a binary `input_quantizer`, or no `kernel_quantizer`",
        )
    finding = _examine_sign(producer, layer.get_input_shape_at(0)[-1])
    if finding or not padded:
        return finding
    return (
        "explicit zero padding after a sign is not binary, so the convolution stays in float",
        "remove the ZeroPadding2D and use padding='same' with `pad_values=1.0` (or 0.0)",
    )


def _examine_sign(quantizer: Any, channels: int) -> tuple[str, str] | None:
    """Whether `quantizer`, a function of a tensor of `channels`, gives nothing but -1 and +1."""
    name = getattr(quantizer, "__name__", type(quantizer).__name__)
    points = np.array([-2.0, -0.01, 0.0, 0.01, 2.0], np.float32)
    values = np.asarray(quantizer(tf.constant(np.tile(points[:, None, None, None], channels))))
    if np.isin(values, (-1, 1)).all():
        return None
    cure = (
        "use one whose forward pass is `larq.math.sign`: RSign, SwishSign, 'ste_sign', "
        "'approx_sign'"
    )
    if not np.isin(values, (-1, 0, 1)).all():
        return f"its input quantizer {name} does not give -1 and +1, so it stays in float", cure
    if (values[[0, 1, 3, 4]] == 0).any():
        return f"its input quantizer {name} is ternary, which LCE mistakes for a sign", cure
    return f"its input quantizer {name} gives 0 at 0, so it stays in float", cure


def _examine_kernel(layer: tf.keras.layers.Layer) -> tuple[str, str] | None:
    if layer.kernel_quantizer is None:
        return (
            "its inputs are binary but its weights are not, so it stays in float",
            "train step 2 first (`larq_reactnet.binarize_weights`)",
        )
    name = getattr(layer.kernel_quantizer, "__name__", type(layer.kernel_quantizer).__name__)
    latent = tf.convert_to_tensor(layer.kernel.latent_variable)
    magnitude = np.abs(layer.kernel_quantizer(latent).numpy())
    first = magnitude[0, 0, 0]
    if (magnitude == 0).any():
        if (first > 0).any() and (magnitude.max(axis=(0, 1, 2)) > 0).all():
            return (
                f"its kernel quantizer {name} gives zeros, so its weights stay in float",
                "use one of two values, such as 'react_sign' or 'ste_sign'",
            )
        dead = int(np.argmin(magnitude.max(axis=(0, 1, 2))))
        return f"all weights of its filter {dead} are zero", "initialize or train it again"
    if (np.abs(magnitude - first) > _TOLERANCE * first).any():
        return (
            f"its kernel quantizer {name} gives more than one magnitude in an output filter, so "
            "its weights stay in float",
            "scale weights per output filter only, as 'react_sign' and 'bnnplus_sign' do",
        )
    return None
