"""Why a convolution or dense layer of a `.tflite` is not binary, from the graph around it.

Larq Compute Engine (LCE) makes an `LceBconv2d` of a convolution whose inputs are bits and whose
weights have one magnitude in each output filter. The file shows which of these is missing.
"""

from larq_reactnet.converters._lce import DEQUANTIZE, SAME_MAGNITUDE, WORD
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.graph import DATA, Graph

import numpy as np

__all__ = ["why_float"]

# Operators that only give the numbers that they get in another form, order or type.
_NEUTRAL = (
    "DENSIFY",
    "DEQUANTIZE",
    "EXPAND_DIMS",
    "MAX_POOL_2D",
    "QUANTIZE",
    "RESHAPE",
    "SPACE_TO_BATCH_ND",
    "SQUEEZE",
    "TRANSPOSE",
)
_PADDING = ("PAD", "PADV2", "MIRROR_PAD")
_KINDS = {
    "DEPTHWISE_CONV_2D": "depthwise",
    "FULLY_CONNECTED": "dense",
    "TRANSPOSE_CONV": "transposed",
}
_WIDTHS = {"INT4": "4-bit", "INT8": "8-bit", "UINT8": "8-bit", "INT16": "16-bit"}


def why_float(graph: Graph, operator: tflite.OperatorT) -> str:
    """The reason why a convolution or dense layer is not binary, in words."""
    name = graph.name(operator)
    data, weights = (graph.inputs_of(operator)[i] for i in (DATA[name], 1))
    producer, padded = _source(graph, data)
    kind, of_weights = _weights(graph, weights, axis=-1 if name == "DEPTHWISE_CONV_2D" else 0)
    if producer is None or graph.name(producer) != DEQUANTIZE:
        return f"{_inputs(graph, data, producer)}; {of_weights}"
    both = "its inputs and weights are binary"
    if name != "CONV_2D":
        which = both if kind == "binary" else f"its inputs are binary, {of_weights}"
        cure = ": write it as a QuantConv2D" if name == "FULLY_CONNECTED" else ""
        return f"{which}, but LCE has no binary {_KINDS[name]} kernel{cure}"
    if kind != "binary":
        return f"its inputs are binary, but {of_weights}"
    channels = graph.shape(weights)[-1]
    groups = graph.shape(data)[-1] // max(1, channels)
    if groups > 1 and channels % WORD:
        return (
            f"{both}, but each of its {groups} groups has {channels} channels, which is not a "
            f"multiple of {WORD}"
        )
    if padded or getattr(operator.builtinOptions, "padding", 1) == 0:
        return f"{both}, but what is padded after the sign is not"
    return f"{both}, but LCE did not recognize it"


def _source(graph: Graph, index: int) -> tuple[tflite.OperatorT | None, bool]:
    """The operator that the numbers in a tensor come from, and whether they were padded since."""
    padded = False
    producer = graph.producer(index)
    for _ in graph.operators:  # a corrupt graph may have a cycle
        if producer is None or graph.name(producer) not in _NEUTRAL + _PADDING:
            break
        padded |= graph.name(producer) in _PADDING
        producer = graph.producer(graph.inputs_of(producer)[0])
    return producer, padded


def _inputs(graph: Graph, data: int, producer: tflite.OperatorT | None) -> str:
    """A clause that says what the inputs of a layer are, which are not bits."""
    width = _WIDTHS.get(graph.type(data), "real")
    if producer is None:
        return f"its inputs are the network's own, which are {width}"
    if graph.name(producer) == "SIGN":
        return "its inputs come from SIGN, which is not a binary sign because it gives 0 for 0"
    return f"its inputs are {width} (from {graph.name(producer)})"


def _weights(graph: Graph, index: int, axis: int) -> tuple[str, str]:
    """What weights are, like `binary` (empty if unknown), and a clause that says so."""
    stored = graph.stored(index)
    if stored is None:
        return "", "its weights are computed"
    tensor, kind = graph.tensors[stored], graph.type(stored)
    how = "" if kind == "FLOAT32" else f", stored as {kind.lower()}"
    known = kind in ("FLOAT32", "FLOAT16", "INT8", "UINT8") and tensor.sparsity is None
    values = tflite.constant(graph.model, tensor) if known else None
    if values is None or not values.size or not values.ndim:
        return "", f"its weights are {'sparse' if tensor.sparsity else 'real'}{how}"
    points = None if tensor.quantization is None else tensor.quantization.zeroPoint
    zero = 0 if points is None or not len(points) else int(points[0])
    filters = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1).astype(np.float32)
    with np.errstate(all="ignore"):  # weights may be infinite
        magnitude = np.abs(filters - zero)
        largest = magnitude.max(axis=1, keepdims=True)
        same = np.abs(magnitude - largest) <= SAME_MAGNITUDE * largest
        few = np.round(magnitude / largest, 3)[:16]
    if filters.shape[1] == 1:  # a single weight always has one magnitude
        return "real", f"its weights are real{how}"
    if same.all() and (largest > 0).all():
        return "binary", f"its weights are binary{how}"
    if (same | (magnitude == 0)).all():
        return "ternary", f"its weights are ternary: some are 0{how}"
    if 2 * max(len(np.unique(row)) for row in few) <= filters.shape[1] and kind.startswith("FLOAT"):
        return "real", f"its weights have several magnitudes in a filter, not one{how}"
    return "real", f"its weights are real{how}"
