"""Latent weights: how many of their signs change, and where they lie."""

from typing import Any

from larq_reactnet._insight.places import Kernel

import numpy as np

__all__ = ["BINS", "NEAR", "bits_of", "describe", "flips", "quantiles"]

BINS = 32  # of a histogram of latent weights
NEAR = 0.1  # near zero is below this share of the mean magnitude
SAMPLE = 100_000  # a histogram is of at most so many weights of a kernel, evenly chosen
QUANTILES = (0, 5, 25, 50, 75, 95, 100)


def bits_of(weights: np.ndarray) -> np.ndarray:
    """One bit for each weight, 1 where its sign is -1."""
    return np.packbits(np.ravel(weights) < 0)


def flips(before: np.ndarray, after: np.ndarray, count: int) -> float:
    """The share of `count` weights whose bits differ."""
    return float(np.unpackbits(before ^ after).sum(dtype=np.int64)) / count


def describe(kernel: Kernel, weights: np.ndarray) -> dict[str, Any]:
    """What the file says of the latent weights of a kernel, but for flips and gradients.

    `callbacks.BinaryInsight` says what the values mean.
    """
    magnitudes = np.abs(weights, dtype=np.float32)
    mean, largest = float(magnitudes.mean()), float(magnitudes.max())
    clip, alpha = kernel.clip, kernel.alpha
    # Beyond four times the mean there are few weights. They count in the outermost bins.
    limit = min(largest, 4 * mean) or 1.0
    found: dict[str, Any] = {
        "size": int(weights.size),
        "mean": mean,
        "near_zero": float((magnitudes < NEAR * mean).mean()),
        "at_clip": None if clip is None else float((magnitudes >= clip).mean()),
        "range": limit,
        "histogram": _histogram(weights, limit),
    }
    if alpha is not None:
        found["alpha"] = quantiles(alpha)
        found["alpha_distance"] = float(np.abs(alpha - magnitudes).mean() / alpha.mean())
    return found


def quantiles(values: np.ndarray) -> list[float]:
    """The smallest value, the 5th, 25th, 50th, 75th and 95th percentile, and the largest value."""
    return [float(q) for q in np.percentile(np.asarray(values, np.float32), QUANTILES)]


def _histogram(weights: np.ndarray, limit: float) -> list[int]:
    """How many of 10,000 weights lie in each of `BINS` equal parts of -limit to limit."""
    sample = np.ravel(weights)[:: -(-weights.size // SAMPLE)]
    if not np.isfinite(limit):
        return [0] * BINS
    clipped = np.clip(sample, -limit, limit)
    counts, _ = np.histogram(clipped, BINS, (-limit, limit))
    return [round(10_000 * int(count) / sample.size) for count in counts]
