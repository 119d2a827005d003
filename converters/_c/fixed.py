"""Numbers in fixed point: what range a row of a network has, and how far it is from the exact one.

A binary convolution counts, so its numbers have bounds whatever its inputs are, and so has all that
is computed of them. These bounds say how many bits are before the point. The rest of an integer is
behind it, and says how large each rounding is. Both are added up on the way, for each channel: what
is found is true for every picture, not only for those of a test.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from larq_reactnet.converters._c.context import check_finite
from larq_reactnet.converters._c.graph import Constant, Graph, Tensor

import numpy as np

__all__ = [
    "INT16",
    "Filters",
    "Range",
    "bits_behind",
    "by_fours",
    "filters_of",
    "joined",
    "whole",
    "with_int16",
]

INT16 = 32767


@dataclass(frozen=True)
class Range:
    """What the numbers of each channel can be.

    Attributes:
        low: The least.
        high: The largest.
        error: How far an integer can be from the number it stands for, if all signs before are the
            same.
    """

    low: np.ndarray
    high: np.ndarray
    error: np.ndarray

    @property
    def peak(self) -> float:
        """The largest size of an integer's number."""
        return float((np.maximum(np.abs(self.low), np.abs(self.high)) + self.error).max())

    @property
    def ends(self) -> tuple[float, float]:
        """Between which numbers those of all integers are."""
        return float((self.low - self.error).min()), float((self.high + self.error).max())

    def with_error(self, error: float | np.ndarray) -> "Range":
        """The same after one more rounding."""
        return replace(self, error=self.error + error)

    def of(self, function: "np.ufunc", other: np.ndarray) -> "Range":
        """What a function that rises or falls everywhere makes of it; the error stays."""
        ends = function(self.low, other), function(self.high, other)
        return Range(np.minimum(*ends), np.maximum(*ends), self.error)

    def plus(self, other: "Range", sign: int = 1) -> "Range":
        """The sum, or the difference, of two."""
        ends = (other.low, other.high) if sign > 0 else (-other.high, -other.low)
        return Range(self.low + ends[0], self.high + ends[1], self.error + other.error)

    @property
    def share(self) -> float:
        """The largest error, as a share of the largest size of a number."""
        return float(self.error.max() / max(self.peak, 1e-9))

    def with_channels(self, count: int) -> "Range":
        """What the channels of the same numbers in another shape can be."""
        if len(self.low) in (1, count):
            return self
        if count % len(self.low) == 0:
            return Range(*(np.resize(v, count) for v in (self.low, self.high, self.error)))
        return Range(*(np.array([v]) for v in (self.low.min(), self.high.max(), self.error.max())))

    def part(self, first: int, count: int) -> "Range":
        """Some channels; of a range of one channel, that."""
        if len(self.low) == 1:
            return self
        cut = slice(first, first + count)
        return Range(self.low[cut], self.high[cut], self.error[cut])


def joined(parts: Sequence[Range], widths: Sequence[int]) -> Range:
    """Channels side by side."""
    columns = (
        np.concatenate(
            [np.broadcast_to(getattr(p, name), w) for p, w in zip(parts, widths, strict=True)]
        )
        for name in ("low", "high", "error")
    )
    return Range(*columns)


def bits_behind(peak: float, bits: int) -> int:
    """How many bits are behind the point of an integer of `bits` bits and a sign."""
    return int(np.floor(np.log2(((1 << bits) - 1) / max(peak, 1e-6))))


def whole(values: np.ndarray, bits: int | np.ndarray) -> np.ndarray:
    """Numbers as integers with so many bits behind the point."""
    return np.rint(np.asarray(values, np.float64) * np.exp2(np.asarray(bits, np.float64))).astype(
        np.int64
    )


class Filters(NamedTuple):
    """The weights of real filters as integers of 16 bits.

    Attributes:
        values: The integers, for each filter.
        bits: How many of their bits are behind the point, for each filter.
        range: What the sums are, without a bias; its error has those of weights and inputs.
    """

    values: np.ndarray
    bits: np.ndarray
    range: Range


def filters_of(weights: np.ndarray, given: Range, most: float, most_bits: int) -> Filters:
    """Weights as integers.

    Args:
        weights: Array `(filters, weights)`.
        given: What each weight is multiplied with.
        most: What the sum of the sizes of a filter's integers may be.
        most_bits: How many bits may be behind the point.
    """
    weights = weights.astype(np.float64)
    sizes = np.abs(weights)
    largest = np.minimum(INT16 / sizes.max(1, initial=1e-9), most / np.maximum(sizes.sum(1), 1e-9))
    bits = np.floor(np.log2(largest)).astype(np.int64).clip(-30, min(most_bits, 30))
    values = whole(weights, bits[:, None])
    peak = np.maximum(np.abs(given.low), np.abs(given.high)) + given.error
    off = np.abs(weights - values / np.exp2(bits)[:, None]) @ peak + sizes @ given.error
    ends = weights * given.low, weights * given.high
    low, high = np.minimum(*ends).clip(max=0), np.maximum(*ends).clip(min=0)  # 0 is padding
    return Filters(values.astype(np.int16), bits, Range(low.sum(1), high.sum(1), off))


def by_fours(values: np.ndarray) -> np.ndarray:
    """The weights of filters, as kernels/conv2d_fixed_pixels.c reads them.

    Args:
        values: Array `(filters, weights)`.

    Returns:
        Array `(filters / 4, weights / 2, 4, 2)`, where both are rounded up with weights of 0: for
        each 4 filters, two neighbors of each.
    """
    filters, size = values.shape
    values = np.pad(values, ((0, -filters % 4), (0, size % 2)))
    return values.reshape(-1, 4, (size + 1) // 2, 2).swapaxes(1, 2)


def with_int16(graph: Graph) -> Graph:
    """The same graph, whose numbers have 16 bits in memory. Its outputs are float32 as before.

    Raises:
        ValueError: If a weight is not finite, as no integer would tell.
    """

    def smaller(given: Tensor) -> Tensor:
        return given if given.index == graph.output.index else replace(given, number_bytes=2)

    for node in graph.nodes:
        for given in node.inputs:
            if isinstance(given, Constant):
                check_finite(given.real, node.layer)
    nodes = tuple(
        replace(
            node,
            inputs=tuple(smaller(i) if isinstance(i, Tensor) else i for i in node.inputs),
            output=smaller(node.output),
        )
        for node in graph.nodes
    )
    return replace(graph, input=smaller(graph.input), nodes=nodes)
