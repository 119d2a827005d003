"""C code of stages in fixed point: what a row begins with, and the weights of real filters."""

from larq_reactnet.converters._c.bits import BinaryFilters
from larq_reactnet.converters._c.fixed import (
    INT16,
    Range,
    by_fours,
    filters_of,
    joined,
    whole,
)
from larq_reactnet.converters._c.fixed_rows import AT_THE_END, FixedRows
from larq_reactnet.converters._c.graph import Node, Tensor
from larq_reactnet.converters._c.sources import (
    binary,
    check_concatenation,
    check_mean,
    first_channel,
    pooled,
    window_of,
    window_of_pool,
)
from larq_reactnet.converters._c.stages import LOAD, PIXELS, Stage
from larq_reactnet.converters._lce import BCONV2D, DEQUANTIZE, QUANTIZE

import numpy as np

__all__ = ["FixedCode"]

_PIXEL_BITS = 4  # behind the point of a pixel minus the mean
_MOST = 2.0**31 - 1
_MOST_64 = 2.0**47  # of a sum of weights, which numbers of 16 bits are multiplied with


class FixedCode(FixedRows):
    """Writes stages in fixed point."""

    def _lines(self, stage: Stage, lines: list[str]) -> list[str]:
        if stage.source.output.is_bits:
            return super()._lines(stage, lines)
        lines.append(f"  int32_t *row = {self.scratch('row')};")
        self._first, self._loop = "row[k]", []
        channels = stage.row.channels
        inner = self._source(stage, lines)
        self._activation(stage.source)
        if stage.pool:
            self._activation(stage.pool)
        if stage.source.kind != LOAD:
            self._keep(stage, stage.row)
        for node in stage.steps:
            if node.kind == QUANTIZE:
                inner += self._flush(channels) + self.signs(node)
                self.errors[node.output.index] = self._row.error
                self.share = max(self.share, self._row.share)
                continue
            if node.kind in AT_THE_END:
                return inner + self._end(node, stage)
            inner += self._operation(node, stage)
            self._activation(node)
            self._keep(stage, node.output)
        return inner + self._flush(channels)

    def _fill(self, parts: list[tuple[Tensor, int]], channels: int) -> list[str]:
        """The row out of maps side by side, each from one of its channels on."""
        lines, start = [], 0
        for tensor, first in parts:
            count = min(tensor.channels - first, channels - start)
            self._first = self._of_map(tensor, first - start)
            if len(parts) > 1:
                lines += self._flush(count, start)
            start += count
        rows = [self._range_of(tensor).part(first, channels) for tensor, first in parts]
        self._become(joined(rows, [min(t.channels - f, channels) for t, f in parts]))
        return lines

    def _source(self, stage: Stage, lines: list[str]) -> list[str]:
        node = stage.source
        given, channels = node.tensors[0], node.output.channels
        if stage.pool:
            place = (f"under / {node.output.width}", f"under % {node.output.width}")
            inner = self._convolution(node, lines, *place, "pixel")
            return pooled(self, stage, lines, inner)
        if node.kind in ("CONV_2D", BCONV2D):
            return self._convolution(node, lines, "y", "x", "row")
        if node.kind == LOAD:
            return self._fill([(given, 0)], channels)
        if node.kind == "CONCATENATION":
            check_concatenation(node)
            return self._fill([(tensor, 0) for tensor in node.tensors], channels)
        if node.kind == "STRIDED_SLICE":
            return self._fill([(given, first_channel(node))], channels)
        if node.kind == "FULLY_CONNECTED":
            return self._dense(node)
        if node.kind in ("AVERAGE_POOL_2D", "MEAN"):
            return self._average(node)
        if node.kind == "MAX_POOL_2D":
            self._become(self._range_of(given))
            self._first = f"row[k] * (1 << {self.behind - self._bits_of(given)})"
            window = self.static("window", "window", window_of_pool(node))
            return [
                f"{self.use('maxpool2d')}({window}, {self.pointer(given)}, {channels}, y, x, row);"
            ]
        if node.kind == PIXELS:
            self.params.add("image")
            ends = (np.array([0, 255])[None] - self._mean[:, None]) / self._std[:, None]
            self._become(Range(ends.min(1), ends.max(1), np.full(channels, self._last_bit / 2)))
            at = f"{self.bytes()} + at * {channels}"
            return [f"{self.use('pixels')}({at}, {self.pixels()}, {channels}, row);"]
        if node.kind == DEQUANTIZE:
            self._become(Range(-np.ones(channels), np.ones(channels), np.zeros(channels)))
            self._first = f"row[k] * (1 << {self.behind})"
            at = f"{self.pointer(given)} + at * {given.words}"
            return [f"{self.use('dequantize')}({at}, {channels}, row);"]
        raise self._refused(node)

    def affine(self, found: BinaryFilters) -> tuple[np.ndarray, np.ndarray]:
        multiplier, bias = (whole(v, self.behind) for v in (found.multiplier, found.bias))
        size = 2 * found.size
        ends = (
            found.multiplier.astype(np.float64) * x + found.bias
            for x in np.clip([0, size], found.lowest, found.highest)
        )
        off = np.abs(multiplier * self._last_bit - found.multiplier) * size
        off += np.abs(bias * self._last_bit - found.bias)
        low, high = np.sort(np.stack([*ends]), axis=0)
        self.peak = max(self.peak, float((np.abs(found.multiplier) * size).max()))
        self._become(Range(low, high, off))
        return multiplier.astype(np.int32), bias.astype(np.int32)

    def _convolution(self, node: Node, lines: list[str], y: str, x: str, row: str) -> list[str]:
        if node.kind == BCONV2D:
            return binary(self, node, y, x, row)
        weights = node.constant(1)
        given = node.tensors[0]
        if weights is None or weights.values.shape[-1] != given.channels:
            raise self._refused(node)
        filters, *size, channels = weights.values.shape
        window = window_of(given, node.output, (size[0], size[1]), node.options)
        lines.append(f"  int16_t *patch = {self.scratch('patch')};")
        places = size[0] * size[1]
        if self.pointer(given) != "image":
            address = self.static("window", "window", window)
            names = self._filters(node, self._range_of(given), self._bits_of(given))
            arguments = f"{address}, {self.pointer(given)}, {channels}, {y}, {x}"
            return [
                f"{self.use('patch')}({arguments}, patch);",
                f"{self.use('dot_fixed')}(patch, {names}, {places * channels}, {filters}, {row});",
            ]
        means = whole(self._mean, _PIXEL_BITS)
        if means.max() > INT16 or (255 << _PIXEL_BITS) - means.min() > INT16:
            raise ValueError(
                f"The mean of pixels is {self._mean.tolist()}; in int16 it can be from "
                f"{255 - (INT16 >> _PIXEL_BITS)} to {INT16 >> _PIXEL_BITS}. Write the network in "
                "float32: --arithmetic float32, or arithmetic='float32'."
            )
        mean_of_c = means * 2.0**-_PIXEL_BITS
        pixels = Range(-mean_of_c, 255 - mean_of_c, np.zeros(channels))
        names = self._filters(node, pixels, _PIXEL_BITS, (1 / self._std, mean_of_c - self._mean))
        flip = "128u" if self.input_type == "int8" else "0u"
        mean = self.constant(means.astype(np.int16), "means")
        numbers = (window, channels, filters, flip, mean, names)
        address = self.static("fixed_pixels", "filters", "{" + ", ".join(map(str, numbers)) + "}")
        self.params.add("image")
        function = self.use("conv2d_fixed_pixels")
        return [f"{function}({address}, {self.bytes()}, {y}, {x}, patch, {row});"]

    def _dense(self, node: Node) -> list[str]:
        weights = node.constant(1)
        if weights is None:
            raise self._refused(node)
        outputs, size = weights.values.shape
        given = node.tensors[0]
        at = self.pointer(given) + (f" + at * {size}" if node.output.pixels > 1 else "")
        names = self._filters(node, self._range_of(given), self._bits_of(given))
        return [f"{self.use('dot_fixed')}({at}, {names}, {size}, {outputs}, row);"]

    def _filters(
        self,
        node: Node,
        given: Range,
        bits: int,
        pixels: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> str:
        """The constants of real filters, whose sums become the row.

        Args:
            node: A convolution or dense layer.
            given: What each channel is.
            bits: How many bits of what it is given are behind the point.
            pixels: Of pixels, for each channel, what the weights are multiplied with, and how much
                too small the pixels are, because their mean was rounded.
        """
        weights, bias = node.constant(1), node.constant(2)
        assert weights is not None
        factors, missing = pixels or (np.ones(1), np.zeros(1))
        products = weights.real * factors
        rows = products.reshape(len(products), -1)
        each = given.with_channels(rows.shape[1])
        each = Range(*(np.resize(v, rows.shape[1]) for v in (each.low, each.high, each.error)))
        most = _MOST / (each.peak * 2.0**bits + 1) - rows.shape[1] if pixels else _MOST_64
        found = filters_of(rows, each, most, self.behind + 31 - bits)
        summands = np.zeros(len(rows)) if bias is None else bias.real.astype(np.float64)
        # It is right where the whole window is on the image.
        summands = summands + (products * missing).reshape(rows.shape).sum(1)
        outside = np.abs(products * missing).reshape(rows.shape).sum(1)
        offsets = whole(summands, self.behind)
        self._become(found.range)
        off = self._last_bit + np.abs(offsets * self._last_bit - summands)
        if node.options.get("padding") == 0:
            off = off + outside
        self._become(found.range.of(np.add, summands).with_error(off))
        values = by_fours(found.values) if pixels else found.values
        shifts = (found.bits + bits - self.behind).astype(np.int8)
        constants = ((values, "weights"), (shifts, "shifts"), (offsets.astype(np.int32), "offsets"))
        return ", ".join(self.constant(array, what) for array, what in constants)

    def _average(self, node: Node) -> list[str]:
        given = node.tensors[0]
        more = self.behind - self._bits_of(given)
        if node.kind == "MEAN":
            check_mean(node)
            size = f"{given.height}, {given.width}"
            window = f"{{{size}, {size}, 1, 1, 1, 1, 0, 0}}"
            count, place = given.pixels, "0, 0"
        else:
            window, place = window_of_pool(node), "y, x"
            count = int(node.options["filterHeight"]) * int(node.options["filterWidth"])
        if count * 2 ** max(more, 15) >= 2**31:
            raise self._refused(node)
        self._become(self._range_of(given).with_error(2 * self._last_bit))
        address = self.static("window", "window", window)
        sizes = f"{given.channels}, {more}, {place}"
        return [f"{self.use('avgpool_fixed')}({address}, {self.pointer(given)}, {sizes}, row);"]
