"""The first layer on the bytes of a picture, in whole numbers where its weights allow that.

They do where every filter is one number times small whole numbers, as those of a layer whose
weights are binary, or of few bits: then sums of products of bytes are exact. Other weights are
float32, and so is the arithmetic.
"""

from collections.abc import Sequence
from dataclasses import replace

from larq_reactnet.converters._c.graph import Constant, Graph

import numpy as np

__all__ = ["PIXEL_CONV", "with_integers"]

PIXEL_CONV = "CONV_2D of bytes"
_LARGEST = 127


def with_integers(graph: Graph, mean: Sequence[float], std: Sequence[float]) -> tuple[Graph, str]:
    """The same graph, whose first convolution takes bytes if its weights allow it.

    Its inputs are then the image, whole weights, and the factors, offsets and means of
    kernels/conv2d_pixels.c.

    Args:
        graph: The graph of a network that is given bytes.
        mean: How pixels are normalized: what is subtracted, for each channel or all.
        std: What they are divided by.

    Returns:
        The graph, and what the first layer computes in, for people.
    """
    node = graph.first[0]
    is_alone = len(graph.first) == 1 and graph.input in node.tensors
    weights = node.constant(1) if is_alone and node.kind == "CONV_2D" else None
    if weights is None or weights.values.shape[-1] != graph.input.channels:
        return graph, "in float32: it is no convolution of the pixels alone"
    whole = _whole(weights.real)
    if whole is None:
        return graph, f"in float32: filters of {node.layer} are no number times whole numbers"
    bias = node.constant(2)
    # As float32, which is how the table of the other form has them.
    means, deviations = (
        np.broadcast_to(np.array(values, np.float32), graph.input.channels).astype(np.float64)
        for values in (mean, std)
    )
    values, scales = whole
    factors = scales.astype(np.float64)[:, None] / deviations
    totals = values.sum(axis=(1, 2), dtype=np.int64)
    offsets = (0 if bias is None else bias.real) - (factors * means * totals).sum(axis=1)
    constants = (values, *(array.astype(np.float32) for array in (factors, offsets, means)))
    changed = replace(node, kind=PIXEL_CONV, inputs=(graph.input, *map(Constant, constants)))
    nodes = tuple(changed if other is node else other for other in graph.nodes)
    return replace(graph, nodes=nodes), f"in whole numbers: {node.layer}, exact sums of bytes"


def _whole(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Weights as int8 and a scale for each filter, or None if they are no such numbers."""
    flat = np.abs(weights.reshape(len(weights), -1))
    scales = np.where(flat > 0, flat, np.inf).min(axis=1)
    scales = np.where(np.isfinite(scales), scales, 1).astype(np.float32)
    by_filter = scales.reshape(-1, *[1] * (weights.ndim - 1))
    with np.errstate(over="ignore"):
        whole = np.rint(weights / by_filter)
    if np.abs(whole).max(initial=0) > _LARGEST or not (whole * by_filter == weights).all():
        return None
    return whole.astype(np.int8), scales
