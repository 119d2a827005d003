"""A `.tflite` that gives the signs in front of its binary convolutions, or computes with others."""

from collections.abc import Sequence

from larq_reactnet.converters._lce import DEQUANTIZE, QUANTIZE
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.editing import (
    add_code,
    add_tensor,
    custom_code,
    new_operator,
)
from larq_reactnet.converters._tflite.match import BinaryOp

import numpy as np

__all__ = ["with_given_signs", "with_signs"]


def with_signs(model: tflite.ModelT, ops: Sequence[BinaryOp]) -> bytes:
    """The file of `model` with more outputs: for each of `ops`, its inputs as -1.0 and +1.0.

    Args:
        model: The file, which is changed.
        ops: Binary convolutions of it. Those that share an input share an output.
    """
    graph = model.subgraphs[0]
    code = add_code(model, custom_code(DEQUANTIZE))
    outputs = [int(index) for index in graph.outputs]
    kind = tflite.schema().TensorType.FLOAT32
    for op in {op.input: op for op in ops}.values():
        shape = np.array([*graph.tensors[op.input].shape[:-1], op.channels], np.int32)
        name = f"signs{op.input}".encode()
        real = add_tensor(graph, op.input, type=kind, shape=shape, shapeSignature=None, name=name)
        graph.operators.append(new_operator(code, [op.input], [real]))
        outputs.append(real)
    graph.outputs = np.array(outputs, np.int32)
    model.signatureDefs = None  # these name the old outputs only
    return tflite.write(model)


def with_given_signs(model: tflite.ModelT) -> list[int]:
    """Change a file so that it is given all signs, and also gives the numbers they were of.

    Its further inputs are -1.0 and +1.0, one for each number. Its further outputs are the numbers
    that it computes itself, from the signs before.

    Args:
        model: The file, which is changed.

    Returns:
        For each further input, in this order, the tensor of bits that is made of it.
    """
    graph = model.subgraphs[0]
    bits, numbers, given = [], [], []
    for operator in graph.operators:
        if tflite.op_name(model, operator) == QUANTIZE:
            bits.append(int(operator.outputs[0]))
            numbers.append(int(operator.inputs[0]))
            given.append(add_tensor(graph, numbers[-1], name=f"given{bits[-1]}".encode()))
            operator.inputs = np.array(given[-1:], np.int32)
    graph.inputs = np.array([*graph.inputs, *given], np.int32)
    graph.outputs = np.array([*graph.outputs, *numbers], np.int32)
    model.signatureDefs = None
    return bits
