r"""The papers' accounting: BOPs, FLOPs and OPs.

ReActNet (section 5.1, after Bi-Real Net) counts the multiply-accumulates of convolutions and dense
layers, one operation each, and nothing else:

\\[ \text{OPs} = \text{BOPs} / 64 + \text{FLOPs} \\]
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

__all__ = ["Ops", "is_binary", "ops"]

_KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")


@dataclass(frozen=True)
class Ops:
    """The operations of one inference.

    Attributes:
        bops: Multiply-accumulates of which both factors are binary.
        flops: All other multiply-accumulates of convolutions and dense layers.
        binary_weights: Number of weights that need one bit when deployed.
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
    def deployed_bytes(self) -> int:
        """One bit for each binary weight and four bytes for every other."""
        return -(-self.binary_weights // 8) + 4 * self.float_weights


def ops(model: tf.keras.Model) -> Ops:
    """Count the operations of `model`.

    A layer that is called several times counts several times. Layers without a kernel count
    nothing.

    Raises:
        ValueError: If the spatial size of a convolution's output is not known.
    """
    bops = flops = binary_weights = 0
    for layer in _flatten(model):
        for name in _KERNELS:
            kernel = getattr(layer, name, None)
            if not isinstance(kernel, tf.Variable):
                continue
            macs = int(np.prod(kernel.shape)) * _output_positions(layer)
            if is_binary(layer):
                bops += macs
            else:
                flops += macs
            if getattr(kernel, "precision", None) == 1:
                binary_weights += int(np.prod(kernel.shape))
    return Ops(bops, flops, binary_weights, model.count_params() - binary_weights)


def is_binary(layer: tf.keras.layers.Layer) -> bool:
    """Whether inputs and weights of `layer` are both binary."""
    quantizers = [getattr(layer, name, None) for name in ("input_quantizer", "kernel_quantizer")]
    return all(getattr(quantizer, "precision", None) == 1 for quantizer in quantizers)


def _flatten(model: tf.keras.Model) -> list[tf.keras.layers.Layer]:
    layers = []
    for layer in model.layers:
        layers.extend(_flatten(layer) if isinstance(layer, tf.keras.Model) else [layer])
    return layers


def _output_positions(layer: tf.keras.layers.Layer) -> int:
    """Number of positions at which the kernel is applied, over all calls of the layer."""
    positions = 0
    for index in range(len(layer.inbound_nodes)):
        shape = layer.get_output_shape_at(index)[1:-1]
        if None in shape:
            raise ValueError(
                f"{layer.name} has an output of unknown size {shape}: build the model with a fixed "
                "`input_shape`."
            )
        positions += int(np.prod(shape, dtype=np.int64))
    return positions
