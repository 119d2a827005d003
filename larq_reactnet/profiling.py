r"""The papers' accounting: BOPs, FLOPs and OPs.

ReActNet (section 5.1, after Bi-Real Net) counts the multiply-accumulates of convolutions and dense
layers, one operation each, and nothing else:

\\[ \text{OPs} = \text{BOPs} / 64 + \text{FLOPs} \\]
"""

import re
from dataclasses import asdict, dataclass

from larq_reactnet._keras import refuse_keras_3
from larq_reactnet._tables import Shown

import larq as lq
import numpy as np
import tensorflow as tf

__all__ = ["KERNELS", "Ops", "calls_of", "flat_layers", "is_binary", "is_binary_quantizer", "ops"]

# Kernels and their quantizers.
KERNELS = {
    "kernel": "kernel_quantizer",
    "depthwise_kernel": "depthwise_quantizer",
    "pointwise_kernel": "pointwise_quantizer",
}

_TRANSPOSED = (
    tf.keras.layers.Conv1DTranspose,
    tf.keras.layers.Conv2DTranspose,
    tf.keras.layers.Conv3DTranspose,
)
_COUNTED = (
    tf.keras.layers.Conv1D,
    tf.keras.layers.Conv2D,
    tf.keras.layers.Conv3D,
    tf.keras.layers.DepthwiseConv1D,
    tf.keras.layers.DepthwiseConv2D,
    tf.keras.layers.SeparableConv1D,
    tf.keras.layers.SeparableConv2D,
    tf.keras.layers.Dense,
)
_LOCAL = (tf.keras.layers.LocallyConnected1D, tf.keras.layers.LocallyConnected2D)


@dataclass(frozen=True, repr=False)
class Ops(Shown):
    """The operations of one inference.

    Attributes:
        bops: Multiply-accumulates of which both factors are binary.
        flops: All other multiply-accumulates of convolutions and dense layers.
        binary_weights: Number of weights that need one bit when deployed: those of layers whose
            inputs are binary too.
        float_weights: Number of all other weights, as `model.count_params` counts them.
    """

    bops: int
    flops: int
    binary_weights: int
    float_weights: int

    @property
    def ops(self) -> float:
        """BOPs / 64 + FLOPs."""
        return self.bops / 64 + self.flops

    @property
    def binary_share(self) -> float:
        """BOPs as a share of all multiply-accumulates, 0 to 1."""
        return self.bops / max(1, self.bops + self.flops)

    @property
    def packed_bytes(self) -> int:
        """Of all weights: one bit for each binary weight, and four bytes for every other.

        `export` reports the bytes of the `.tflite`, where some weights are folded away, dense
        layers may have less than four bytes for each, and the graph is added.
        """
        return -(-self.binary_weights // 8) + 4 * self.float_weights

    def as_dict(self) -> dict[str, float]:
        """All numbers by name."""
        derived = {"ops": self.ops, "packed_bytes": self.packed_bytes}
        return {**asdict(self), **derived}

    def __str__(self) -> str:
        rows = {
            "BOPs": f"{self.bops:,}",
            "FLOPs": f"{self.flops:,}",
            "OPs": f"{self.ops:,.0f}   (BOPs / 64 + FLOPs)",
            "binary weights": f"{self.binary_weights:,}",
            "other weights": f"{self.float_weights:,}",
            "bytes packed": f"{self.packed_bytes:,}   (one bit for each binary weight)",
        }
        return "\n".join(f"{name:<15} {value}" for name, value in rows.items())


def ops(model: tf.keras.Model) -> Ops:
    """Count the operations of `model`.

    A layer that is called several times counts several times. Layers without a kernel count
    nothing, and nor do those in a subclassed model within `model`, whose calls are not known.

    Raises:
        ValueError: If a convolution has an output of unknown height or width, or a layer of an
            unknown kind has a kernel.
    """
    bops = flops = binary_weights = 0
    for layer, calls in calls_of(model):
        for name, quantizer in KERNELS.items():
            kernel = getattr(layer, name, None)
            if not isinstance(kernel, tf.Variable):
                continue
            weights = int(np.prod(kernel.shape))
            macs = weights * _positions(layer, calls)
            is_bits = is_binary_quantizer(getattr(layer, quantizer, None))
            # The pointwise part of a separable convolution takes the sums that the depthwise part
            # gives, which are not binary.
            if is_bits and _has_binary_input(layer) and name != "pointwise_kernel":
                bops += macs
                binary_weights += weights
            else:
                flops += macs
    return Ops(bops, flops, binary_weights, model.count_params() - binary_weights)


def is_binary(layer: tf.keras.layers.Layer) -> bool:
    """Whether inputs and kernel of `layer` are both binary."""
    kernel_quantizer = getattr(layer, "kernel_quantizer", None)
    return is_binary_quantizer(kernel_quantizer) and _has_binary_input(layer)


def flat_layers(model: tf.keras.Model) -> list[tf.keras.layers.Layer]:
    """The layers of `model`, with the layers of models that are inside of it."""
    layers = []
    for layer in model.layers:
        layers += flat_layers(layer) if isinstance(layer, tf.keras.Model) else [layer]
    return layers


def is_binary_quantizer(quantizer: object) -> bool:
    """Whether `quantizer` gives two values."""
    is_tag = isinstance(quantizer, lq.quantizers.NoOp)
    return getattr(quantizer, "precision", None) == 1 and not is_tag


def _has_binary_input(layer: tf.keras.layers.Layer) -> bool:
    """Whether `layer` has a binary input quantizer, or stands behind one."""
    quantizer = getattr(layer, "input_quantizer", None)
    if quantizer is None and layer.inbound_nodes:
        quantizer = layer.inbound_nodes[0].inbound_layers
    return is_binary_quantizer(quantizer)


def calls_of(model: tf.keras.Model) -> list[tuple[tf.keras.layers.Layer, int]]:
    """The layers of `model` and of models in it, with their number of calls in one inference."""
    refuse_keras_3(model)
    return [*_calls(model).values()]


def _calls(model: tf.keras.Model, times: int = 1) -> dict[int, tuple[tf.keras.layers.Layer, int]]:
    """What `calls_of` gives, by the id of the layer."""
    try:
        nodes = {
            config["name"]: len(config["inbound_nodes"])
            for config in model.get_config()["layers"]
            if config.get("inbound_nodes")
        }
    except NotImplementedError:  # a layer without `get_config`; calls in other models count too
        nodes = {layer.name: len(layer.inbound_nodes) for layer in model.layers}
    calls: dict[int, tuple[tf.keras.layers.Layer, int]] = {}
    for layer in model.layers:
        count = times * nodes.get(layer.name, 1)  # a sequential model has no such list
        inner = {id(layer): (layer, count)}
        if isinstance(layer, tf.keras.Model) and layer.inputs:  # not if it is subclassed
            inner = _calls(layer, count)
        for key, (found, number) in inner.items():
            calls[key] = (found, number + calls.get(key, (found, 0))[1])
    return calls


def _einsum_positions(layer: tf.keras.layers.Layer) -> int:
    """How often each weight of an `EinsumDense` is multiplied in one call."""
    _, kernel, output = re.split(",|->", layer.equation)
    sizes = dict(zip(kernel, layer.kernel.shape, strict=True))
    outputs = int(np.prod(layer.get_output_shape_at(0)[1:], dtype=np.int64))
    return outputs // int(np.prod([sizes[axis] for axis in kernel if axis in output]))


def _positions(layer: tf.keras.layers.Layer, calls: int) -> int:
    """Number of positions at which the kernel is applied, over all calls of the layer."""
    if isinstance(layer, _LOCAL) and layer.implementation == 1:
        return calls  # the kernel has other weights for each position
    if isinstance(layer, tf.keras.layers.EinsumDense):
        return calls * _einsum_positions(layer)
    kind = layer.layer if isinstance(layer, tf.keras.layers.SpectralNormalization) else layer
    if not isinstance(kind, _COUNTED):
        raise ValueError(f"{layer.name} is a {type(layer).__name__}, which cannot be counted.")
    is_transposed = isinstance(kind, _TRANSPOSED)
    shape_at = layer.get_input_shape_at if is_transposed else layer.get_output_shape_at
    # A layer that is called in another model too has more shapes than calls, the last being ours.
    shapes = [shape_at(index)[1:-1] for index in range(len(layer.inbound_nodes))]
    shapes = (shapes * calls)[-calls:]
    for shape in shapes:
        if None in shape:
            raise ValueError(
                f"{layer.name} has an output of unknown size {shape}: build the model with a fixed "
                "`input_shape`."
            )
    return sum(int(np.prod(shape, dtype=np.int64)) for shape in shapes)
