"""Finds the operator of a file that an engine refuses.

Engines say that they cannot run a file, but LCE's interpreter does not say why. So each kind of
operator gets a file of its own, which the engine is asked to load.
"""

import copy
from collections.abc import Callable, Iterator

from larq_reactnet.converters._tflite import file as tflite

import numpy as np

__all__ = ["refused_operators"]

_WITH_GRAPHS = ("CALL", "CALL_ONCE", "IF", "WHILE")  # which run other graphs of the file


def refused_operators(flatbuffer: bytes, runs: Callable[[bytes], bool]) -> list[str]:
    """The operators that an engine refuses by themselves, like `FULLY_CONNECTED, version 12`.

    Args:
        flatbuffer: A valid file.
        runs: Function that tells whether the engine loads a file.
    """
    model = tflite.read(flatbuffer)
    found: dict[str, None] = {}
    for name, alone in _each_alone(model):
        if name not in found and not runs(alone):
            found[name] = None
    return [*found]


def _each_alone(model: tflite.ModelT) -> Iterator[tuple[str, bytes]]:
    """One operator of each kind: what it is called, and a file with this operator only."""
    seen = set()
    for graph in model.subgraphs:
        for operator in graph.operators:
            inputs = [int(i) for i in operator.inputs if i >= 0]
            types = tuple(graph.tensors[i].type for i in inputs)
            if (operator.opcodeIndex, types) in seen:
                continue
            seen.add((operator.opcodeIndex, types))
            part, file, alone = copy.copy(graph), copy.copy(model), copy.copy(operator)
            part.operators, part.outputs = [alone], operator.outputs
            computed = [i for i in inputs if not _is_constant(model, graph, i)]
            part.inputs = np.array(computed, np.int32)
            file.subgraphs, file.signatureDefs = [part], None
            code, name = model.operatorCodes[operator.opcodeIndex], tflite.op_name(model, operator)
            if name in _WITH_GRAPHS:
                file.subgraphs += model.subgraphs[1:]
            else:  # an engine refuses a file for each code that it does not know
                file.operatorCodes, alone.opcodeIndex = [code], 0
            title = f"{name}, version {code.version}" if code.version > 1 else name
            yield title, tflite.write(file)


def _is_constant(model: tflite.ModelT, graph: tflite.SubGraphT, index: int) -> bool:
    data = model.buffers[graph.tensors[index].buffer].data
    return data is not None and len(data) > 0
