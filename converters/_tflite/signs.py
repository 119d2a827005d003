"""A `.tflite` that also gives the signs in front of its binary convolutions."""

from collections.abc import Sequence

from larq_reactnet.converters._lce import DEQUANTIZE
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.editing import (
    add_code,
    add_tensor,
    custom_code,
    new_operator,
)
from larq_reactnet.converters._tflite.match import BinaryOp

import numpy as np

__all__ = ["with_signs"]


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
        shape = np.array([*graph.tensors[op.input].shape[:-1], op.negative.shape[-1]], np.int32)
        name = f"signs{op.input}".encode()
        real = add_tensor(graph, op.input, type=kind, shape=shape, shapeSignature=None, name=name)
        graph.operators.append(new_operator(code, [op.input], [real]))
        outputs.append(real)
    graph.outputs = np.array(outputs, np.int32)
    model.signatureDefs = None  # these name the old outputs only
    return tflite.write(model)
