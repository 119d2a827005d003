"""Stores the weights of the last dense layers, the heads, in fewer bytes.

Half of a `.tflite` of ReActNet-A is its last layer in float32. The other float weights are few, and
stay as they are: a small change in the first convolution would flip signs behind it.
"""

from typing import Any, NamedTuple

from larq_reactnet.converters._lce import QUANTIZE
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.editing import (
    add_code,
    add_tensor,
    builtin_code,
    new_operator,
    store,
)
from larq_reactnet.converters._tflite.file import op_name

import numpy as np

__all__ = ["STORAGES", "compress"]

# From the smallest to the most exact.
STORAGES = ("int8", "float16", "float32")

_SMALLEST = 1024  # bytes of weights that are worth it: the new tensor and operator take some too
_ROWS, _HALF = 5, 3  # versions of DEQUANTIZE that know a scale for each row, and float16
_LARGEST_INT8 = 127


def compress(flatbuffer: tflite.File, storage: str = "int8") -> bytes:
    r"""Store the weights of the last dense layers in one or two bytes each.

    With `"int8"`, a weight is \\(w = s q\\) with an 8-bit integer \\(q\\) and one scale
    \\(s = \max |w| / 127\\) for each output of the layer. With `"float16"`, weights are rounded to
    11 bits. In both cases an operator DEQUANTIZE in front of the layer turns them into float32
    again, and the layer computes in float32: its inputs are not rounded.

    Args:
        flatbuffer: A `.tflite`: the path of a file, or its content.
        storage: `"int8"` or `"float16"`, or `"float32"` to change nothing.

    Returns:
        The new `.tflite`; the same one if there is no such layer.

    Raises:
        ValueError: If the file is corrupt, `storage` is unknown, or float16 cannot hold a weight.
    """
    if storage not in STORAGES:
        raise ValueError(f"`storage` must be one of {STORAGES}, got {storage!r}.")
    content = tflite.content_of(flatbuffer)
    model = tflite.read(content)
    heads = _heads(model) if storage != "float32" else []
    for head in heads:
        weights = tflite.constant(model, model.subgraphs[0].tensors[head.inputs[1]])
        assert weights is not None  # as `_heads` has checked
        stored = _as_int8(weights) if storage == "int8" else _as_float16(weights)
        _put_behind_dequantize(model, head, stored)
    return tflite.write(model) if heads else content


class _Stored(NamedTuple):
    """Weights in a smaller type, and how DEQUANTIZE makes float32 of them.

    Attributes:
        values: The weights.
        type: Their type, as the schema numbers it.
        version: Version of DEQUANTIZE that reads it.
        quantization: Scales of int8 values.
    """

    values: np.ndarray
    type: int
    version: int
    quantization: Any = None


def _heads(model: tflite.ModelT) -> list[tflite.OperatorT]:
    """The FULLY_CONNECTED operators with float32 weights behind which nothing becomes bits."""
    graph = model.subgraphs[0]
    becomes_bits: set[int] = set()
    heads = []
    takers = [int(i) for operator in graph.operators for i in operator.inputs]
    for operator in reversed(graph.operators):
        name = op_name(model, operator)
        if name == QUANTIZE or any(int(i) in becomes_bits for i in operator.outputs):
            becomes_bits.update(map(int, operator.inputs))
        elif name == "FULLY_CONNECTED" and takers.count(int(operator.inputs[1])) == 1:
            tensor = graph.tensors[operator.inputs[1]]
            weights = tflite.constant(model, tensor)
            if weights is not None and weights.dtype == np.float32 and weights.nbytes >= _SMALLEST:
                heads.append(operator)
    return heads


def _as_int8(weights: np.ndarray) -> _Stored:
    scale = np.abs(weights).max(axis=1, keepdims=True) / np.float32(_LARGEST_INT8)
    if not np.isfinite(scale).all():
        raise ValueError("int8 cannot hold weights that are NaN or infinite.")
    scale[scale < np.finfo(np.float32).tiny] = 1  # rows of zeros, or almost
    quantization = tflite.schema().QuantizationParametersT()
    quantization.scale = scale[:, 0].astype(np.float32)
    quantization.zeroPoint = np.zeros(len(scale), np.int64)
    quantization.quantizedDimension = 0
    values = np.rint(weights / scale).astype(np.int8)
    return _Stored(values, tflite.schema().TensorType.INT8, _ROWS, quantization)


def _as_float16(weights: np.ndarray) -> _Stored:
    with np.errstate(over="ignore"):
        values = weights.astype(np.float16)
    if not np.isfinite(values).all():
        raise ValueError(f"float16 cannot hold a weight of {np.abs(weights).max():.3g}.")
    return _Stored(values, tflite.schema().TensorType.FLOAT16, _HALF)


def _put_behind_dequantize(model: tflite.ModelT, head: tflite.OperatorT, stored: _Stored) -> None:
    """Replace the weights of `head` by smaller ones and an operator that makes them float32."""
    graph = model.subgraphs[0]
    small = int(head.inputs[1])
    tensor = graph.tensors[small]
    real = add_tensor(graph, small, name=(tensor.name or b"") + b"_float32")
    tensor.type, tensor.quantization = stored.type, stored.quantization
    store(model, tensor, stored.values)
    number = tflite.schema().BuiltinOperator.DEQUANTIZE
    code = add_code(model, builtin_code(number, stored.version))
    graph.operators.insert(graph.operators.index(head), new_operator(code, [small], [real]))
    inputs = np.array(head.inputs, np.int32)
    inputs[1] = real
    head.inputs = inputs
