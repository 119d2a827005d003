"""What is in a `.tflite`: operators, bytes by kind, what is binary, and why the rest is not."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from larq_reactnet._tables import Shown
from larq_reactnet.converters._lce import BCONV2D, BMAXPOOL2D, QUANTIZE, WORD
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.graph import DATA, Graph, layers, readable, text
from larq_reactnet.converters._tflite.reasons import why_float
from larq_reactnet.converters._tflite.sizes import bytes_by_kind

import numpy as np
from tabulate import tabulate

__all__ = ["Convolution", "Inspection", "Operator", "Tensor", "count_operators", "inspect"]

_GIVE_BITS = (QUANTIZE, BMAXPOOL2D)
_ACTIVATIONS = ("", "ReLU", "ReLU -1 to 1", "ReLU6", "tanh", "sign")
# The options of an LceBconv2d. Each is an integer that is at least 0 and less than this.
_OPTIONS = {
    "channels_in": 2**31,
    "stride_height": 2**31,
    "stride_width": 2**31,
    "dilation_height_factor": 2**31,
    "dilation_width_factor": 2**31,
    "fused_activation_function": len(_ACTIVATIONS),
    "padding": 2,
    "pad_values": 2,
}


@dataclass(frozen=True)
class Tensor:
    """A tensor of a file.

    Attributes:
        graph: Index of its graph.
        index: Its own index in the graph.
        name: Its name.
        type: Type of its elements, like `float32`. It is `int32` for bits, 32 in each element.
        shape: Its shape, with 1 for sizes that are known only when the network runs.
        bytes: Size in the file if it is a constant, or 0.
    """

    graph: int
    index: int
    name: str
    type: str
    shape: tuple[int, ...]
    bytes: int

    def __str__(self) -> str:
        return f"{readable(self.name)} {by(self.shape)} {self.type}"


@dataclass(frozen=True)
class Convolution:
    """How a binary convolution computes.

    Attributes:
        kernel: Height and width of its kernel.
        stride: Its strides.
        dilation: Its dilation rates.
        padding: `VALID`, `SAME, zeros` or `SAME, ones`.
        activation: Fused activation like `ReLU`, or an empty string.
        channels_in: Number of input channels.
        channels_out: Number of output channels.
        groups: Number of groups.
        bits_out: Whether its outputs are bits.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: str
    activation: str
    channels_in: int
    channels_out: int
    groups: int
    bits_out: bool

    def __str__(self) -> str:
        words = [
            f"{by(self.kernel)}, {self.channels_in} to {self.channels_out} channels",
            self.padding,
            f"stride {_one_or_by(self.stride)}" if self.stride != (1, 1) else "",
            f"dilation {_one_or_by(self.dilation)}" if self.dilation != (1, 1) else "",
            f"{self.groups} groups" if self.groups > 1 else "",
            self.activation,
            "bits out" if self.bits_out else "",
        ]
        return "; ".join(word for word in words if word)


@dataclass(frozen=True)
class Operator:
    """An operator of a file.

    Attributes:
        graph: Index of its graph.
        index: Its own index in the graph.
        name: What it is, like `CONV_2D`; for a custom operator its own name, like `LceBconv2d`.
        layer: The layer whose result it gives. If the result is bits, this is the sign.
        input_shapes: Shapes of its computed inputs. In shapes of bits, 32 channels count as one.
        output_shapes: Shapes of its outputs, likewise.
        macs: Multiply-accumulates of a convolution or dense layer, as the papers count them.
        binary: Whether both its inputs and its weights are bits.
        bytes: Bytes of its constants by kind. A constant that several operators share counts for
            the first.
        convolution: How it computes, if it is a binary convolution.
        why_float: Why a convolution or dense layer is not binary.
    """

    graph: int
    index: int
    name: str
    layer: str
    input_shapes: tuple[tuple[int, ...], ...]
    output_shapes: tuple[tuple[int, ...], ...]
    macs: int
    binary: bool
    bytes: dict[str, int]
    convolution: Convolution | None = None
    why_float: str = ""

    @property
    def number(self) -> str:
        """Its index as text, with the index of its graph in front if this is not the first one."""
        return f"{self.graph}.{self.index}" if self.graph else str(self.index)

    @property
    def output(self) -> str:
        """Shapes of its outputs as text."""
        bits = self.name in _GIVE_BITS or (
            self.convolution is not None and self.convolution.bits_out
        )
        return ", ".join(map(by, self.output_shapes)) + (f" x {WORD} bits" if bits else "")


@dataclass(frozen=True, repr=False)
class Inspection(Shown):
    """What `inspect` found; printing it gives a table.

    Attributes:
        bytes: Size of the file.
        bytes_by_kind: The same by kind. `graph` is what is neither constant nor metadata.
        inputs: The network's inputs.
        outputs: The network's outputs.
        operators: Every operator, in the order in which they run.
        tensors: Every tensor.
    """

    bytes: int
    bytes_by_kind: dict[str, int]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    tensors: tuple[Tensor, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How often each operator occurs."""
        return dict(Counter(operator.name for operator in self.operators).most_common())

    @property
    def binary_macs(self) -> int:
        """Multiply-accumulates of bits."""
        return sum(operator.macs for operator in self.operators if operator.binary)

    @property
    def float_macs(self) -> int:
        """All other multiply-accumulates of convolutions and dense layers."""
        return sum(operator.macs for operator in self.operators if not operator.binary)

    @property
    def binary_share(self) -> float:
        """Binary multiply-accumulates as a share of all, 0 to 1."""
        return self.binary_macs / max(1, self.binary_macs + self.float_macs)

    @property
    def left_in_float(self) -> tuple[Operator, ...]:
        """The convolutions and dense layers that are not binary."""
        return tuple(operator for operator in self.operators if operator.why_float)

    def as_dict(self) -> dict[str, Any]:
        """All of it, in the types of JSON."""
        derived = {
            "counts": self.counts,
            "binary_macs": self.binary_macs,
            "float_macs": self.float_macs,
            "binary_share": self.binary_share,
        }
        return dict(_plain({**derived, **asdict(self)}))

    def __str__(self) -> str:
        rows = {
            "size": f"{self.bytes:,} bytes",
            **{
                f"  {kind.replace('_', ' ')}": f"{size:,} bytes, {size / self.bytes:.1%}"
                for kind, size in self.bytes_by_kind.items()
                if size
            },
            "inputs": "; ".join(map(str, self.inputs)),
            "outputs": "; ".join(map(str, self.outputs)),
            "binary share of MACs": f"{self.binary_share:.2%} of "
            f"{self.binary_macs + self.float_macs:,}",
            "tensors": f"{len(self.tensors):,}",
            "operators": ", ".join(f"{name} {n}" for name, n in self.counts.items()),
        }
        lines = [f"{name:<21} {value}" for name, value in rows.items()]
        table = [
            {
                "": operator.number,
                "layer": operator.layer,
                "operator": operator.name,
                "output": operator.output,
                "bytes": f"{size:,}" if (size := sum(operator.bytes.values())) else "",
                "MACs": f"{operator.macs:,}" if operator.macs else "",
                "binary convolution": str(operator.convolution or ""),
            }
            for operator in self.operators
        ]
        align = ("right", "left", "left", "left", "right", "right", "left")
        lines += ["", tabulate(table, headers="keys", disable_numparse=True, colalign=align)]
        if self.left_in_float:
            lines += ["", "not binary:"]
        lines += [f"  {o.number} {o.layer} ({o.name}): {o.why_float}" for o in self.left_in_float]
        return "\n".join(lines)


def inspect(flatbuffer: tflite.File) -> Inspection:
    """Look into a `.tflite`, whether made by Larq Compute Engine or by TensorFlow Lite alone.

    Multiply-accumulates are those of convolutions and dense layers, as in `larq_reactnet.ops`.
    A layer is called binary if its inputs and weights both are bits in the file.

    !!! example
        ```python
        found = lr.converters.inspect("model.tflite")
        print(found)
        print(found.bytes_by_kind["binary_weights"], found.binary_share)
        ```

    Raises:
        ValueError: If `flatbuffer`, the path of a file or its content, is not a TensorFlow Lite
            model, or is a corrupt one.
        OSError: If there is no such file.
    """
    content = tflite.content_of(flatbuffer)
    model = tflite.read(content)
    try:
        return _inspect(model, content)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Operators of a corrupt file may lack anything.
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise ValueError(f"This TensorFlow Lite model is corrupt: {reason}.") from error


def count_operators(flatbuffer: tflite.File) -> Counter[str]:
    """How often each operator occurs; custom ones by their name, like `LceBconv2d`.

    Raises:
        ValueError: If `flatbuffer`, the path of a file or its content, is not a TensorFlow Lite
            model, or is a corrupt one.
        OSError: If there is no such file.
    """
    model = tflite.read(tflite.content_of(flatbuffer))
    return Counter(
        tflite.op_name(model, operator)
        for graph in model.subgraphs
        for operator in graph.operators or ()
    )


def _inspect(model: tflite.ModelT, flatbuffer: bytes) -> Inspection:
    graphs = [Graph(model, graph) for graph in model.subgraphs]
    by_kind, by_operator = bytes_by_kind(model, graphs, flatbuffer)
    tensors = [
        [
            Tensor(
                number,
                index,
                text(tensor.name),
                graph.type(index).lower(),
                graph.shape(index),
                graph.bytes(index),
            )
            for index, tensor in enumerate(graph.tensors)
        ]
        for number, graph in enumerate(graphs)
    ]
    operators = [
        _operator(graph, number, index, layer, by_operator.get((number, index), {}))
        for number, graph in enumerate(graphs)
        for index, layer in enumerate(layers(graph))
    ]
    first = model.subgraphs[0]
    return Inspection(
        bytes=len(flatbuffer),
        bytes_by_kind=by_kind,
        inputs=tuple(tensors[0][i] for i in first.inputs),
        outputs=tuple(tensors[0][i] for i in first.outputs),
        operators=tuple(operators),
        tensors=tuple(tensor for some in tensors for tensor in some),
    )


def _operator(graph: Graph, number: int, index: int, layer: str, sizes: dict[str, int]) -> Operator:
    operator = graph.operators[index]
    name = graph.name(operator)
    convolution = _convolution(graph, operator) if name == BCONV2D else None
    return Operator(
        graph=number,
        index=index,
        name=text(name),
        layer=layer,
        input_shapes=tuple(
            graph.shape(i) for i in graph.inputs_of(operator) if i >= 0 and not graph.bytes(i)
        ),
        output_shapes=tuple(map(graph.shape, graph.outputs_of(operator))),
        macs=_macs(graph, operator, convolution) if name in DATA else 0,
        binary=name == BCONV2D,
        bytes=sizes,
        convolution=convolution,
        why_float=why_float(graph, operator) if name in DATA and name != BCONV2D else "",
    )


def _convolution(graph: Graph, operator: tflite.OperatorT) -> Convolution:
    given = tflite.op_options(operator)
    for key, count in _OPTIONS.items():
        if not isinstance(given.get(key), int) or not 0 <= given[key] < count:
            raise ValueError(f"an {BCONV2D} has the {key} {given.get(key)}")
    filters = _shape_of_weights(graph, operator)
    words = -(-given["channels_in"] // WORD)
    inputs = graph.shape(graph.inputs_of(operator)[DATA[BCONV2D]])
    if inputs[-1] != words or filters[3] < 1 or words < 1 or words % filters[3]:
        raise ValueError(f"an {BCONV2D} has {given['channels_in']} channels, and weights {filters}")
    zeros_or_ones = ("zeros", "ones")[given["pad_values"]]
    return Convolution(
        kernel=(filters[1], filters[2]),
        stride=(given["stride_height"], given["stride_width"]),
        dilation=(given["dilation_height_factor"], given["dilation_width_factor"]),
        padding=(f"SAME, {zeros_or_ones}", "VALID")[given["padding"]],
        activation=_ACTIVATIONS[given["fused_activation_function"]],
        channels_in=given["channels_in"],
        channels_out=filters[0],
        groups=words // filters[3],
        bits_out=graph.type(graph.outputs_of(operator)[0]) == "INT32",
    )


def _shape_of_weights(graph: Graph, operator: tflite.OperatorT) -> tuple[int, ...]:
    name, shape = graph.name(operator), graph.shape(graph.inputs_of(operator)[1])
    if len(shape) != (2 if name == "FULLY_CONNECTED" else 4):
        raise ValueError(f"the weights of a {name} have the shape {shape}")
    return shape


def _macs(graph: Graph, operator: tflite.OperatorT, convolution: Convolution | None) -> int:
    name, filters = graph.name(operator), _shape_of_weights(graph, operator)
    outputs = graph.shape(graph.outputs_of(operator)[0])
    if name == "TRANSPOSE_CONV":  # each input is multiplied with the whole kernel
        factors = (*graph.shape(graph.inputs_of(operator)[DATA[name]]), *filters[:3])
    elif name == "DEPTHWISE_CONV_2D":
        factors = (*outputs, *filters[1:3])
    elif convolution is not None:  # the shapes count 32 channels of bits as one
        channels = convolution.channels_in // convolution.groups
        factors = (*outputs[:-1], *filters[:3], channels)
    else:
        factors = (*outputs, *filters[1:])
    return int(np.prod(factors, dtype=object))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def by(shape: tuple[int, ...]) -> str:
    """A shape as text, like `8x8x3`."""
    return "x".join(map(str, shape)) or "scalar"


def _one_or_by(sizes: tuple[int, int]) -> str:
    return str(sizes[0]) if sizes[0] == sizes[1] else by(sizes)
