"""What is in a `.tflite`, read before any interpreter gets to see it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from .flatbuffer import Table, root

__all__ = ["MOST_ELEMENTS", "Model", "Tensor", "read"]

MOST_ELEMENTS = 2**27  # of a tensor: 0.5 GB, which corrupt shapes pass and networks do not
TYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16"}
TYPES |= {9: "int8", 10: "float64"}
CUSTOM = 32
# Operators of the schema that networks of images have.
NAMES = {0: "ADD", 1: "AVERAGE_POOL_2D", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D"}
NAMES |= {6: "DEQUANTIZE", 9: "FULLY_CONNECTED", 14: "LOGISTIC", 17: "MAX_POOL_2D", 18: "MUL"}
NAMES |= {19: "RELU", 21: "RELU6", 22: "RESHAPE", 25: "SOFTMAX", 34: "PAD", 39: "TRANSPOSE"}
NAMES |= {40: "MEAN", 41: "SUB", 45: "STRIDED_SLICE", 49: "SPLIT", 54: "PRELU", 60: "PADV2"}
NAMES |= {65: "SLICE", 67: "TRANSPOSE_CONV", 98: "LEAKY_RELU", 102: "SPLIT_V", 105: "REVERSE_V2"}
NAMES |= {114: "QUANTIZE", 117: "HARD_SWISH", 123: "SELECT_V2"}


@dataclass(frozen=True)
class Tensor:
    """An input or output of a model. Its `shape` begins with the size of the batch."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Model:
    """The graph of a `.tflite`.

    Attributes:
        inputs: Its inputs.
        outputs: Its outputs.
        operators: How many operators it has of each name.
        metadata: The buffer of its metadata, if it has one.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: Counter[str]
    metadata: bytes | None

    @property
    def binary_operators(self) -> int:
        """Number of the operators of Larq Compute Engine."""
        return sum(count for name, count in self.operators.items() if name.startswith("Lce"))


def read(content: bytes) -> Model:
    """What is in a `.tflite`, once all that it says has been found to be within it.

    Raises:
        ValueError: If it is no TensorFlow Lite model, or a truncated or corrupt one.
    """
    if content[4:8] != b"TFL3":
        raise ValueError("This is no TensorFlow Lite model: its file identifier is not TFL3.")
    try:
        return _read(root(content, b"TFL3"))
    except ValueError as error:
        raise ValueError(f"This TensorFlow Lite model is truncated or corrupt: {error}.") from error


def _read(model: Table) -> Model:
    # Buffers may also lie after the model, in files of more than 2 GB: not here.
    buffers = [buffer.array(0, "u1") for buffer in model.tables(4)]
    names = [_operator_name(code) for code in model.tables(1)]
    graphs = [*model.tables(2)]
    if not graphs or not buffers or not names:
        raise ValueError("it has no graph, operators or buffers")
    _look_at_the_rest(model, graphs)
    operators: Counter[str] = Counter()
    for graph in graphs:
        tensors = [_tensor(tensor, len(buffers)) for tensor in graph.tables(0)]
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
    tensors = [*graph.tables(0)]
    inputs, outputs = (
        tuple(_tensor(tensors[i], len(buffers)) for i in graph.array(field, "<i4"))
        for field in (1, 2)
    )

    metadata = None
    for entry in model.tables(6):
        if entry.text(0) == "TFLITE_METADATA":
            index = entry.number(1, "<I")
            if index >= len(buffers):
                raise ValueError(f"its metadata are in buffer {index} of {len(buffers)}")
            metadata = buffers[index].tobytes()
            break
    return Model(inputs, outputs, operators, metadata)


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
            tensor.array(7, "<i4")  # its shape with what is not known
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
    return code.text(1) if builtin == CUSTOM else NAMES.get(builtin, f"operator {builtin}")


def _tensor(tensor: Table, buffers: int) -> Tensor:
    shape = tuple(map(int, tensor.array(0, "<i4")))
    if any(size < 0 for size in shape) or math.prod(shape) > MOST_ELEMENTS:
        raise ValueError(f"a tensor has the shape {shape}")
    if tensor.number(2, "<I") >= buffers:
        raise ValueError(f"a tensor has the buffer {tensor.number(2, '<I')} of {buffers}")
    kind = tensor.number(1, "<b")
    return Tensor(tensor.text(3), shape, TYPES.get(kind, f"type {kind}"))


def _check_indices(indices: object, lowest: int, count: int) -> None:
    if len(indices) and not lowest <= indices.min() <= indices.max() < count:  # type: ignore
        raise ValueError("an operator or graph has a tensor that does not exist")
