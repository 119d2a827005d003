"""Rows in fixed point: what is done to each number of a pixel, in one loop, and its range.

The code is written several times. What is found of the ranges of numbers says how many bits are
behind their point the next time; the last one is kept.
"""

from larq_reactnet.converters._c.code import Code
from larq_reactnet.converters._c.context import FUSED
from larq_reactnet.converters._c.fixed import Range, bits_behind, joined, whole
from larq_reactnet.converters._c.graph import Constant, Graph, Node, Tensor
from larq_reactnet.converters._c.planning import Plan
from larq_reactnet.converters._c.stages import Stage, parts_of

import numpy as np

__all__ = ["AT_THE_END", "FixedRows"]

_LIMITS = {"RELU": (0.0, np.inf), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}
# What there is for scores only: by how much it enlarges an error, at most.
AT_THE_END = {"SOFTMAX": 0.5, "LOGISTIC": 0.25}


class FixedRows(Code):
    """Computes with a row: a loop over its channels, in which `v` is a number.

    Args:
        name, graph, plan, input_type: As those of `Code`.
        mean: What is subtracted from a pixel, for each channel.
        std: What it is divided by.
        like: What was written before.

    Attributes:
        ranges: What the numbers of each map can be.
        peak: The largest size of a number of a row.
    """

    arithmetic, number, stored = "int16", "int32_t", "int16_t"

    def __init__(
        self,
        name: str,
        graph: Graph,
        plan: Plan,
        input_type: str,
        mean: np.ndarray,
        std: np.ndarray,
        like: "FixedRows | None" = None,
    ):
        self.peak = 0.0
        self._is_informed = like is not None
        self.behind = bits_behind(like.peak, 30) if like else 16
        pixels = whole((np.arange(256)[None] - mean[:, None]) / std[:, None], self.behind)
        if input_type == "int8":
            pixels = np.roll(pixels, 128, axis=1)
        super().__init__(name, graph, plan, input_type, pixels.astype(np.int32))
        self._mean, self._std = mean, std
        self._maps = {k: bits_behind(r.peak, 15) for k, r in like.ranges.items()} if like else {}
        self.ranges: dict[int, Range] = {}
        self._row = Range(*np.zeros((3, 1)))
        self._first, self._loop = "row[k]", list[str]()

    @property
    def is_settled(self) -> bool:
        """Whether all numbers fit into what was written for them, and use all of it."""
        maps = ((self._maps.get(k), bits_behind(r.peak, 15)) for k, r in self.ranges.items())
        fits = all(bits is not None and bits <= most for bits, most in maps)
        return self._is_informed and fits and 0 <= self.behind <= bits_behind(self.peak, 30)

    @property
    def _last_bit(self) -> float:
        """What the last bit of a row is."""
        return 2.0**-self.behind

    def _bits_of(self, tensor: Tensor) -> int:
        """Bits behind the point of a map."""
        return min(self._maps.get(tensor.index, 0), self.behind)

    def _range_of(self, tensor: Tensor) -> Range:
        """What the channels of a map can be."""
        return self.ranges[tensor.index].with_channels(tensor.channels)

    def _become(self, row: Range) -> None:
        self._row = row
        self.peak = max(self.peak, row.peak)

    def _refused(self, node: Node) -> ValueError:
        return ValueError(
            f"{node} has no form in int16. Write the network in float32: --arithmetic float32, or "
            "arithmetic='float32'."
        )

    def _flush(self, channels: int, start: int = 0) -> list[str]:
        """The loop over the channels of all that was to be done to each."""
        if not self._loop and self._first == "row[k]":
            return []
        lines = [
            f"for (int32_t k = {start}; k < {start + channels}; ++k) {{",
            f"  int32_t v = {self._first};",
            *(f"  {line}" for line in self._loop),
            "  row[k] = v;",
            "}",
        ]
        self._first, self._loop = "row[k]", []
        return lines

    def _of_map(self, tensor: Tensor, shift: int = 0) -> str:
        """The number of a map for channel `k` of the row."""
        place = f"at * {tensor.channels} + k" if tensor.pixels > 1 else "k"
        if tensor.channels == 1:
            place = "at" if tensor.pixels > 1 else "0"
        elif shift:
            place += f" + {shift}" if shift > 0 else f" - {-shift}"
        more = self.behind - self._bits_of(tensor)
        return f"(int32_t)({self.pointer(tensor)})[{place}] * (1 << {more})"

    def _operation(self, node: Node, stage: Stage) -> list[str]:
        """What a node does to each number `v` of the row."""
        channels = node.output.channels
        if node.kind in _LIMITS:
            self._clamp(*_LIMITS[node.kind])
            return []
        operand, is_first = self.operand(node, stage)
        if isinstance(operand, Constant):
            self._with_constant(node, operand.real.reshape(-1).astype(np.float64), is_first)
            return []
        if node.kind not in ("ADD", "SUB"):
            raise self._refused(node)
        parts = parts_of(operand, self.graph)
        rows = [self._range_of(part) for part in parts]
        widths = [part.channels for part in parts] if len(parts) > 1 else [channels]
        lines, start = [], 0
        for part, width in zip(parts, widths, strict=True):
            if len(parts) > 1:
                lines += self._flush(channels) if start == 0 else []
            other = self._of_map(part, -start)
            statement = f"v += {other};" if node.kind == "ADD" else f"v -= {other};"
            self._loop.append(statement if is_first or node.kind == "ADD" else f"v = {other} - v;")
            if len(parts) > 1:
                lines += self._flush(width, start)
            start += width
        sign = 1 if node.kind == "ADD" else -1
        other_row, row = joined(rows, widths), self._row
        self._become(row.plus(other_row, sign) if is_first else other_row.plus(row, sign))
        return lines

    def _with_constant(self, node: Node, values: np.ndarray, is_first: bool) -> None:
        """An operation with a number for each channel, or one for all."""
        kind, row = node.kind, self._row
        if kind == "DIV" and is_first:
            kind, values = "MUL", 1 / values
        if kind in ("MUL", "PRELU"):
            product, statement = self._times(values)
            if kind == "MUL":
                self._loop.append(f"v = {statement};")
                self._become(product)
                return
            self._loop.append(f"if (v < 0) v = {statement};")
            ends = [np.where(end < 0, end * values, end) for end in (row.low, row.high)]
            crosses = (row.low < 0) & (row.high > 0)
            low, high = np.minimum(*ends), np.maximum(*ends)
            low, high = (
                np.where(crosses, f(v, 0), v) for f, v in ((np.minimum, low), (np.maximum, high))
            )
            self._become(Range(low, high, np.maximum(row.error, product.error)))
            return
        if kind in ("MAXIMUM", "MINIMUM"):  # a limit that is never reached may be any other such
            least, most = row.ends
            values = np.maximum(values, least) if kind == "MAXIMUM" else np.minimum(values, most)
        integers = whole(values, self.behind)
        if np.abs(values).max() >= 2.0**31 * self._last_bit:
            self.peak = max(self.peak, float(np.abs(values).max()))
            integers = np.zeros_like(integers)  # it is written again, with fewer bits
        name = self.constant(integers.astype(np.int32), kind.lower())
        other = f"{name}[{'k' if values.size > 1 else 0}]"
        error = np.abs(integers * self._last_bit - values)
        constant = Range(values, values, error)
        if kind == "ADD":
            self._loop.append(f"v += {other};")
            self._become(row.plus(constant))
        elif kind == "SUB":
            self._loop.append(f"v -= {other};" if is_first else f"v = {other} - v;")
            self._become(row.plus(constant, -1) if is_first else constant.plus(row, -1))
        elif kind in ("MAXIMUM", "MINIMUM"):
            sign = ">" if kind == "MAXIMUM" else "<"
            self._loop.append(f"if ({other} {sign} v) v = {other};")
            function = np.maximum if kind == "MAXIMUM" else np.minimum
            self._become(row.of(function, values).with_error(error))
        else:
            raise self._refused(node)

    def _times(self, values: np.ndarray) -> tuple[Range, str]:
        """The product of the row with constants: what it is, and as C."""
        bits = min(bits_behind(float(np.abs(values).max()), 15), 30)
        factors = whole(values, bits)
        row = self._row
        size = np.maximum(np.abs(row.low), np.abs(row.high)) + row.error
        error = np.abs(values) * row.error + size * np.abs(values - factors * 2.0**-bits)
        error = error + (2.0 ** (16 - bits) + 1) * self._last_bit
        ends = row.low * values, row.high * values
        name = self.constant(factors.astype(np.int16), "factors")
        self.use("fixed")
        text = f"{self.name}_times(v, {name}[{'k' if values.size > 1 else 0}])"
        return Range(np.minimum(*ends), np.maximum(*ends), error), _shifted(text, bits - 16)

    def _clamp(self, low: float, high: float) -> None:
        least, most = self._row.ends
        for limit, sign, function in ((low, "<", np.maximum), (high, ">", np.minimum)):
            if least < limit < most:  # others change nothing, and may not fit into an integer
                number = int(whole(np.array(limit), self.behind))
                self._loop.append(f"if (v {sign} {number}) v = {number};")
                self._become(self._row.of(function, np.array(limit)))

    def _activation(self, node: Node) -> None:
        kind = FUSED.get(node.options.get("fusedActivationFunction", 0))
        if kind:
            self._clamp(*_LIMITS[kind])

    def _keep(self, stage: Stage, tensor: Tensor) -> None:
        """Keep the row as a pixel of a map, or as scores, if others need it."""
        if tensor not in stage.stored:
            return
        place = f"at * {tensor.channels} + k"
        if tensor.index == self.graph.output.index:
            self._loop.append(f"scores[{place}] = (float)v * {np.float32(self._last_bit)!s}f;")
            self.params.add("scores")
            self.errors[tensor.index] = self._row.error + self._row.peak * 2.0**-24
            return
        bits = self._bits_of(tensor)
        number = _shifted("v", self.behind - bits)
        self._loop.append(f"({self.pointer(tensor)})[{place}] = (int16_t)({number});")
        self.ranges[tensor.index] = self._row.with_error(2.0**-bits / 2)

    def _end(self, node: Node, stage: Stage) -> list[str]:
        """A softmax or sigmoid of the scores, in float32."""
        if node is not stage.steps[-1] or node.output.index != self.graph.output.index:
            raise self._refused(node)
        channels, output = node.output.channels, self.graph.output.index
        error = self._row.error.max() + self._row.peak * 2.0**-24
        self._loop.append(
            f"scores[at * {channels} + k] = (float)v * {np.float32(self._last_bit)!s}f;"
        )
        self.params.add("scores")
        beta = float(node.options.get("beta", 1.0)) if node.kind == "SOFTMAX" else 1.0
        self.errors[node.tensors[0].index] = np.full(channels, error)
        self.errors[output] = np.full(channels, min(1.0, AT_THE_END[node.kind] * abs(beta) * error))
        last = f"{channels}, {np.float32(beta)!s}f" if node.kind == "SOFTMAX" else f"{channels}"
        function = self.use(node.kind.lower())
        return [*self._flush(channels), f"{function}(scores + at * {channels}, {last});"]


def _shifted(text: str, by: int) -> str:
    """A number with fewer bits behind the point, rounded, or with more."""
    if by > 0:
        return f"(({text} >> {by - 1}) + 1) >> 1" if by > 1 else f"({text} + 1) >> 1"
    return f"{text} * (1 << {-by})" if by else text
