"""C code: what a stage is in C, the kernels that it calls, and the constants that it needs."""

import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

from larq_reactnet.converters._c.bits import binary_filters
from larq_reactnet.converters._c.graph import Constant, Graph, Node, Tensor
from larq_reactnet.converters._c.planning import Plan
from larq_reactnet.converters._c.stages import LOAD, PIXELS, Stage, parts_of
from larq_reactnet.converters._lce import BCONV2D, BMAXPOOL2D, DEQUANTIZE, QUANTIZE

import numpy as np

__all__ = ["Code", "kernel_sources"]

# Kernels that need others.
_NEEDS = {
    "bconv2d": ("base",),
    "bconv2d_bits": ("bconv2d",),
    "bconv2d_float": ("bconv2d",),
    "bmaxpool2d": ("base",),
    "patch": ("base",),
    "pixels_patch": ("base", "pixels"),
    "depthwise": ("base",),
    "maxpool2d": ("base",),
    "avgpool2d": ("base",),
    "pad": ("base",),
}
WITH_MATH = ("softmax", "logistic")
_ACTIVATIONS = {1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6"}
_CTYPES = {
    "float32": "float",
    "float16": "uint16_t",
    "int8": "int8_t",
    "uint32": "uint32_t",
}


def kernel_sources(kernels: Sequence[str], name: str) -> str:
    """The source of kernels and of those that they need, with the prefix `name`."""
    order: list[str] = []

    def add(kernel: str) -> None:
        for needed in _NEEDS.get(kernel, ()):
            add(needed)
        if kernel not in order:
            order.append(kernel)

    for kernel in kernels:
        add(kernel)
    folder = resources.files("larq_reactnet.converters._c") / "kernels"
    texts = [(folder / f"{kernel}.c").read_text(encoding="utf-8") for kernel in order]
    return "\n".join(texts).replace("NAME", name)


class Code:
    """Writes stages, and remembers the kernels and constants that they need.

    Attributes:
        kernels: Names of kernels, in the order in which they are needed.
        constants: Arrays by the names that they have in C, and the layers that they are of.
    """

    def __init__(self, name: str, graph: Graph, plan: Plan, input_type: str, table: np.ndarray):
        self.name, self._graph, self._plan, self._input_type = name, graph, plan, input_type
        self.kernels: list[str] = []
        self.constants: dict[str, tuple[np.ndarray, str]] = {}
        self._table = table
        self._statics: list[str] = []
        self._known: dict[int, str] = {}

    def stage(self, number: int, stage: Stage) -> tuple[str, str]:
        """The function of a stage, and the call of it."""
        self._number, self._layer = number, stage.layer
        self._statics, self._params, self._count = [], {}, 0
        body = self._body(stage)
        params = [p for p in ("image", "arena", "scores") if p in self._params]
        types = {
            "image": f"const {self.image_type} *image",
            "arena": "unsigned char *arena",
            "scores": "float *scores",
        }
        title = ", ".join(dict.fromkeys(node.kind for node in stage.nodes))
        what = f"/* {number}: {stage.layer}: {title} */\n".replace(": : ", ": ")
        head = f"static void {self.name}_stage_{number}({', '.join(types[p] for p in params)}) {{\n"
        call = f"  {self.name}_stage_{number}({', '.join(params)});"
        return what + "".join(self._statics) + head + body + "}\n", call

    @property
    def image_type(self) -> str:
        return {"uint8": "uint8_t", "int8": "int8_t", "float32": "float"}[self._input_type]

    # Pointers

    def _pointer(self, tensor: Tensor) -> str:
        """Where the numbers or words of a tensor are."""
        if tensor.index == self._graph.output.index:
            self._params["scores"] = True
            return "scores"
        block = self._plan.tensors.get(tensor.index)
        if block is None:
            self._params["image"] = True
            return "image"
        return self._at(block.offset, "uint32_t" if tensor.is_bits else "float")

    def _scratch(self, name: str) -> str:
        block = self._plan.scratch[self._number][name]
        return self._at(block.offset, "uint16_t" if name == "list" else "float")

    def _at(self, offset: int, ctype: str) -> str:
        self._params["arena"] = True
        return f"({ctype} *)(void *)(arena + {offset})"

    def _constant(self, values: np.ndarray, what: str) -> str:
        """The name of a constant in C."""
        name = f"{self.name}_{what}_{self._number}"
        while name in self.constants:
            self._count += 1
            name = f"{self.name}_{what}_{self._number}_{self._count}"
        if values.dtype not in (np.float16, np.int8, np.uint32):
            values = values.astype(np.float32)
        self.constants[name] = (np.ascontiguousarray(values), self._layer)
        return name

    def _use(self, kernel: str) -> str:
        if kernel not in self.kernels:
            self.kernels.append(kernel)
        return f"{self.name}_{kernel}"

    # The body of a stage

    def _body(self, stage: Stage) -> str:
        row, lines = stage.row, []
        source = stage.source
        is_bits = source.output.is_bits
        if not is_bits:
            lines.append(f"  float *row = {self._scratch('row')};")
        inner = self._source(stage, lines)
        before = row if stage.source.kind != LOAD else None
        if before is not None:
            inner += self._activation(stage.pool or source, row.channels) if not is_bits else []
            inner += self._store(stage, before)
        for node in stage.steps:
            inner += self._step(node, stage)
        loops = [
            f"  for (int32_t y = 0; y < {row.height}; ++y) {{",
            f"    for (int32_t x = 0; x < {row.width}; ++x) {{",
        ]
        if any(re.search(r"\bat\b", line) for line in inner):
            loops.append(f"      const int32_t at = y * {row.width} + x;")
        return "\n".join([*lines, *loops, *(f"      {line}" for line in inner), "    }", "  }", ""])

    def _store(self, stage: Stage, tensor: Tensor) -> list[str]:
        """Keep the row as a pixel of a tensor, if others need it."""
        if tensor not in stage.stored or tensor.is_bits:
            return []
        size = tensor.channels
        return [f"memcpy({self._pointer(tensor)} + at * {size}, row, {size} * sizeof(float));"]

    def _activation(self, node: Node, channels: int) -> list[str]:
        kind = node.options.get("fusedActivationFunction", 0)
        if not kind:
            return []
        if kind not in _ACTIVATIONS:
            raise ValueError(f"{node} has activation number {kind}, which has no C form: use ReLU.")
        return self._unary(_ACTIVATIONS[kind], channels)

    def _unary(self, kind: str, channels: int) -> list[str]:
        if kind == "RELU":
            return [f"{self._use('relu')}(row, {channels});"]
        low, high = {"RELU6": ("0.0f", "6.0f"), "RELU_N1_TO_1": ("-1.0f", "1.0f")}[kind]
        return [f"{self._use('clamp')}(row, {low}, {high}, {channels});"]

    def _step(self, node: Node, stage: Stage) -> list[str]:
        """A node that computes with the row."""
        channels = node.output.channels
        if node.kind == QUANTIZE:
            at = f"{self._pointer(node.output)} + at * {node.output.words}"
            return [f"{self._use('quantize')}(row, {channels}, {at});"]
        if node.kind == "SOFTMAX":
            beta = _float(node.options.get("beta", 1.0))
            lines = [f"{self._use('softmax')}(row, {channels}, {beta});"]
        elif node.kind == "LOGISTIC":
            lines = [f"{self._use('logistic')}(row, {channels});"]
        elif node.kind in ("RELU", "RELU6", "RELU_N1_TO_1"):
            lines = self._unary(node.kind, channels)
        else:
            lines = self._operand(node, stage)
        lines += self._activation(node, channels)
        return lines + self._store(stage, node.output)

    def _operand(self, node: Node, stage: Stage) -> list[str]:
        """A node that computes with the row and another tensor or constant."""
        running = {n.output.index for n in stage.nodes}
        is_first = isinstance(node.inputs[0], Tensor) and node.inputs[0].index in running
        other = node.inputs[1] if is_first else node.inputs[0]
        kind = node.kind.lower()
        if not is_first:
            kind = {"sub": "rsub"}.get(kind, kind)
            if kind in ("div", "prelu"):
                raise ValueError(f"{node} divides by what is computed, which has no C form.")
        function = self._use(kind)
        channels = node.output.channels
        if isinstance(other, Constant):
            values = other.real.reshape(-1)
            if values.size not in (1, channels):
                raise ValueError(
                    f"{node} has a constant of the shape {other.values.shape}; there is C for a "
                    "number for each channel, or one for all."
                )
            name = self._constant(values, kind)
            return [f"{function}(row, {name}, {int(values.size > 1)}, {channels});"]
        assert isinstance(other, Tensor)
        lines, first = [], 0
        for part in parts_of(other, self._graph):
            width = part.channels
            step = int(width > 1)
            at = f" + at * {width}" if part.pixels > 1 else ""
            count = width if step and width != channels else channels
            row = f"row + {first}" if first else "row"
            lines.append(f"{function}({row}, {self._pointer(part)}{at}, {step}, {count});")
            first += width
        return lines

    # Sources

    def _window(self, given: Tensor, output: Tensor, size: tuple[int, int], options: Any) -> str:
        """The initializer of a window."""
        keys = (
            ("stride_height", "stride_width", "dilation_height_factor", "dilation_width_factor")
            if "stride_height" in options
            else ("strideH", "strideW", "dilationHFactor", "dilationWFactor")
        )
        steps = [int(options.get(key, 1)) for key in keys]
        padding = [0, 0]
        if options["padding"] == 0:
            for axis, (length, out) in enumerate(
                zip((given.height, given.width), (output.height, output.width), strict=True)
            ):
                needed = (out - 1) * steps[axis] + (size[axis] - 1) * steps[axis + 2] + 1 - length
                padding[axis] = max(needed, 0) // 2
        numbers = (given.height, given.width, *size, *steps, *padding)
        return "{" + ", ".join(map(str, numbers)) + "}"

    def _static(self, ctype: str, what: str, value: str) -> str:
        name = f"{self.name}_{what}_of_{self._number}"
        self._statics.append(f"static const {self.name}_{ctype} {name} = {value};\n")
        return f"&{name}"

    def _source(self, stage: Stage, lines: list[str]) -> list[str]:
        node = stage.source
        given = node.tensors[0]
        channels = given.channels
        if stage.pool is not None:
            return self._pooled(stage, lines)
        if node.kind in ("CONV_2D", BCONV2D):
            return self._convolution(node, lines, "y", "x", "row")
        if node.kind == LOAD:
            size = f"{channels} * sizeof(float)"
            return [f"memcpy(row, {self._pointer(given)} + at * {channels}, {size});"]
        if node.kind == PIXELS:
            self._params["image"] = True
            table = self._pixels()
            at = f"{self._bytes()} + at * {channels}"
            return [f"{self._use('pixels')}({at}, {table}, {channels}, row);"]
        if node.kind == DEQUANTIZE:
            at = f"{self._pointer(given)} + at * {given.words}"
            return [f"{self._use('dequantize')}({at}, {channels}, row);"]
        if node.kind == "FULLY_CONNECTED":
            return self._dense(node)
        if node.kind == "CONCATENATION":
            return self._concatenation(node)
        if node.kind == "MEAN":
            axes = node.constant(1)
            assert axes is not None
            if sorted(int(axis) % 4 for axis in axes.values.ravel()) != [1, 2]:
                raise ValueError(f"{node} takes the mean of {axes.values.tolist()}, not of pixels.")
            at = self._pointer(given)
            return [f"{self._use('mean')}({at}, {given.pixels}, {channels}, row);"]
        if node.kind == "PAD":
            return self._pad(node)
        size: tuple[int, int]
        if node.kind == "DEPTHWISE_CONV_2D":
            weights, bias = node.constant(1), node.constant(2)
            assert weights is not None
            filters = weights.values.shape[-1]
            window = self._window(given, node.output, weights.values.shape[1:3], node.options)
            bias_values = np.zeros(filters) if bias is None else bias.real
            arguments = (
                f"{self._constant(weights.real, 'weights')}, "
                f"{self._constant(bias_values, 'bias')}, {channels}, {filters // channels}"
            )
            address = self._static("window", "window", window)
            at = self._pointer(given)
            return [f"{self._use('depthwise')}({address}, {at}, {arguments}, y, x, row);"]
        if node.kind == BMAXPOOL2D:
            size = (int(node.options["filter_height"]), int(node.options["filter_width"]))
            kernel, row = "bmaxpool2d", f"{self._pointer(node.output)} + at * {given.words}"
        else:
            size = (int(node.options["filterHeight"]), int(node.options["filterWidth"]))
            kernel, row = node.kind.lower().replace("_pool_2d", "pool2d"), "row"
            kernel = kernel.replace("average", "avg")
        address = self._static(
            "window", "window", self._window(given, node.output, size, node.options)
        )
        at = self._pointer(given)
        return [f"{self._use(kernel)}({address}, {at}, {given.words}, y, x, {row});"]

    def _pixels(self) -> str:
        name = f"{self.name}_table"
        self.constants.setdefault(name, (self._table, "input"))
        return name

    def _bytes(self) -> str:
        return "image" if self._input_type == "uint8" else "(const uint8_t *)image"

    def _pooled(self, stage: Stage, lines: list[str]) -> list[str]:
        """A convolution for each pixel under the window of a pool."""
        pool = stage.pool
        assert pool is not None
        given = stage.source.output
        size = (int(pool.options["filterHeight"]), int(pool.options["filterWidth"]))
        window = self._static(
            "window", "pool", self._window(given, pool.output, size, pool.options)
        )
        lines.append(f"  float *pixel = {self._scratch('pixel')};")
        channels = given.channels
        inner = self._convolution(
            stage.source, lines, f"under / {given.width}", f"under % {given.width}", "pixel"
        )
        inner += [
            line.replace("(row", "(pixel") for line in self._activation(stage.source, channels)
        ]
        self._use("base")
        return [
            "int32_t is_first = 1;",
            f"for (int32_t i = 0; i < {size[0]}; ++i) {{",
            f"  for (int32_t j = 0; j < {size[1]}; ++j) {{",
            f"    const int32_t under = {self.name}_under({window}, y, x, i, j);",
            "    if (under < 0) continue;",
            *(f"    {line}" for line in inner),
            f"    {self._use('largest')}(row, pixel, is_first, {channels});",
            "    is_first = 0;",
            "  }",
            "}",
        ]

    def _convolution(self, node: Node, lines: list[str], y: str, x: str, row: str) -> list[str]:
        if node.kind == BCONV2D:
            return self._binary(node, y, x, row)
        given = node.tensors[0]
        weights, bias = node.constant(1), node.constant(2)
        assert weights is not None
        filters, *shape = weights.values.shape
        if shape[2] != given.channels:
            raise ValueError(f"{node} is a real convolution in groups, which has no C form.")
        window = self._static(
            "window", "window", self._window(given, node.output, (shape[0], shape[1]), node.options)
        )
        lines.append(f"  float *patch = {self._scratch('patch')};")
        size = int(np.prod(shape))
        values = self._constant(weights.real, "weights")
        summands = self._constant(np.zeros(filters) if bias is None else bias.real, "bias")
        pointer, function = self._pointer(given), self._use("conv2d")
        if pointer == "image" and self._input_type != "float32":
            kernel = self._use("pixels_patch")
            arguments = f"{window}, {self._bytes()}, {self._pixels()}, {given.channels}, {y}, {x}"
        else:
            kernel = self._use("patch")
            arguments = f"{window}, {pointer}, {given.channels}, {y}, {x}"
        return [
            f"{kernel}({arguments}, patch);",
            f"{function}(patch, {values}, {summands}, {size}, {filters}, {row});",
        ]

    def _binary(self, node: Node, y: str, x: str, row: str) -> list[str]:
        given, found = node.tensors[0], binary_filters(node)
        weights = node.constant(1)
        assert weights is not None
        filters, *size, words = weights.values.shape
        options = node.options
        numbers = (
            self._window(given, node.output, (size[0], size[1]), options),
            given.words,
            words,
            given.channels // found.groups,
            int(options["padding"] == 0 and options["pad_values"] == 0),
            filters // found.groups,
            found.groups,
            found.planes,
            found.offset,
            self._constant(found.weights, "weights"),
            self._constant(found.starts, "starts"),
        )
        address = self._static("bconv2d", "conv", "{" + ", ".join(map(str, numbers)) + "}")
        at, places = self._pointer(given), self._scratch("list")
        if node.output.is_bits:
            out = f"{self._pointer(node.output)} + at * {node.output.words}"
            return [f"{self._use('bconv2d_bits')}({address}, {at}, {y}, {x}, {places}, {out});"]
        affine = (
            found.lowest,
            found.highest,
            self._constant(found.multiplier, "multiplier"),
            self._constant(found.bias, "bias"),
        )
        limits = self._static("affine", "affine", "{" + ", ".join(map(str, affine)) + "}")
        function = self._use("bconv2d_float")
        return [f"{function}({address}, {limits}, {at}, {y}, {x}, {places}, {row});"]

    def _dense(self, node: Node) -> list[str]:
        weights, bias = node.constant(1), node.constant(2)
        if weights is None:
            raise ValueError(f"{node} multiplies two tensors that are computed: it has no C form.")
        outputs, size = weights.values.shape
        kernel = {"float16": "dense_float16", "int8": "dense_int8"}.get(
            str(weights.values.dtype), "dense"
        )
        arguments = [self._constant(weights.values, "weights")]
        if weights.scales is not None:
            arguments.append(self._constant(weights.scales, "scales"))
        arguments.append(self._constant(np.zeros(outputs) if bias is None else bias.real, "bias"))
        at = self._pointer(node.tensors[0])
        if node.output.pixels > 1:
            at += f" + at * {size}"
        return [f"{self._use(kernel)}({at}, {', '.join(arguments)}, {size}, {outputs}, row);"]

    def _concatenation(self, node: Node) -> list[str]:
        rank = len(node.output.shape)
        if len(node.tensors) != len(node.inputs) or node.options["axis"] not in (-1, rank):
            raise ValueError(f"{node} joins something else than channels: it has no C form.")
        lines, first = [], 0
        for part in node.tensors:
            width = part.channels
            at = f"{self._pointer(part)} + at * {width}"
            lines.append(f"memcpy(row + {first}, {at}, {width} * sizeof(float));")
            first += width
        return lines

    def _pad(self, node: Node) -> list[str]:
        given, amounts = node.tensors[0], node.constant(1)
        if amounts is None or amounts.values.shape != (4, 2) or amounts.values[0].any():
            raise ValueError(f"{node} pads something else than an image: it has no C form.")
        (_, (top, _), (left, _), (before, _)) = amounts.values.tolist()
        window = f"{{{given.height}, {given.width}, 1, 1, 1, 1, 1, 1, {top}, {left}}}"
        address = self._static("window", "window", window)
        at = self._pointer(given)
        sizes = f"{given.channels}, {before}, {node.output.channels}"
        return [f"{self._use('pad')}({address}, {at}, {sizes}, y, x, row);"]


def _float(value: float) -> str:
    """A float32 in C, exactly."""
    return f"{np.float32(value)!s}f"
