"""What is left in float, stored in less: the dense layers behind the last binary convolution.

Half of a `.tflite` of ReActNet-A is its last layer in float32. The other float weights are few, and
stay as they are: a small change in the first convolution flips signs behind it.
"""

import copy
from typing import Any

from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.file import op_name

import numpy as np

__all__ = ["STORAGES", "compress"]

# From the smallest to the most exact.
STORAGES = ("int8", "float16", "float32")

_SMALLEST = 1024  # bytes; the description of a tensor takes some too
_HYBRID, _HALF = 3, 3  # versions of FULLY_CONNECTED with int8 weights, of DEQUANTIZE of float16
_LARGEST_INT8 = 127


def compress(flatbuffer: bytes, storage: str = "int8") -> bytes:
    r"""Store the weights of the last dense layers in one or two bytes each.

    With `"int8"`, \\(w = s q\\) with one scale \\(s = \max |w| / 127\\) for the layer: the form
    that LCE's interpreter runs too. The interpreter then rounds the inputs of the layer to 8 bits,
    with a scale for each image. With `"float16"` the weights are rounded to 11 bits, and the inputs
    are not.

    Args:
        flatbuffer: A `.tflite`.
        storage: `"int8"`, `"float16"`, or `"float32"` for none.

    Returns:
        The new `.tflite`; the same one if there is nothing to store.

    Raises:
        ValueError: If the file is corrupt, `storage` is unknown, or float16 cannot hold a weight.
    """
    if storage not in STORAGES:
        raise ValueError(f"`storage` must be one of {STORAGES}, got {storage!r}.")
    model = tflite.read(flatbuffer)
    heads = _heads(model) if storage != "float32" else []
    for head in heads:
        (_as_int8 if storage == "int8" else _as_float16)(model, head)
    return tflite.write(model) if heads else flatbuffer


def _heads(model: Any) -> list[Any]:
    """The FULLY_CONNECTED of float32 weights of which no bits are made."""
    graph = model.subgraphs[0]
    becomes_bits: set[int] = set()
    heads = []
    takers = [int(i) for operator in graph.operators for i in operator.inputs]
    for operator in reversed(graph.operators):
        name = op_name(model, operator)
        if name == "LceQuantize" or any(int(i) in becomes_bits for i in operator.outputs):
            becomes_bits.update(map(int, operator.inputs))
        elif name == "FULLY_CONNECTED" and takers.count(int(operator.inputs[1])) == 1:
            tensor = graph.tensors[operator.inputs[1]]
            weights = tflite.constant(model, tensor)
            if weights is not None and weights.dtype == np.float32 and weights.nbytes >= _SMALLEST:
                heads.append(operator)
    return heads


def _as_int8(model: Any, head: Any) -> None:
    schema = tflite.schema()
    tensor = model.subgraphs[0].tensors[head.inputs[1]]
    weights = tflite.constant(model, tensor)
    assert weights is not None  # of a head
    scale = np.abs(weights).max() / np.float32(_LARGEST_INT8)
    if not np.isfinite(scale):
        raise ValueError("int8 cannot hold weights that are NaN or infinite.")
    if scale < np.finfo(np.float32).tiny:  # all are 0, or as good as
        scale = np.float32(1)
    tensor.type = schema.TensorType.INT8
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale = np.array([scale], np.float32)
    tensor.quantization.zeroPoint = np.array([0], np.int64)
    _store(model, tensor, np.rint(weights / scale).astype(np.int8))
    code = copy.copy(model.operatorCodes[head.opcodeIndex])
    code.version = max(code.version, _HYBRID)
    head.opcodeIndex = _add_code(model, code)


def _as_float16(model: Any, head: Any) -> None:
    schema = tflite.schema()
    graph = model.subgraphs[0]
    tensor = graph.tensors[head.inputs[1]]
    weights = tflite.constant(model, tensor)
    assert weights is not None  # of a head
    with np.errstate(over="ignore"):
        half = weights.astype(np.float16)
    if not np.isfinite(half).all():
        raise ValueError(f"float16 cannot hold a weight of {np.abs(weights).max():.3g}.")
    real = copy.copy(tensor)  # without the buffer: computed when the file is loaded or run
    real.buffer, real.name = 0, (tensor.name or b"") + b"_float32"
    tensor.type = schema.TensorType.FLOAT16
    _store(model, tensor, half)
    graph.tensors.append(real)
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = _HALF
    operator = schema.OperatorT()
    operator.opcodeIndex = _add_code(model, code)
    operator.inputs = np.array([head.inputs[1]], np.int32)
    operator.outputs = np.array([len(graph.tensors) - 1], np.int32)
    graph.operators.insert(graph.operators.index(head), operator)
    inputs = np.array(head.inputs, np.int32)
    inputs[1] = len(graph.tensors) - 1
    head.inputs = inputs


def _store(model: Any, tensor: Any, values: np.ndarray) -> None:
    """Give a constant other bytes, and tensors that share them their own."""
    users = [other for graph in model.subgraphs for other in graph.tensors]
    if sum(other.buffer == tensor.buffer for other in users) > 1:
        model.buffers.append(tflite.schema().BufferT())
        tensor.buffer = len(model.buffers) - 1
    model.buffers[tensor.buffer].data = np.frombuffer(values.tobytes(), np.uint8)


def _add_code(model: Any, code: Any) -> int:
    """The index of an operator code, a new one or an equal one."""
    for index, other in enumerate(model.operatorCodes):
        if vars(other) == vars(code):
            return index
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
