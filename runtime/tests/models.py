"""Graphs of a few of LCE's operators, written without a converter, and networks of the zoo."""

from dataclasses import dataclass, field
from typing import Any

import larq_reactnet as lr
from larq_reactnet.converters._tflite.file import schema, write

import numpy as np
from flatbuffers import flexbuffers

PADDING = {"same": 0, "valid": 1}
ACTIVATION = {None: 0, "relu": 1, "relu_n1_to_1": 2, "relu6": 3}


def words(channels: int) -> int:
    """How many words hold the signs of this number of channels."""
    return -(-channels // 32)


def packed(signs: np.ndarray) -> np.ndarray:
    """The words of an array of signs: 1 bits are negative, the first channel has the lowest."""
    channels = signs.shape[-1]
    bits = np.zeros((*signs.shape[:-1], 32 * words(channels)), np.uint8)
    bits[..., :channels] = signs < 0
    return np.packbits(bits, axis=-1, bitorder="little").view(np.int32)


def unpacked(values: np.ndarray, channels: int) -> np.ndarray:
    """The signs in an array of words."""
    bits = np.unpackbits(np.ascontiguousarray(values).view(np.uint8), axis=-1, bitorder="little")
    return 1 - 2 * bits[..., :channels].astype(np.int32)


def random_network(name: str, rng: np.random.Generator) -> Any:
    """A small model of the zoo, with weights like those of a trained one."""
    entry = lr.zoo.registry.get(name)
    shape = (entry.small_size, entry.small_size, 3)
    model = lr.zoo.create(name, input_shape=shape, num_classes=5, **entry.small)
    for weight in model.weights:
        if "gamma" in weight.name or "variance" in weight.name:
            weight.assign(np.abs(rng.normal(1, 0.3, weight.shape)) + 0.1)
        elif len(weight.shape) == 1 or "alpha" in weight.name:
            weight.assign(rng.normal(0, 0.3, weight.shape))
    return model


@dataclass
class Graph:
    """A model that grows by one operator at a time; tensors are numbers."""

    tensors: list[Any] = field(default_factory=list)
    buffers: list[bytes] = field(default_factory=lambda: [b""])
    codes: list[tuple[int, str | None]] = field(default_factory=list)
    operators: list[Any] = field(default_factory=list)

    def tensor(self, shape, dtype="float32", value=None, scale=None, zero_point=0) -> int:
        """A tensor, with a value if it is a constant. A size of -1 may be any."""
        tensor = schema().TensorT()
        tensor.shape = np.array([1 if size == -1 else size for size in shape], np.int32)
        if -1 in shape:
            tensor.shapeSignature = np.array(shape, np.int32)
        tensor.type = getattr(schema().TensorType, np.dtype(dtype).name.upper())
        tensor.name = f"tensor_{len(self.tensors)}"
        if scale is not None:
            tensor.quantization = schema().QuantizationParametersT()
            tensor.quantization.scale = np.array([scale], np.float32)
            tensor.quantization.zeroPoint = np.array([zero_point], np.int64)
        if value is not None:
            tensor.buffer = len(self.buffers)
            self.buffers.append(np.ascontiguousarray(value, dtype).tobytes())
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, value: np.ndarray) -> int:
        return self.tensor(value.shape, value.dtype, value)

    def operator(self, name: str, inputs, outputs, options: Any = None) -> None:
        """An operator of LCE with a dict or bytes as options, or a builtin one with its table."""
        operator = schema().OperatorT()
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array(outputs, np.int32)
        builtin = getattr(schema().BuiltinOperator, name, None)
        code = (builtin, None) if builtin is not None else (schema().BuiltinOperator.CUSTOM, name)
        if code not in self.codes:
            self.codes.append(code)
        operator.opcodeIndex = self.codes.index(code)
        if builtin is None:
            content = options if isinstance(options, bytes) else flexbuffers.Dumps(options or {})
            operator.customOptions = np.frombuffer(bytes(content), np.uint8)
        elif options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema().BuiltinOptions, kind)
            operator.builtinOptions = options
        self.operators.append(operator)

    def flatbuffer(self, inputs, outputs) -> bytes:
        """The `.tflite`."""
        model, graph = schema().ModelT(), schema().SubGraphT()
        model.version = 3
        model.description = ""
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        graph.name = "main"
        model.subgraphs = [graph]
        model.operatorCodes = []
        for builtin, name in self.codes:
            code = schema().OperatorCodeT()
            code.builtinCode = builtin
            code.deprecatedBuiltinCode = min(builtin, 127)
            code.customCode = name
            model.operatorCodes.append(code)
        model.buffers = []
        for content in self.buffers:
            buffer = schema().BufferT()
            buffer.data = np.frombuffer(content, np.uint8) if content else None
            model.buffers.append(buffer)
        return write(model)


def bconv_options(
    channels, padding="same", pad_values=1, strides=(1, 1), dilations=(1, 1), activation=None
):
    return {
        "channels_in": channels,
        "dilation_height_factor": dilations[0],
        "dilation_width_factor": dilations[1],
        "fused_activation_function": ACTIVATION[activation],
        "pad_values": pad_values,
        "padding": PADDING[padding],
        "stride_height": strides[0],
        "stride_width": strides[1],
    }


def output_size(size, window, stride, dilation, padding):
    span = (window - 1) * dilation + 1
    return -(-size // stride) if padding == "same" else (size - span) // stride + 1


@dataclass(frozen=True)
class Bconv:
    """A binary convolution: its input, its filters, its options and its output."""

    image: tuple[int, int] = (5, 6)
    channels: int = 64
    filters: int = 32
    window: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    padding: str = "same"
    pad_values: int = 1
    groups: int = 1
    activation: str | None = None
    output: str = "float32"
    is_plain: bool = False  # multiplier 1 and bias 0: outputs are sums of products
    batch: int = 1
    scale: float = 0.25
    zero_point: int = 3

    @property
    def output_shape(self) -> tuple[int, ...]:
        sizes = (
            output_size(*axis, self.padding)
            for axis in zip(self.image, self.window, self.strides, self.dilations, strict=True)
        )
        channels = words(self.filters) if self.output == "int32" else self.filters
        return (self.batch, *sizes, channels)

    @property
    def pads_zeros(self) -> bool:
        return self.padding == "same" and self.pad_values == 0

    def values(self, rng) -> dict[str, np.ndarray]:
        """Random constants."""
        shape = (self.filters, *self.window, self.channels // self.groups)
        reach = int(np.prod(self.window)) * self.channels // self.groups
        spread = max(reach**0.5, 1.0)
        scale = rng.normal(size=self.filters) / spread * (10 if self.output == "int8" else 1)
        values = {
            "filter": packed(rng.choice([-1, 1], shape)),
            "multiplier": np.float32(np.ones(self.filters) if self.is_plain else scale),
            "bias": np.float32(
                np.zeros(self.filters) if self.is_plain else rng.normal(size=self.filters)
            ),
        }
        middle = reach / 2 + rng.normal(size=self.filters) * spread / 2
        values["thresholds"] = np.int32(middle)
        return values

    def add_to(self, graph: Graph, source: int, rng) -> int:
        """Put the operator behind a tensor of words."""
        values = self.values(rng)
        quantized = {"scale": self.scale, "zero_point": self.zero_point}
        target = graph.tensor(
            self.output_shape, self.output, **(quantized if self.output == "int8" else {})
        )
        names = ["filter", "multiplier", "bias", "thresholds"]
        unused = ["multiplier", "bias"] if self.output == "int32" else ["thresholds"]
        if self.output == "int32" and self.pads_zeros:
            unused = []  # LCE reads the multipliers, of which it needs none, and crashes
        inputs = [-1 if name in unused else graph.constant(values[name]) for name in names]
        options = bconv_options(
            self.channels,
            self.padding,
            self.pad_values,
            self.strides,
            self.dilations,
            self.activation,
        )
        graph.operator("LceBconv2d", [source, *inputs], [target], options)
        return target

    def flatbuffer(self, rng) -> bytes:
        """A graph of this operator alone."""
        graph = Graph()
        source = graph.tensor((self.batch, *self.image, words(self.channels)), "int32")
        return graph.flatbuffer([source], [self.add_to(graph, source, rng)])

    def inputs(self, rng) -> np.ndarray:
        return packed(rng.choice([-1, 1], (self.batch, *self.image, self.channels)))


class Same:
    """A generator whose signs are all the same."""

    def __init__(self, sign):
        self.sign = sign
        self.normal = np.random.default_rng(0).normal

    def choice(self, signs, shape):
        return np.full(shape, self.sign)


def one_op(name, source, target, options=None):
    """A graph of one operator, of tensors given as arguments of `Graph.tensor`."""
    graph = Graph()
    tensors = [graph.tensor(*source[0], **source[1]), graph.tensor(*target[0], **target[1])]
    graph.operator(name, tensors[:1], tensors[1:], options)
    return graph.flatbuffer(tensors[:1], tensors[1:])


def tensor(*arguments, **options):
    return arguments, options
