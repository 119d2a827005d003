"""C code: what a stage is in C, the kernels that it calls, and the constants that it needs."""

import re
from collections.abc import Sequence
from importlib import resources

from larq_reactnet.converters._c.context import Context
from larq_reactnet.converters._c.graph import Constant, Node, Tensor
from larq_reactnet.converters._c.sources import source_lines
from larq_reactnet.converters._c.stages import LOAD, Stage, parts_of
from larq_reactnet.converters._lce import QUANTIZE

import numpy as np

__all__ = ["Code", "kernel_sources"]

# Kernels that need others.
_NEEDS = {
    "bconv2d": ("base",),
    "bconv2d_bits": ("bconv2d", "popcount"),
    "bconv2d_numbers": ("number", "bconv2d", "popcount", "affine"),
    "bmaxpool2d": ("base",),
    "patch": ("base", "number"),
    "conv2d_pixels": ("base",),
    "conv2d_fixed_pixels": ("base", "scaled", "pair"),
    "dot_fixed": ("pair",),
    "pixels": ("number",),
    "pixels_patch": ("base", "pixels"),
    "depthwise": ("base",),
    "dequantize": ("number",),
    "quantize": ("number",),
    "largest": ("number",),
    "maxpool2d": ("base", "number"),
    "sum": ("base", "number"),
    "avgpool_fixed": ("sum",),
    "avgpool2d": ("sum",),
    "affine": ("number",),
    "pad": ("base",),
}
WITH_MATH = ("softmax", "logistic")


def kernel_sources(kernels: Sequence[str], name: str, arithmetic: str) -> str:
    """The source of kernels and of those that they need, with the prefix `name`."""
    order: list[str] = []

    def add(kernel: str) -> None:
        for needed in _NEEDS.get(kernel, ()):
            add(needed)
        if kernel == "number":  # there is one for each arithmetic
            kernel += f"_{arithmetic}"
        if kernel not in order:
            order.append(kernel)

    for kernel in kernels:
        add(kernel)
    folder = resources.files("larq_reactnet.converters._c") / "kernels"
    texts = [(folder / f"{kernel}.c").read_text(encoding="utf-8") for kernel in order]
    return "\n".join(texts).replace("NAME", name)


class Code(Context):
    """Writes stages, and remembers the kernels and constants that they need."""

    def stage(self, number: int, stage: Stage) -> tuple[str, str]:
        """The function of a stage, and the call of it."""
        self.begin(number, stage.layer)
        body = self._body(stage)
        params = [p for p in ("image", "arena", "scores") if p in self.params]
        types = {
            "image": f"const {self.image_type} *image",
            "arena": "unsigned char *arena",
            "scores": "float *scores",
        }
        title = ", ".join(dict.fromkeys(node.kind for node in stage.nodes))
        what = f"/* {number}: {stage.layer}: {title} */\n".replace(": : ", ": ")
        head = f"static void {self.name}_stage_{number}({', '.join(types[p] for p in params)}) {{\n"
        call = f"  {self.name}_stage_{number}({', '.join(params)});"
        return what + "".join(self.statics) + head + body + "}\n", call

    def _body(self, stage: Stage) -> str:
        row, lines = stage.row, list[str]()
        inner = self._lines(stage, lines)
        loops = [
            f"  for (int32_t y = 0; y < {row.height}; ++y) {{",
            f"    for (int32_t x = 0; x < {row.width}; ++x) {{",
        ]
        if any(re.search(r"\bat\b", line) for line in inner):
            loops.append(f"      const int32_t at = y * {row.width} + x;")
        return "\n".join([*lines, *loops, *(f"      {line}" for line in inner), "    }", "  }", ""])

    def _lines(self, stage: Stage, lines: list[str]) -> list[str]:
        """What is done for each pixel; `lines` gets what is done before."""
        source = stage.source
        is_bits = source.output.is_bits
        if not is_bits:
            lines.append(f"  float *row = {self.scratch('row')};")
        inner = source_lines(self, stage, lines)
        if stage.source.kind != LOAD:
            channels = stage.row.channels
            inner += self.activation(stage.pool or source, channels) if not is_bits else []
            inner += self._store(stage, stage.row)
        for node in stage.steps:
            inner += self._step(node, stage)
        return inner

    def signs(self, node: Node) -> list[str]:
        """The signs of the row."""
        channels = node.output.channels
        at = f"{self.pointer(node.output)} + at * {node.output.words}"
        size = f"{channels} * (int32_t)sizeof(*row)"
        return [
            f"{self.name.upper()}_LOOK_SIGNED({node.output.index}, row, {size});",
            f"{self.use('quantize')}(row, {channels}, {at});",
        ]

    def _store(self, stage: Stage, tensor: Tensor) -> list[str]:
        """Keep the row as a pixel of a tensor, if others need it."""
        if tensor not in stage.stored or tensor.is_bits:
            return []
        size = tensor.channels
        return [f"memcpy({self.pointer(tensor)} + at * {size}, row, {size} * sizeof(float));"]

    def _step(self, node: Node, stage: Stage) -> list[str]:
        """A node that computes with the row."""
        channels = node.output.channels
        if node.kind == QUANTIZE:
            return self.signs(node)
        if node.kind == "SOFTMAX":
            beta = _float(node.options.get("beta", 1.0))
            lines = [f"{self.use('softmax')}(row, {channels}, {beta});"]
        elif node.kind == "LOGISTIC":
            lines = [f"{self.use('logistic')}(row, {channels});"]
        elif node.kind in ("RELU", "RELU6", "RELU_N1_TO_1"):
            lines = self.unary(node.kind, channels)
        else:
            lines = self._operand(node, stage)
        lines += self.activation(node, channels)
        return lines + self._store(stage, node.output)

    def _operand(self, node: Node, stage: Stage) -> list[str]:
        """A node that computes with the row and another tensor or constant."""
        channels = node.output.channels
        other, is_first = self.operand(node, stage)
        kind = node.kind.lower() if is_first else {"SUB": "rsub"}.get(node.kind, node.kind.lower())
        function = self.use(kind)
        if isinstance(other, Constant):
            values = other.real.reshape(-1)
            name = self.constant(values, kind)
            return [f"{function}(row, {name}, {int(values.size > 1)}, {channels});"]
        lines, first, parts = [], 0, parts_of(other, self.graph)
        for part in parts:
            width = part.channels
            count = width if len(parts) > 1 else channels
            step = int(width == count)  # one number is for all channels
            at = f" + at * {width}" if part.pixels > 1 else ""
            row = f"row + {first}" if first else "row"
            lines.append(f"{function}({row}, {self.pointer(part)}{at}, {step}, {count});")
            first += width
        return lines

    def operand(self, node: Node, stage: Stage) -> tuple[Tensor | Constant, bool]:
        """The other input of a node that computes with the row, and whether the row is the first.

        Raises:
            ValueError: If it has a shape for which there is no C.
        """
        running = {n.output.index for n in stage.nodes}
        is_first = isinstance(node.inputs[0], Tensor) and node.inputs[0].index in running
        other = node.inputs[1] if is_first else node.inputs[0]
        shape = other.shape if isinstance(other, Tensor) else ()
        if len(shape) > 1 and int(np.prod(shape[:-1])) not in (1, node.output.pixels):
            raise ValueError(f"{node} repeats a tensor of the shape {shape}: it has no C form.")
        if not is_first and node.kind in ("DIV", "PRELU"):
            raise ValueError(f"{node} divides by what is computed, which has no C form.")
        if isinstance(other, Constant):
            size, channels = other.values.size, node.output.channels
            if size != 1 and not size == channels == other.values.shape[-1]:
                cure = ": give PReLU `shared_axes=[1, 2]`" if node.kind == "PRELU" else ""
                raise ValueError(
                    f"{node} has a constant of the shape {other.values.shape}; there is C for a "
                    f"number for each channel, or one for all{cure}."
                )
        assert other is not None
        return other, is_first


def _float(value: float) -> str:
    """A float32 in C, exactly."""
    return f"{np.float32(value)!s}f"
