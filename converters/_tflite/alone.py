"""Takes binary convolutions out of a `.tflite`, so that each can be run by itself."""

import copy
from collections.abc import Sequence

from larq_reactnet.converters._lce import BCONV2D, DEQUANTIZE, QUANTIZE
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.editing import (
    add_code,
    add_tensor,
    custom_code,
    new_operator,
)
from larq_reactnet.converters._tflite.match import BinaryOp

import numpy as np

__all__ = ["alone"]


def alone(file: tflite.ModelT, ops: Sequence[BinaryOp]) -> bytes:
    """A file with binary convolutions of another, each with an input and an output of its own.

    Inputs are -1 and +1 in float32. So are the outputs of a convolution that gives bits; those of
    any other are its floats.

    Args:
        file: The whole file, which stays as it is.
        ops: Its binary convolutions that are wanted, in the order of inputs and outputs.
    """
    schema = tflite.schema()
    old = file.subgraphs[0]
    model, graph = copy.copy(file), schema.SubGraphT()
    model.operatorCodes, model.subgraphs, model.signatureDefs = [], [graph], None
    graph.tensors, graph.operators, inputs, outputs = [*old.tensors], [], [], []
    codes = {name: add_code(model, custom_code(name)) for name in (QUANTIZE, BCONV2D, DEQUANTIZE)}

    def add_real(like: int, channels: int) -> int:
        shape = old.tensors[like].shape
        sizes = () if shape is None else shape[:-1]  # None if the file is corrupt
        return add_tensor(
            graph,
            like,
            type=schema.TensorType.FLOAT32,
            shape=np.array([*sizes, channels], np.int32),
            name=f"tensor{len(graph.tensors)}".encode(),
        )

    for op in ops:
        real, bits = add_real(op.input, op.channels), add_tensor(graph, op.input)
        convolution = copy.copy(old.operators[op.index])
        convolution.opcodeIndex = codes[BCONV2D]
        convolution.inputs = np.array([bits, *convolution.inputs[1:]], np.int32)
        graph.operators += [new_operator(codes[QUANTIZE], [real], [bits]), convolution]
        output = op.output
        if op.gives_bits:
            output = add_real(op.output, len(op.negative))
            graph.operators.append(new_operator(codes[DEQUANTIZE], [op.output], [output]))
        inputs.append(real)
        outputs.append(output)
    graph.inputs, graph.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
    return tflite.write(model)
