# The original is in larq_reactnet/_shared of larq-reactnet. `make copies` copies it, as it is, to
# runtime/python/larq_reactnet_runtime/_shared: change the original, and then make the copies.
"""What is in a `.tflite`, read before any interpreter gets to see it."""

from __future__ import annotations

import math
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Union

import numpy as np

from .flatbuffer import Table, root

__all__ = ["File", "Model", "Node", "Tensor", "content_of", "read"]

# A `.tflite`, as the path of a file or as its content.
File = Union[str, "os.PathLike[str]", bytes]

ENTRY = "TFLITE_METADATA"  # the name of the metadata that describe a model
PROOF = "larq_reactnet.proof"  # of inputs and outputs to run it by on another machine
_TYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16"}
_TYPES |= {9: "int8", 10: "float64", 12: "uint64", 15: "uint32", 16: "uint16"}
_CUSTOM = 32
_VALUES_STAY = ("RESHAPE", "DEQUANTIZE", "QUANTIZE")
# Operators of the schema that networks of images have.
_NAMES = {0: "ADD", 1: "AVERAGE_POOL_2D", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D"}
_NAMES |= {6: "DEQUANTIZE", 9: "FULLY_CONNECTED", 14: "LOGISTIC", 17: "MAX_POOL_2D", 18: "MUL"}
_NAMES |= {19: "RELU", 21: "RELU6", 22: "RESHAPE", 25: "SOFTMAX", 34: "PAD", 39: "TRANSPOSE"}
_NAMES |= {40: "MEAN", 41: "SUB", 45: "STRIDED_SLICE", 49: "SPLIT", 54: "PRELU", 60: "PADV2"}
_NAMES |= {65: "SLICE", 67: "TRANSPOSE_CONV", 98: "LEAKY_RELU", 102: "SPLIT_V", 105: "REVERSE_V2"}
_NAMES |= {114: "QUANTIZE", 117: "HARD_SWISH", 123: "SELECT_V2"}


@dataclass(frozen=True)
class Tensor:
    """A tensor of a model.

    Attributes:
        name: Its name.
        shape: Its shape in the file. That of an input or output begins with the size of the batch.
        dtype: Name of its NumPy type. The words of LCE, each with the signs of 32 channels, are
            `"int32"`.
        signature: Its shape with -1 for what may be of any size. A batch may be so without it.
        scale: With `zero_point`, what its integers stand for: `scale * (integer - zero_point)`.
            None if it is not quantized, or has a scale for each channel.
        zero_point: See `scale`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    signature: tuple[int, ...]
    scale: float | None = None
    zero_point: int = 0


@dataclass(frozen=True)
class Node:
    """An operator in its place. Tensors are numbers; -1 stands for an input that is not given."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Model:
    """The graph of a `.tflite`.

    Attributes:
        inputs: Its inputs.
        outputs: Its outputs.
        operators: How many operators it has of each name.
        nodes: The operators of its main graph, in their order.
        largest: Number of elements of its largest tensor.
        metadata: The buffer of its metadata, if it has one.
        proof: The buffer of its proof, if it has one: see `proofs`.
        ending: The name of the operator that computes the first output, before what only changes
            its shape or type; empty if there is none.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: Counter[str]
    nodes: tuple[Node, ...]
    largest: int
    metadata: bytes | None
    proof: bytes | None
    ending: str

    @property
    def binary_operators(self) -> int:
        """Number of the operators of Larq Compute Engine."""
        return sum(count for name, count in self.operators.items() if name.startswith("Lce"))


def content_of(model: File) -> bytes:
    """The content of a `.tflite`, given as its path or as the content itself.

    Raises:
        OSError: If there is no such file.
    """
    if isinstance(model, (bytes, bytearray, memoryview)):
        return bytes(model)
    path = Path(model)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    if not path.is_file():
        raise OSError(f"{path} is not an ordinary file.")
    return path.read_bytes()


def read(content: bytes) -> Model:
    """What is in a `.tflite`, once everything in it has been found to lie within it.

    Raises:
        ValueError: If it is not a TensorFlow Lite model, or a truncated or corrupt one.
    """
    if content[4:8] != b"TFL3":
        raise ValueError("This is not a TensorFlow Lite model: its file identifier is not TFL3.")
    try:
        return _read(root(content, b"TFL3"))
    except ValueError as error:
        raise ValueError(f"This TensorFlow Lite model is truncated or corrupt: {error}.") from error


def _read(model: Table) -> Model:
    # In files of more than 2 GB, buffers may also lie after the model. They are not read here.
    buffers = [buffer.array(0, "u1") for buffer in model.tables(4)]
    names = [_operator_name(code) for code in model.tables(1)]
    graphs = [*model.tables(2)]
    if not graphs or not buffers:  # but a graph may give its inputs as they are
        raise ValueError("it has no graph or no buffers")
    _look_at_the_rest(model, graphs)
    operators: Counter[str] = Counter()
    largest = 0
    for graph in graphs:
        tensors = [_tensor(tensor, len(buffers)) for tensor in graph.tables(0)]
        largest = max(largest, *(math.prod(tensor.shape) for tensor in tensors), 0)
        for operator in graph.tables(3):
            code = operator.number(0, "<I")
            if code >= len(names):
                raise ValueError(f"an operator has the code {code} of {len(names)}")
            operators[names[code]] += 1
            # -1 stands for an optional input that is not given.
            _check_indices(operator.array(1, "<i4"), -1, len(tensors))
            _check_indices(operator.array(2, "<i4"), 0, len(tensors))
        for field in (1, 2):
            _check_indices(graph.array(field, "<i4"), 0, len(tensors))
    graph = graphs[0]
    places = [*graph.tables(0)]
    inputs, outputs = (
        tuple(_tensor(places[i], len(buffers)) for i in graph.array(field, "<i4"))
        for field in (1, 2)
    )
    nodes = tuple(_node(operator, names) for operator in graph.tables(3))
    ending = _ending(nodes, [*graph.array(2, "<i4"), -1][0])
    metadata, proof = (_metadata(model, buffers, name) for name in (ENTRY, PROOF))
    return Model(inputs, outputs, operators, nodes, largest, metadata, proof, ending)


def _node(operator: Table, names: list[str]) -> Node:
    inputs, outputs = (tuple(map(int, operator.array(field, "<i4"))) for field in (1, 2))
    return Node(names[operator.number(0, "<I")], inputs, outputs)


def _ending(nodes: tuple[Node, ...], wanted: int) -> str:
    """The name of the operator behind an output of a graph."""
    name = ""
    for node in reversed(nodes):  # they are in the order in which they run
        if wanted in node.outputs:
            name = node.name
            if name not in _VALUES_STAY or not node.inputs:
                break
            wanted = node.inputs[0]
    return name


def _metadata(model: Table, buffers: list[np.ndarray], name: str) -> bytes | None:
    for entry in model.tables(6):
        if entry.text(0) == name:
            index = entry.number(1, "<I")
            if index >= len(buffers):
                raise ValueError(f"its metadata are in buffer {index} of {len(buffers)}")
            return buffers[index].tobytes()
    return None


def _look_at_the_rest(model: Table, graphs: list[Table]) -> None:
    """Read what is not used here. Older interpreters follow it wherever it points."""
    model.text(3)  # its description
    model.array(5, "<i4")
    for signature in model.tables(7):
        for field in (0, 1):
            for tensor in signature.tables(field):
                tensor.text(0)
        signature.text(2)
    for graph in graphs:
        graph.text(4)
        for tensor in graph.tables(0):
            tensor.text(3)
            tensor.array(7, "<i4")  # its shape, with what is not known
            tensor.table(6)  # of sparse tensors
            quantization = tensor.table(4)
            if quantization:
                for field, dtype in enumerate(("<f4", "<f4", "<f4", "<i8")):
                    quantization.array(field, dtype)
        for operator in graph.tables(3):
            operator.table(4)  # the options of an operator of TensorFlow Lite
            operator.array(5, "u1")  # those of a custom one
            operator.array(7, "u1")
            operator.array(8, "<i4")


def _operator_name(code: Table) -> str:
    # Files of before 2020 have the code in the older, narrower field.
    builtin = max(code.number(0, "<b"), code.number(3))
    return code.text(1) if builtin == _CUSTOM else _NAMES.get(builtin, f"operator {builtin}")


def _tensor(tensor: Table, buffers: int) -> Tensor:
    shape = tuple(map(int, tensor.array(0, "<i4")))
    if any(size < 0 for size in shape):
        raise ValueError(f"a tensor has the shape {shape}")
    if tensor.number(2, "<I") >= buffers:
        raise ValueError(f"a tensor has the buffer {tensor.number(2, '<I')} of {buffers}")
    kind = tensor.number(1, "<b")
    signature = tuple(map(int, tensor.array(7, "<i4")))
    if len(signature) != len(shape):  # there is none, or it is another tensor's
        signature = shape
    dtype = _TYPES.get(kind, f"type {kind}")
    return Tensor(tensor.text(3), shape, dtype, signature, *_quantization(tensor))


def _quantization(tensor: Table) -> tuple[float | None, int]:
    found = tensor.table(4)
    if found is None:
        return None, 0
    scales, zero_points = found.array(2, "<f4"), found.array(3, "<i8")
    if len(scales) != 1 or not (0 < scales[0] < math.inf):
        return None, 0
    return float(scales[0]), int(zero_points[0]) if len(zero_points) else 0


def _check_indices(indices: np.ndarray, lowest: int, count: int) -> None:
    if len(indices) and not lowest <= indices.min() <= indices.max() < count:
        raise ValueError("an operator or graph has a tensor that does not exist")
