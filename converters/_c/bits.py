"""The constants of a binary convolution, in the order in which its kernel reads them.

See kernels/bconv2d.c: the counters of 32 filters are planes of bits. Where an output is a sign, its
threshold is a part of what the counters begin with, so that a comparison of integers is left; for
all counts there can be, it gives what the file's own comparison gives.
"""

from collections.abc import Sequence
from typing import NamedTuple

from larq_reactnet.converters._c.graph import Node
from larq_reactnet.converters._tflite.match import unpack

import numpy as np

__all__ = ["MOST_WEIGHTS", "BinaryFilters", "binary_filters"]

MOST_WEIGHTS = 16383  # of a filter: the offset of a word of them fits into 16 bits
_ACTIVATIONS = {0: (-np.inf, np.inf), 1: (0, np.inf), 2: (-1, 1), 3: (0, 6)}


class BinaryFilters(NamedTuple):
    """What a binary convolution computes with.

    Attributes:
        groups: Number of groups of channels.
        weights: For each 32 filters of a group a word for each weight, and a word of 0.
        starts: For each 32 filters the planes in which the counters begin.
        rows: The weights for a processor that counts the bits of words: see kernels/popcount.c.
        limits: For each filter the largest x whose sign is positive; none for numbers.
        planes: Number of planes of a counter.
        offset: Twice what all counters begin above 0.
        multiplier: For each filter; none where outputs are signs.
        bias: For each filter; none where outputs are signs.
        lowest: The activation as a limit of x, the number of weights minus the sum.
        highest: The other limit.
        size: Number of weights of a filter.
    """

    groups: int
    weights: np.ndarray
    starts: np.ndarray
    rows: np.ndarray
    limits: np.ndarray
    planes: int
    offset: int
    multiplier: np.ndarray
    bias: np.ndarray
    lowest: int
    highest: int
    size: int


def binary_filters(node: Node) -> BinaryFilters:
    """The constants of an `LceBconv2d`.

    Raises:
        ValueError: If it has none, or filters have too many weights.
    """
    words = _constant(node, 1)
    channels_in = int(node.options["channels_in"])
    all_words = -(-channels_in // 32)
    groups = all_words // words.shape[3]
    channels = channels_in // groups
    signs = unpack(words, channels)
    negative = signs.reshape(len(words), -1)
    size = negative.shape[1]
    if size > MOST_WEIGHTS:
        raise ValueError(
            f"{node} has filters of {size:,} weights; there is C for {MOST_WEIGHTS:,}: use fewer "
            "channels, or groups."
        )
    counts = negative.sum(axis=1, dtype=np.int64)
    zeros = node.options["padding"] == 0 and node.options["pad_values"] == 0
    if zeros:
        _refuse_small_map(node, words.shape[1:3])
    if node.output.is_bits:
        if zeros and channels_in % 2:
            raise ValueError(
                f"{node} pads an odd number of channels with zeros and gives bits: use "
                "`pad_values=1.0`."
            )
        thresholds = _constant(node, 4).astype(np.int64)
        # The sign is negative where x > 2 T, that is D - q / 2 < (weights set) - T. D - q / 2 is in
        # (weights set) - size to (weights set).
        thresholds = np.clip(thresholds, -1, size + 1)
        begins, limits = counts - thresholds, 2 * thresholds
        multiplier = bias = np.zeros(0, np.float32)
    else:
        begins, limits = counts, np.zeros(0, np.int64)
        factor, summand = (_constant(node, i).astype(np.float64) for i in (2, 3))
        # As LCE does: x becomes the number in one multiplication and one addition.
        multiplier = (-factor).astype(np.float32)
        bias = (summand + factor * size).astype(np.float32)
    top = max(0, int(begins.max()))
    starts = top - begins
    planes = int(starts.max() + 2 * size).bit_length()
    least, most = _ACTIVATIONS[int(node.options["fused_activation_function"])]
    return BinaryFilters(
        groups,
        _sideways(negative, groups),
        _planes_of(starts, groups, planes),
        _by_four(signs, groups),
        limits.astype(np.int32),
        planes,
        2 * top,
        multiplier,
        bias,
        int(size - min(most, size)),
        int(size - max(least, -size)),
        size,
    )


def _refuse_small_map(node: Node, kernel: Sequence[int]) -> None:
    """Refuse zeros around a map smaller than the kernel, which engines compute wrongly."""
    sizes = node.tensors[0].height, node.tensors[0].width
    dilations = (node.options[f"dilation_{axis}_factor"] for axis in ("height", "width"))
    extents = [1 + step * (size - 1) for step, size in zip(dilations, kernel, strict=True)]
    if any(size < extent for size, extent in zip(sizes, extents, strict=True)):
        raise ValueError(
            f"{node} pads a {sizes[0]}x{sizes[1]} map with zeros for a kernel of "
            f"{extents[0]}x{extents[1]}. Engines compute that wrongly, so there is nothing that C "
            "could be compared with: write it of the Keras model, which is rewritten, or use "
            "`pad_values=1.0`."
        )


def _constant(node: Node, index: int) -> np.ndarray:
    found = node.constant(index)
    if found is None:
        raise ValueError(f"{node} has no constant as its input {index}: the file is corrupt.")
    return found.values


def _blocks(rows: np.ndarray, groups: int) -> np.ndarray:
    """Rows of filters in blocks of 32 of the same group, filled up with zeros."""
    by_group = rows.reshape(groups, -1, rows.shape[-1])
    missing = -by_group.shape[1] % 32
    by_group = np.pad(by_group, ((0, 0), (0, missing), (0, 0)))
    return np.asarray(by_group.reshape(-1, 32, rows.shape[-1]))


def _words(blocks: np.ndarray) -> np.ndarray:
    """For each block and column, the bits of 32 rows as a word, the first in the lowest bit."""
    places = (np.uint32(1) << np.arange(32, dtype=np.uint32))[:, None]
    return np.asarray((blocks.astype(np.uint32) * places).sum(axis=1, dtype=np.uint32))


def _sideways(negative: np.ndarray, groups: int) -> np.ndarray:
    words = _words(_blocks(negative, groups))
    return np.pad(words, ((0, 0), (0, 1))).ravel()


def _by_four(signs: np.ndarray, groups: int) -> np.ndarray:
    """The words of 4 filters side by side, whose bits are 0 where there are no channels."""
    whole = np.pad(signs, ((0, 0), (0, 0), (0, 0), (0, -signs.shape[-1] % 32)))
    rows = np.packbits(whole, axis=-1, bitorder="little").reshape(len(signs), -1).view("<u4")
    by_four = _blocks(rows, groups).reshape(-1, 4, rows.shape[1]).swapaxes(1, 2)
    return by_four.astype(np.uint32).ravel()


def _planes_of(starts: np.ndarray, groups: int, planes: int) -> np.ndarray:
    bits = starts[:, None] >> np.arange(planes) & 1
    return _words(_blocks(bits, groups)).ravel()
