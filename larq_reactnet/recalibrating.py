r"""Statistics of batch normalization, estimated again without training."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from larq_reactnet._graph.calls import Call, calls_in, run_call
from larq_reactnet._graph.parts import is_functional
from larq_reactnet._keras import refuse_keras_3
from larq_reactnet._progress import patient_bar
from larq_reactnet._tables import Shown

import numpy as np
import tensorflow as tf

__all__ = ["Recalibration", "recalibrate"]

_BATCH = 64  # of an array


@dataclass(frozen=True, repr=False)
class Recalibration(Shown):
    """How far the statistics of batch normalizations have moved.

    Attributes:
        batches: Number of batches that they were estimated on.
        layers: For each batch normalization its name; how far its mean has moved, in standard
            deviations as they were, averaged over channels; and by what factor its standard
            deviation has changed, as the geometric mean over channels.
    """

    batches: int
    layers: tuple[tuple[str, float, float], ...]

    def __str__(self) -> str:
        width = max(len(name) for name, _, _ in self.layers)
        lines = [f"{'layer':<{width}}  mean moved by  deviation"]
        lines += [
            f"{name:<{width}}  {mean:8.3g} std   x {deviation:.3g}"
            for name, mean, deviation in self.layers
        ]
        return "\n".join([*lines, f"Estimated on {self.batches} batches."])


def recalibrate(
    model: tf.keras.Model,
    data: Any,
    *,
    batches: int | None = None,
    print_fn: Callable[[Recalibration], object] | None = print,
) -> Recalibration:
    r"""Estimate the statistics of every batch normalization of `model` again, without training.

    Useful where they do not belong to the weights: after an import, after `binarize_model` or
    `binarize_weights`, after training in mixed precision or with small batches. Each batch is
    normalized by its own statistics, as in training, while all other layers (dropout, augmentation)
    do what they do in inference. The new statistics are those of all batches together:

    \\[ \mu = \overline{\mu_b} \qquad \sigma^2 = \overline{\sigma_b^2 + \mu_b^2} - \mu^2 \\]

    No other weight is changed.

    !!! example
        ```python
        step2 = lr.binarize_weights(step1)
        lr.recalibrate(step2, train_data, batches=100)
        ```

    Args:
        model: Functional or sequential model, whose statistics are replaced.
        data: Batches of inputs, or of inputs and targets, such as a `tf.data.Dataset`; or an array.
        batches: How many batches to take; by default all.
        print_fn: Function that gets the result; `None` for silence.

    Raises:
        ValueError: If `model` is not functional, has no batch normalization, or one that is shared;
            if there are no data; or if a statistic is not finite. Nothing is changed then.
    """
    refuse_keras_3(model)
    if not is_functional(model):
        raise ValueError(f"{model.name!r} must be a functional or sequential model that is built.")
    statistics: dict[int, _Statistics] = {}
    number = 0
    shown = patient_bar(
        _batches(model, data, batches),
        "Estimating statistics",
        batches,
        unit="batch",
        disable=print_fn is None,
    )
    for inputs in shown:
        _run(model, inputs, statistics)
        number += 1
    if not number:
        raise ValueError("There are no data to estimate statistics on.")
    if not statistics:
        raise ValueError(f"{model.name!r} has no batch normalization.")
    for found in statistics.values():
        found.check(number)
    result = Recalibration(number, tuple(found.assign() for found in statistics.values()))
    if print_fn is not None:
        print_fn(result)
    return result


class _Statistics:
    """The sums over batches of what one batch normalization sees."""

    def __init__(self, layer: tf.keras.layers.Layer):
        self._layer, self._batches = layer, 0
        self._means: Any = 0.0
        self._squares: Any = 0.0

    def add(self, mean: tf.Tensor, variance: tf.Tensor) -> None:
        """Count one batch."""
        mean, variance = np.asarray(mean, np.float64), np.asarray(variance, np.float64)
        self._means += mean
        self._squares += variance + mean**2
        self._batches += 1

    def check(self, batches: int) -> None:
        """Refuse what cannot be assigned."""
        name = self._layer.name
        if self._batches != batches:
            raise ValueError(
                f"{name} is shared by several calls, which need statistics of their own."
            )
        if not np.isfinite(self._squares).all():
            raise ValueError(
                f"{name} sees values that are not finite. Look at the data and weights."
            )

    def assign(self) -> tuple[str, float, float]:
        """Give the layer the new statistics, and say how far they are from the old ones."""
        layer = self._layer
        mean = self._means / self._batches
        variance = np.maximum(self._squares / self._batches - mean**2, 0.0)
        old_mean, old_variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
        before, after = old_variance + layer.epsilon, variance + layer.epsilon
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)
        moved = float(np.mean(np.abs(mean - old_mean) / np.sqrt(before)))
        return str(layer.name), moved, float(np.exp(np.mean(np.log(after / before)) / 2))


def _batches(model: tf.keras.Model, data: Any, limit: int | None) -> Iterator[list[Any]]:
    """The inputs of each batch."""
    several = len(model.inputs) > 1
    batches: Iterable[Any] = data
    if isinstance(data, np.ndarray | tf.Tensor):
        batches = (data[start : start + _BATCH] for start in range(0, len(data), _BATCH))
    for index, batch in enumerate(batches):
        if index == limit:
            return
        if isinstance(batch, tuple | list) and (
            not several or isinstance(batch[0], tuple | list | dict)
        ):
            batch = batch[0]
        if isinstance(batch, dict):
            batch = [batch[tensor.node.layer.name] for tensor in model.inputs]
        yield list(batch) if several else [batch]


def _run(model: tf.keras.Model, inputs: list[Any], statistics: dict[int, _Statistics]) -> list[Any]:
    """Run `model` on a batch, and count what its batch normalizations see."""
    tensors = {
        id(old): tf.cast(new, old.dtype) for old, new in zip(model.inputs, inputs, strict=True)
    }
    for call in calls_in(model)[len(model.inputs) :]:
        taken = [tensors[id(tensor)] for tensor in call.inputs]
        if is_functional(call.layer):
            new = _run(call.layer, taken, statistics)
        elif isinstance(call.layer, tf.keras.layers.BatchNormalization):
            new = _normalized(call, taken[0], statistics)
        else:
            new = run_call(call, call.layer, tensors, training=False)
        for old, output in zip(call.outputs, tf.nest.flatten(new), strict=True):
            tensors[id(old)] = output
    return [tensors[id(tensor)] for tensor in model.outputs]


def _normalized(call: Call, x: tf.Tensor, statistics: dict[int, _Statistics]) -> tf.Tensor:
    layer = call.layer
    axes = [axis for axis in range(len(x.shape)) if axis not in list(layer.axis)]
    wide = tf.cast(x, layer.moving_mean.dtype)
    mean, variance = tf.nn.moments(wide, axes, keepdims=True)
    statistics.setdefault(id(layer), _Statistics(layer)).add(
        tf.squeeze(mean, axes), tf.squeeze(variance, axes)
    )
    shape = tf.shape(mean)
    beta = tf.reshape(layer.beta, shape) if layer.center else None
    gamma = tf.reshape(layer.gamma, shape) if layer.scale else None
    y = tf.nn.batch_normalization(wide, mean, variance, beta, gamma, layer.epsilon)
    return tf.cast(y, x.dtype)
