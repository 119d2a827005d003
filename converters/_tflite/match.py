"""Which `LceBconv2d` of a `.tflite` is which layer of the Keras model, by their weights."""

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
        negative: Which of its weights are -1, of shape `(filters, height, width, channels)`.
        gives_bits: Whether its outputs are bits. LCE may then have flipped whole filters.
    """

    index: int
    input: int
    output: int
    negative: np.ndarray
    gives_bits: bool


def binary_ops(model_t: Any) -> list[BinaryOp]:
    """The binary convolutions of a `ModelT`, in the order in which they run."""
    graph = model_t.subgraphs[0]
    return [
        BinaryOp(
            index,
            int(operator.inputs[0]),
            int(operator.outputs[0]),
            _negative(model_t, operator),
            graph.tensors[operator.outputs[0]].type == tflite.schema().TensorType.INT32,
        )
        for index, operator in enumerate(graph.operators)
        if tflite.op_name(model_t, operator) == BCONV2D
    ]


def match(layers: Sequence[tf.keras.layers.Layer], model_t: Any) -> list[int | None]:
    """The operator of each layer, as its index in the first graph, or None if there is none.

    An operator is given to one layer only. Layers of equal weights get theirs in order.

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


def oddly_fused(model_t: Any) -> dict[int, tuple[int, ...]]:
    """Operators that LCE joined with a constant which is not one number per channel, and its shape.

    It does so with any constant that is added to a binary convolution, or multiplied by it. The
    interpreter refuses the file.
    """
    graph = model_t.subgraphs[0]
    found = {}
    for op in binary_ops(model_t):
        for tensor in graph.operators[op.index].inputs[2:4]:  # multiplier and bias
            shape = graph.tensors[tensor].shape if tensor >= 0 else [0]
            if len(shape) != 1:
                found[op.index] = tuple(map(int, shape))
    return found


def _negative(model_t: Any, operator: Any) -> np.ndarray:
    """The filters of an `LceBconv2d`: a set bit is -1, the lowest bit of a word comes first."""
    tensor = model_t.subgraphs[0].tensors[operator.inputs[1]]
    words = tflite.constant(model_t, tensor)
    if words is None or words.dtype != np.int32 or words.ndim != 4:
        raise ValueError("An LceBconv2d has no packed filters.")
    channels = int(tflite.op_options(operator).get("channels_in", words.shape[-1] * WORD))
    return unpack(words, channels)  # of groups, there are no more bits than this anyway


def unpack(words: np.ndarray, channels: int) -> np.ndarray:
    """Which signs are negative, from words of bits that LCE has packed, the lowest first."""
    data = np.ascontiguousarray(words).astype("<i4").view(np.uint8)
    return np.unpackbits(data, axis=-1, bitorder="little")[..., :channels].astype(bool)


def _signs(layer: tf.keras.layers.Layer) -> np.ndarray:
    """Which of the quantized weights of `layer` are negative, filters first."""
    kernel = binary_kernel(layer)
    return np.moveaxis(np.asarray(kernel) < 0, -1, 0)


def _fingerprint(negative: np.ndarray) -> tuple[tuple[int, ...], bytes]:
    """The same for weights that differ by the sign of whole filters."""
    flat = negative.reshape(len(negative), -1)
    return negative.shape, np.packbits(flat ^ flat[:, :1]).tobytes()
