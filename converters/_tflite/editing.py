"""Adds tensors and operators to a `.tflite` that was read into Python objects."""

import copy
from collections.abc import Sequence
from typing import Any

from larq_reactnet.converters._tflite import file as tflite

import numpy as np

__all__ = ["add_code", "add_tensor", "builtin_code", "custom_code", "new_operator", "store"]


def custom_code(name: str) -> tflite.OperatorCodeT:
    """The operator code of a custom operator, such as `LceQuantize`."""
    schema = tflite.schema()
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = name.encode()
    code.version = 1
    return code


def builtin_code(number: int, version: int) -> tflite.OperatorCodeT:
    """The operator code of one of TensorFlow Lite's own operators."""
    code = tflite.schema().OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = number
    code.version = version
    return code


def add_code(model: tflite.ModelT, code: tflite.OperatorCodeT) -> int:
    """The index of an operator code in `model`, which is added if there is not an equal one."""
    for index, other in enumerate(model.operatorCodes):
        if vars(other) == vars(code):
            return index
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def add_tensor(graph: tflite.SubGraphT, like: int, **changes: Any) -> int:
    """Add a tensor that is not a constant, and return its index.

    Args:
        graph: The graph.
        like: Index of the tensor that it is copied from.
        **changes: Fields that are different.
    """
    tensor = copy.copy(graph.tensors[like])
    tensor.buffer = 0  # which is always empty
    for name, value in changes.items():
        setattr(tensor, name, value)
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def new_operator(code: int, inputs: Sequence[int], outputs: Sequence[int]) -> tflite.OperatorT:
    """A new operator without options."""
    new = tflite.schema().OperatorT()
    new.opcodeIndex = code
    new.inputs, new.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
    return new


def store(model: tflite.ModelT, tensor: tflite.TensorT, values: np.ndarray) -> None:
    """Replace the bytes of a constant. Tensors that share its old bytes keep them."""
    users = [other for graph in model.subgraphs for other in graph.tensors]
    if sum(other.buffer == tensor.buffer for other in users) > 1:
        model.buffers.append(tflite.schema().BufferT())
        tensor.buffer = len(model.buffers) - 1
    model.buffers[tensor.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
