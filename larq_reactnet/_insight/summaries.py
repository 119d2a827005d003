"""Summaries for TensorBoard, all of a moment in one record.

`tf.summary.scalar` and `histogram` write the same one by one, and need a millisecond for each.
"""

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
_TENSOR = 2  # the class of data of which histograms are


def write_step(writer: Any, step: int, flips: dict[str, float]) -> None:
    """Write the share of signs that a step has changed, for each kernel."""
    summary = tf.compat.v1.Summary()
    for name, share in flips.items():
        summary.value.add(tag=f"flips_per_step/{name}", simple_value=share)
    _write(writer, step, summary)


def write_epoch(
    writer: Any,
    step: int,
    record: Record,
    weights: dict[str, np.ndarray],
    thresholds: dict[str, np.ndarray],
    slopes: dict[str, np.ndarray],
) -> None:
    """Write the scalars of an epoch, and histograms of weights, channels, thresholds and slopes."""
    summary = tf.compat.v1.Summary()
    if record["gradient_norm"] is not None:
        summary.value.add(tag="gradient_norm", simple_value=record["gradient_norm"])
    for kind, names in SCALARS.items():
        for layer, values in record[kind].items():
            for name in names:
                if values.get(name) is not None:
                    summary.value.add(tag=f"{kind}_{name}/{layer}", simple_value=values[name])
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
                _add_histogram(summary, f"{kind}/{name}", array)
    _write(writer, step, summary)


def _add_histogram(summary: Any, tag: str, values: np.ndarray) -> None:
    """Add a row (left edge, right edge, count) for each bucket."""
    counts, edges = np.histogram(values, BUCKETS)
    rows = np.stack([edges[:-1], edges[1:], counts], axis=1)
    value = summary.value.add(tag=tag, tensor=tf.make_tensor_proto(rows, tf.float64))
    value.metadata.plugin_data.plugin_name = "histograms"
    value.metadata.data_class = _TENSOR


def _write(writer: Any, step: int, summary: Any) -> None:
    with writer.as_default(step):
        tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step)
    writer.flush()
