"""Summaries for TensorBoard."""

from typing import Any

from larq_reactnet._insight.records import Record, shares

import numpy as np
import tensorflow as tf

__all__ = ["write_epoch", "write_step"]

BUCKETS = 30
SAMPLE = 10_000  # a histogram is of at most so many weights of a kernel, evenly chosen
SCALARS = {
    "kernels": ("flips", "near_zero", "at_clip", "alpha_distance", "gradient", "mismatch"),
    "signs": ("plus", "gradient", "passed", "mismatch"),
}


def write_step(writer: Any, step: int, flips: dict[str, float]) -> None:
    """Write the share of signs that a step has changed, for each kernel."""
    with writer.as_default(step):
        for name, share in flips.items():
            tf.summary.scalar(f"flips_per_step/{name}", share)


def write_epoch(
    writer: Any,
    step: int,
    record: Record,
    weights: dict[str, np.ndarray],
    thresholds: dict[str, np.ndarray],
    slopes: dict[str, np.ndarray],
) -> None:
    """Write the scalars of an epoch, and histograms of weights, channels, thresholds and slopes."""
    with writer.as_default(step):
        if record["gradient_norm"] is not None:
            tf.summary.scalar("gradient_norm", record["gradient_norm"])
        for kind, names in SCALARS.items():
            for layer, values in record[kind].items():
                for name in names:
                    if values.get(name) is not None:
                        tf.summary.scalar(f"{kind}_{name}/{layer}", values[name])
        channels = {name: shares(sign["channels"]) for name, sign in record["signs"].items()}
        sampled = {
            name: np.ravel(values)[:: -(-values.size // SAMPLE)].astype(np.float32)
            for name, values in weights.items()
        }
        for kind, arrays in (
            ("latent_weights", sampled),
            ("share_of_plus_of_channels", channels),
            ("thresholds", thresholds),
            ("slopes", slopes),
        ):
            for name, array in arrays.items():
                if np.isfinite(array).all():
                    _write_histogram(f"{kind}/{name}", array)
    writer.flush()


def _write_histogram(tag: str, values: np.ndarray) -> None:
    """What `tf.summary.histogram` writes; it needs several milliseconds for each to count."""
    counts, edges = np.histogram(values, BUCKETS)
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = "histograms"
    metadata.data_class = 2  # a tensor
    tf.summary.write(tag, np.stack([edges[:-1], edges[1:], counts], axis=1), metadata=metadata)
