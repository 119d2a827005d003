"""`sensitivity`: what the loss says of each layer as a binary one."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from larq_reactnet._graph.endings import endings
from larq_reactnet.binarizing.reporting import Binarization
from larq_reactnet.binarizing.rewriting import binarize_model
from larq_reactnet.binarizing.sensitivities import LayerSensitivity, Sensitivity, checked_budget
from larq_reactnet.recalibrating import recalibrate

import numpy as np
import tensorflow as tf
from tqdm import tqdm

__all__ = ["sensitivity"]

Batches: TypeAlias = list[tuple[Any, Any]]
Loss: TypeAlias = Callable[[Any, Any], Any]

_BATCH = 64  # of arrays


def sensitivity(
    model: tf.keras.Model,
    data: Any,
    style: str = "reactnet",
    *,
    loss: str | Loss | None = None,
    batches: int | None = 10,
    skip: Iterable[str] = (),
    budget: float | None = None,
    progress: bool = True,
    report: Callable[[Sensitivity], object] | None = print,
    **form: Any,
) -> Sensitivity:
    r"""What each layer does to the loss when it becomes binary.

    Each layer that `binarize_model` would make binary is so alone, and then all are but it. Nothing
    is trained: before each loss is taken, `recalibrate` adapts the statistics of batch
    normalization to the same batches. So the losses say which layers are hard, not how good the
    network will be. `model` is not changed.

    !!! example
        ```python
        found = lr.sensitivity(model, train_data)
        binary = lr.binarize_model(model, skip=found.skip(budget=100e6))
        ```

    Args:
        model: Functional or sequential model, trained.
        data: Batches of inputs and targets, such as a `tf.data.Dataset`; or a pair of arrays.
        style: As for `binarize_model`.
        loss: Keras's name of a loss, or a function of targets and outputs. By default that with
            which `model` is compiled, or else the cross-entropy, if it is a classifier.
        batches: Of how many batches, the first ones, the loss is the mean, which are kept in
            memory; `None` for all.
        skip: Names of layers that stay real in any case.
        budget: OPs that the result's `skip` will be asked for: one that is too small is refused
            before anything is measured.
        progress: Whether to show a progress bar.
        report: Function that gets the result, a table; by default it is printed. `None` for
            silence.
        **form: Other arguments of `binarize_model`, such as `widen` or `activation`.

    Returns:
        The losses by layer. Its method `skip` chooses layers that should stay real.

    Raises:
        ValueError: As `binarize_model` and `recalibrate`; or if there are no data, they have no
            targets, the loss is not known, or it is not finite; or if `budget` is too small.
    """
    kept = _kept(data, batches)
    skip = [skip] if isinstance(skip, str) else list(skip)

    def binarized(more: Sequence[str]) -> tuple[tf.keras.Model, Binarization]:
        reports: list[Binarization] = []
        names = [*skip, *more]
        return binarize_model(model, style, skip=names, report=reports.append, **form), reports[0]

    everything, binarization = binarized(())
    score = _loss_of(model, kept, loss)
    least = binarization.after
    if budget is not None:
        checked_budget(budget, None if least is None else least.ops, model.name)
    rows = [layer for layer in binarization.layers if layer.became]
    names = [row.name for row in rows]
    found = []
    with tqdm(total=2 * len(rows) + 2, unit="network", leave=False, disable=not progress) as bar:

        def measured(network: tf.keras.Model, what: str, *, is_real: bool = False) -> float:
            bar.set_description(what)
            if not is_real:
                recalibrate(network, (inputs for inputs, _ in kept), print_fn=None)
            value = _mean_loss(network, kept, score)
            if not np.isfinite(value):
                raise ValueError(f"The loss is {value} with {what}: look at the data and weights.")
            bar.update()
            return value

        real = measured(model, "no layer binary", is_real=True)
        binary = measured(everything, "every layer binary")
        for row in rows:
            start = time.perf_counter()
            others = [name for name in names if name != row.name]
            alone, spared, after = binary, real, binarization.before
            if others:
                alone = measured(binarized(others)[0], f"only {row.name} binary")
                network, its = binarized([row.name])
                spared, after = measured(network, f"all but {row.name} binary"), its.after
            more = after.ops - least.ops if after is not None and least is not None else None
            seconds = time.perf_counter() - start
            found.append(LayerSensitivity(row.name, row.kind, alone, spared, more, seconds))
    images = sum(_count(inputs) for inputs, _ in kept)
    ops = None if least is None else least.ops
    result = Sensitivity(model.name, style, images, real, binary, ops, tuple(found))
    if report is not None:
        report(result)
    return result


def _kept(data: Any, limit: int | None) -> Batches:
    """The first batches of inputs and targets."""
    if isinstance(data, tuple) and len(data) == 2 and hasattr(data[0], "shape"):
        data = tf.data.Dataset.from_tensor_slices(data).batch(_BATCH)
    kept: Batches = []
    for batch in data:
        if len(kept) == limit:
            break
        if not isinstance(batch, tuple | list) or len(batch) < 2:
            raise ValueError("`data` must be batches of inputs and targets, or a pair of arrays.")
        kept.append((batch[0], batch[1]))
    if not kept:
        raise ValueError("There are no data to take the loss on.")
    return kept


def _loss_of(model: tf.keras.Model, kept: Batches, loss: str | Loss | None) -> Loss:
    """The loss of targets and outputs."""
    loss = getattr(model, "loss", None) if loss is None else loss
    if isinstance(loss, str) or callable(loss):
        return _checked(tf.keras.losses.get(loss))
    if loss is None and len(model.outputs) == 1:
        shape, ending = model.output_shape, endings(model)[0]
        targets = np.asarray(kept[0][1])
        is_logits = ending not in ("softmax", "sigmoid")
        if len(shape) == 2 and shape[-1] == 1 and ending == "sigmoid":
            return tf.keras.losses.BinaryCrossentropy()
        if len(shape) == 2 and ending != "sigmoid" and shape[-1] > 1:
            if targets.ndim == 2 and targets.shape[-1] == shape[-1]:
                return tf.keras.losses.CategoricalCrossentropy(from_logits=is_logits)
            if targets.size == len(targets) and targets.dtype.kind in "iub":
                return tf.keras.losses.SparseCategoricalCrossentropy(from_logits=is_logits)
    raise ValueError(
        f"The loss of {model.name!r} is not known: give `loss`, as a name such as "
        "'mean_squared_error' or as a function of targets and outputs."
    )


def _checked(loss: Any) -> Loss:
    return lambda targets, outputs: tf.reduce_mean(loss(targets, outputs))


def _mean_loss(network: tf.keras.Model, kept: Batches, score: Loss) -> float:
    """The mean over all images."""
    total = count = 0.0
    for inputs, targets in kept:
        size = _count(inputs)
        total += size * float(score(targets, network(inputs, training=False)))
        count += size
    return total / count


def _count(inputs: Any) -> int:
    """Number of images in a batch."""
    return int(np.shape(tf.nest.flatten(inputs)[0])[0])
