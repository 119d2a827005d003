"""A graph of a `.tflite`, by the indices of its tensors, and the Keras layers that it came from."""

import re
from collections import Counter

from larq_reactnet.converters._lce import BCONV2D
from larq_reactnet.converters._tflite import file as tflite

__all__ = ["DATA", "Graph", "buffer_size", "layers", "readable", "text"]

# Operators that multiply and accumulate, and the index of the input that is their data. Weights are
# the second input of each.
DATA = {BCONV2D: 0, "CONV_2D": 0, "DEPTHWISE_CONV_2D": 0, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 2}


class Graph:
    """A graph of a `ModelT`, by the indices of its tensors."""

    def __init__(self, model: tflite.ModelT, graph: tflite.SubGraphT):
        self.model = model
        self.tensors = graph.tensors
        self.operators = list(graph.operators or ())
        self.inputs, self.outputs = (set(map(int, i)) for i in (graph.inputs, graph.outputs))
        self._types = {value: name for name, value in vars(tflite.schema().TensorType).items()}
        self._producers = {i: o for o in self.operators for i in self.outputs_of(o)}

    def name(self, operator: tflite.OperatorT) -> str:
        """The name of an operator, like `CONV_2D`; of a custom one its own, like `LceBconv2d`."""
        return tflite.op_name(self.model, operator)

    def inputs_of(self, operator: tflite.OperatorT) -> list[int]:
        """Indices of its inputs; -1 stands for one that is not given."""
        return [] if operator.inputs is None else [int(i) for i in operator.inputs]

    def outputs_of(self, operator: tflite.OperatorT) -> list[int]:
        """Indices of its outputs."""
        return [] if operator.outputs is None else [int(i) for i in operator.outputs]

    def shape(self, index: int) -> tuple[int, ...]:
        """Shape of a tensor. In a tensor of bits, 32 of them are one element."""
        shape = self.tensors[index].shape
        return () if shape is None else tuple(int(size) for size in shape)

    def type(self, index: int) -> str:
        """Type of the elements of a tensor, such as `FLOAT32`."""
        return str(self._types[self.tensors[index].type])

    def producer(self, index: int) -> tflite.OperatorT | None:
        """The operator that computes a tensor; None for inputs and constants."""
        return self._producers.get(index)

    def bytes(self, index: int) -> int:
        """Size of a constant in bytes; 0 for other tensors."""
        return 0 if index < 0 else buffer_size(self.model.buffers[self.tensors[index].buffer])

    def stored(self, index: int) -> int | None:
        """The constant with the values of a tensor, perhaps in a smaller type; None if computed."""
        for _ in range(len(self.operators) + 1):  # a corrupt graph may have a cycle
            if self.bytes(index):
                return index
            producer = self.producer(index)
            if producer is None or self.name(producer) not in ("DEQUANTIZE", "DENSIFY"):
                return None
            index = self.inputs_of(producer)[0]
        return None


def buffer_size(buffer: tflite.BufferT) -> int:
    """Number of bytes in a buffer. Files of more than 2 GB have them outside of the flatbuffer."""
    if buffer.data is not None and len(buffer.data):
        return len(buffer.data)
    return int(buffer.size) if buffer.offset > 1 else 0


def layers(graph: Graph) -> list[str]:
    """The layer of each operator, from the name of its first output."""
    names = [text(tensor.name) for tensor in graph.tensors]
    scopes = Counter(name.split("/")[0] for name in names if "/" in name)
    model, count = scopes.most_common(1)[0] if scopes else ("", 0)
    # The name of the whole model, in front of nearly all names, says nothing.
    model = model if count > 0.9 * sum(scopes.values()) else ""
    found = []
    for operator in graph.operators:
        outputs = graph.outputs_of(operator)
        name = names[outputs[0]].split(";")[0] if outputs else ""
        parts = [part for part in readable(name).removeprefix(f"{model}/").split("/") if part]
        found.append("/".join(parts[:-1] or parts))
    return found


def text(name: str | bytes | None) -> str:
    """A name from a file, without characters that a terminal might take for a command."""
    name = name.decode(errors="replace") if isinstance(name, bytes) else str(name or "")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in name)


def readable(name: str) -> str:
    """A name without the technical parts that converters give to inputs, outputs and the like."""
    name = re.sub(r"^(PartitionedCall|StatefulPartitionedCall)(_\d+)?(:\d+)?$", "output", name)
    name = re.sub(r"^serving_default_(.+?)(:\d+)?$", r"\1", name)
    return re.sub(r"^(tfl|arith)\.\w+$", "", name)
