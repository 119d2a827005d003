"""Finds by their weights which `LceBconv2d` of a `.tflite` is which layer of the Keras model."""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from larq_reactnet._latent import binary_kernel
from larq_reactnet.converters._lce import BCONV2D, WORD
from larq_reactnet.converters._tflite import file as tflite

import numpy as np
import tensorflow as tf

__all__ = ["BinaryOp", "binary_ops", "match", "oddly_fused", "unpack"]


@dataclass(frozen=True, eq=False)
class BinaryOp:
    """An `LceBconv2d` of a file.

    Attributes:
        index: Its index among the operators of the first graph.
        input: Index of the tensor that it takes.
        output: Index of the tensor that it gives.
        negative: Which of its weights are -1, of shape `(filters, height, width, channels)`; with
            groups, the channels are those of one group.
        channels: Number of channels of its input.
        gives_bits: Whether its outputs are bits. LCE may then have flipped all signs of a filter.
    """

    index: int
    input: int
    output: int
    negative: np.ndarray
    channels: int
    gives_bits: bool


def binary_ops(model_t: tflite.ModelT) -> list[BinaryOp]:
    """The binary convolutions of a `ModelT`, in the order in which they run."""
    graph = model_t.subgraphs[0]
    return [
        BinaryOp(
            index,
            int(operator.inputs[0]),
            int(operator.outputs[0]),
            *_negative(model_t, operator),
            graph.tensors[operator.outputs[0]].type == tflite.schema().TensorType.INT32,
        )
        for index, operator in enumerate(graph.operators)
        if tflite.op_name(model_t, operator) == BCONV2D
    ]


def match(layers: Sequence[tf.keras.layers.Layer], model_t: tflite.ModelT) -> list[int | None]:
    """The operator of each layer, as its index in the first graph, or None if there is none.

    No operator is given to two layers. Layers with equal weights get theirs in order.

    Args:
        layers: `QuantConv2D` layers without groups, one entry for each call.
        model_t: The file.
    """
    waiting: dict[Any, deque[int]] = defaultdict(deque)
    for op in binary_ops(model_t):
        waiting[_fingerprint(op.negative)].append(op.index)
    return [
        queue.popleft() if (queue := waiting[_fingerprint(_signs(layer))]) else None
        for layer in layers
    ]


def oddly_fused(model_t: tflite.ModelT) -> dict[int, tuple[int, ...]]:
    """Operators with a fused constant that is not one number per channel, and its shape.

    LCE fuses any constant that is added to a binary convolution or multiplied with it, but its
    interpreter then refuses the file.
    """
    graph = model_t.subgraphs[0]
    found = {}
    for op in binary_ops(model_t):
        for tensor in graph.operators[op.index].inputs[2:4]:  # multiplier and bias
            shape = graph.tensors[tensor].shape if tensor >= 0 else [0]
            if len(shape) != 1:
                found[op.index] = tuple(map(int, shape))
    return found


def _negative(model_t: tflite.ModelT, operator: tflite.OperatorT) -> tuple[np.ndarray, int]:
    """Which weights of an `LceBconv2d` are -1, those whose bit is set, and its input's channels."""
    tensor = model_t.subgraphs[0].tensors[operator.inputs[1]]
    words = tflite.constant(model_t, tensor)
    if words is None or words.dtype != np.int32 or words.ndim != 4:
        raise ValueError("An LceBconv2d has no packed filters.")
    channels = int(tflite.op_options(operator).get("channels_in", words.shape[-1] * WORD))
    return unpack(words, channels), channels  # filters of a group have fewer bits: all are taken


def unpack(words: np.ndarray, channels: int) -> np.ndarray:
    """Which signs are negative, from the words into which LCE packs bits, the lowest bit first."""
    data = np.ascontiguousarray(words).astype("<i4").view(np.uint8)
    return np.unpackbits(data, axis=-1, bitorder="little")[..., :channels].astype(bool)


def _signs(layer: tf.keras.layers.Layer) -> np.ndarray:
    """Which of the quantized weights of `layer` are negative, filters first."""
    kernel = binary_kernel(layer)
    return np.moveaxis(np.asarray(kernel) < 0, -1, 0)


def _fingerprint(negative: np.ndarray) -> tuple[tuple[int, ...], bytes]:
    """A key for weights that is the same if they differ only by the signs of whole filters."""
    flat = negative.reshape(len(negative), -1)
    return negative.shape, np.packbits(flat ^ flat[:, :1]).tobytes()
