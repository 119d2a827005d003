"""The graph of a `.tflite` as the C writer sees it: tensors with pixels and channels, and nodes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from larq_reactnet.converters._lce import BCONV2D, BMAXPOOL2D, QUANTIZE
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.graph import Graph as FileGraph
from larq_reactnet.converters._tflite.graph import layers

import numpy as np

__all__ = ["Constant", "Graph", "Node", "Tensor", "read_graph"]

# Operators that give their input in another shape.
_VIEWS = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")


@dataclass(frozen=True)
class Constant:
    """Weights, as they are stored.

    Attributes:
        values: Array of float32, float16, int8 or int32.
        scales: Of int8: a number for each row, or none.
    """

    values: np.ndarray
    scales: np.ndarray | None = None

    @property
    def real(self) -> np.ndarray:
        """The values as float32, as the interpreter computes them."""
        values = self.values.astype(np.float32)
        if self.scales is None:
            return values
        return values * self.scales.reshape(-1, *[1] * (values.ndim - 1))


@dataclass(frozen=True)
class Tensor:
    """A tensor that is computed.

    Attributes:
        index: Its index in the file. Of tensors that only have another shape, that of the first.
        shape: Its shape without the batch, in channels also if it is of bits.
        is_bits: Whether each number is a sign.
        number_bytes: Of a number in memory, if it is none.
    """

    index: int
    shape: tuple[int, ...]
    is_bits: bool = False
    number_bytes: int = 4

    @property
    def channels(self) -> int:
        return self.shape[-1] if self.shape else 1

    @property
    def pixels(self) -> int:
        return int(np.prod(self.shape[:-1], dtype=np.int64))

    @property
    def height(self) -> int:
        return self.shape[0] if len(self.shape) == 3 else 1

    @property
    def width(self) -> int:
        return self.shape[1] if len(self.shape) == 3 else self.pixels

    @property
    def words(self) -> int:
        """Number of 32-bit words of a pixel."""
        return -(-self.channels // 32) if self.is_bits else self.channels

    @property
    def bytes(self) -> int:
        size = 4 if self.is_bits else self.number_bytes
        return size * self.pixels * self.words + 3 & ~3


@dataclass(frozen=True, eq=False)
class Node:
    """An operator.

    Attributes:
        kind: Its name in the file, such as `CONV_2D`.
        layer: The Keras layer that it came from.
        inputs: What it is given; `None` where an input is left out.
        output: What it gives.
        options: Its options, by their names in the file.
    """

    kind: str
    layer: str
    inputs: tuple[Tensor | Constant | None, ...]
    output: Tensor
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Those of its inputs that are computed."""
        return tuple(given for given in self.inputs if isinstance(given, Tensor))

    def constant(self, index: int) -> Constant | None:
        """The constant that is input number `index`, or None."""
        given = self.inputs[index] if index < len(self.inputs) else None
        return given if isinstance(given, Constant) else None

    def __str__(self) -> str:
        return f"{self.layer} ({self.kind})" if self.layer else self.kind


@dataclass(frozen=True, eq=False)
class Graph:
    """All nodes of a file, in the order in which they run, and its one input and output."""

    input: Tensor
    input_type: str
    output: Tensor
    nodes: tuple[Node, ...]

    @property
    def first(self) -> tuple[Node, ...]:
        """The nodes that read the input, in its shape or another one."""
        return tuple(n for n in self.nodes if self.input.index in (t.index for t in n.tensors))

    def uses(self) -> Counter[int]:
        """How often each tensor is an input of a node, or the output of the graph."""
        counts = Counter(tensor.index for node in self.nodes for tensor in node.tensors)
        counts[self.output.index] += 1
        return counts


def read_graph(content: bytes) -> Graph:
    """The graph of a `.tflite`.

    Raises:
        ValueError: If the file is corrupt, has several inputs, outputs or graphs, or an input of
            unknown size.
    """
    model = tflite.read(content)
    subgraph, *others = model.subgraphs
    graph = FileGraph(model, subgraph)
    if others:
        raise ValueError("The .tflite has several graphs, for loops or branches, which have no C.")
    if len(subgraph.inputs) != 1 or len(subgraph.outputs) != 1:  # one may be there twice
        raise ValueError(
            f"The .tflite has {len(subgraph.inputs)} inputs and {len(subgraph.outputs)} outputs; C "
            "can be written for one of each: export a model that has one."
        )
    sizes = subgraph.tensors[subgraph.inputs[0]].shapeSignature
    if sizes is not None and -1 in sizes[1:]:
        raise ValueError(
            "The .tflite takes images of any size; C is written for one: export with `input_shape`."
        )
    return _Reader(model, graph).read()


class _Reader:
    def __init__(self, model: tflite.ModelT, graph: FileGraph):
        self._model, self._graph = model, graph
        self._known: dict[int, Tensor | Constant] = {}

    def read(self) -> Graph:
        (given,), (gives,) = self._graph.inputs, self._graph.outputs
        source = Tensor(given, self._shape(given))
        self._known[given] = source
        nodes = []
        for operator, layer in zip(self._graph.operators, layers(self._graph), strict=True):
            node = self._node(operator, layer)
            if node is not None:
                nodes.append(node)
        output = self._known.get(gives)
        if not isinstance(output, Tensor) or output.index == given:
            raise ValueError("The .tflite computes nothing of its input, so there is no C for it.")
        return Graph(source, self._graph.type(given), output, tuple(nodes))

    def _shape(self, index: int) -> tuple[int, ...]:
        shape = self._graph.shape(index)
        if not shape or shape[0] != 1 or min(shape) < 1:
            raise ValueError(
                f"A tensor of the .tflite has the shape {shape}; C is written for one image at a "
                "time, and tensors that begin with a batch of 1: export with `input_shape`."
            )
        return shape[1:]

    def _node(self, operator: tflite.OperatorT, layer: str) -> Node | None:
        kind = self._graph.name(operator)
        outputs = self._graph.outputs_of(operator)
        inputs = tuple(self._input(i) for i in self._graph.inputs_of(operator))
        first = inputs[0] if inputs else None
        if kind == "DEQUANTIZE" and isinstance(first, Constant):
            self._known[outputs[0]] = first
            return None
        if len(outputs) != 1 or not any(isinstance(given, Tensor) for given in inputs):
            raise ValueError(
                f"{layer or 'An operator'} ({kind}) has {len(outputs)} outputs, or computes with "
                "constants only: it has no C form."
            )
        if kind in _VIEWS and isinstance(first, Tensor):
            view = Tensor(first.index, self._shape(outputs[0]), first.is_bits)
            if first.is_bits and first.channels != view.channels:
                raise ValueError(f"{layer} ({kind}) gives bits another shape: it has no C form.")
            self._known[outputs[0]] = view
            return None
        options = _options(operator)
        output = self._output(kind, outputs[0], inputs)
        self._known[outputs[0]] = output
        return Node(kind, layer, inputs, output, options)

    def _input(self, index: int) -> Tensor | Constant | None:
        if index < 0:
            return None
        if index not in self._known:
            tensor = self._graph.tensors[index]
            values = tflite.constant(self._model, tensor)
            if values is None:
                raise ValueError(f"This TensorFlow Lite model is corrupt: nothing gives {index}.")
            self._known[index] = Constant(values, _scales(tensor, values))
        return self._known[index]

    def _output(self, kind: str, index: int, inputs: Sequence[Any]) -> Tensor:
        shape = self._shape(index)
        is_bits = self._graph.type(index) == "INT32"
        if kind in (QUANTIZE, BMAXPOOL2D):
            return Tensor(index, (*shape[:-1], inputs[0].channels), True)
        if kind == BCONV2D and is_bits:
            return Tensor(index, (*shape[:-1], len(inputs[1].values)), True)
        if self._graph.type(index) != "FLOAT32":
            raise ValueError(
                f"A {kind} of the .tflite gives {self._graph.type(index).lower()}; C is written "
                "for float32 and bits: convert the model without quantizing the real layers."
            )
        return Tensor(index, shape)


def _options(operator: tflite.OperatorT) -> dict[str, Any]:
    if operator.builtinOptions is not None:
        return dict(vars(operator.builtinOptions))
    return tflite.op_options(operator)


def _scales(tensor: tflite.TensorT, values: np.ndarray) -> np.ndarray | None:
    """The scales of the rows of an int8 constant."""
    if values.dtype != np.int8:
        return None
    found = tensor.quantization
    scale = None if found is None or found.scale is None else np.asarray(found.scale, np.float32)
    zero = 0 if found is None or found.zeroPoint is None else np.abs(found.zeroPoint).max()
    if scale is None or zero or len(scale) not in (1, len(values)):
        raise ValueError("An int8 constant of the .tflite has no scale for each row, around 0.")
    return np.broadcast_to(scale, (len(values),)).copy()
