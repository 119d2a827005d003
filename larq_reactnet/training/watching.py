"""What a training looks at: its binary layers, and whether its weights are still numbers."""

from typing import Any

from larq_reactnet._insight.finite import not_finite
from larq_reactnet._insight.held import Held, count_for
from larq_reactnet._insight.places import places_of
from larq_reactnet.callbacks import BinaryInsight
from larq_reactnet.training.checkpoints import Progress
from larq_reactnet.training.runs import Run
from larq_reactnet.zoo.datasets import Dataset

import tensorflow as tf

__all__ = ["check_finite", "insights"]


def insights(
    model: tf.keras.Model, run: Run, step: int, data: Dataset, batches: int, verbose: int
) -> list[BinaryInsight]:
    """The callback that looks at the binary layers of a step; none if there are no such layers.

    The images that it holds are the first of the first epoch, also of a training that is resumed.
    `batches` of the epoch that comes were trained before.
    """
    places = places_of(model)
    if not places.kernels and not places.signs:
        return []
    batch: Any = next(iter(data.train_from(0)))
    images, labels = batch
    if isinstance(labels, tuple):  # with logits of a teacher
        labels = labels[0]
    held = Held.of((images, labels), count_for(data.train_size, len(images)))
    options: dict[str, Any] = {} if verbose else {"print_fn": None}
    logs = run.folder / "logs" / f"step{step}" / "insight"
    return [
        BinaryInsight(
            (held.inputs, held.labels),
            path=run.insight,
            log_dir=logs,
            step=step,
            resumed_at=batches,
            **options,
        )
    ]


def check_finite(model: tf.keras.Model, run: Run, step: int, kept: Progress) -> None:
    """Refuse to keep weights that are not numbers, before they replace those that were.

    Args:
        model: The model.
        run: Its run.
        step: Number of the step.
        kept: How far the step was in the last checkpoint.

    Raises:
        ValueError: If a weight is NaN or infinite; the message says what was kept.
    """
    name = not_finite(model)
    if name is None:
        return
    checkpoint = f"The checkpoint after {kept} is kept" if kept.is_begun else "Nothing was kept yet"
    raise ValueError(
        f"The training in {run.folder} was stopped in step {step}, epoch {kept.epochs + 1}: {name} "
        f"has values that are NaN or infinite. {checkpoint}, but the same values lead here again: "
        f"train in another folder with a lower learning rate (--set step{step}.learning_rate=...), "
        f"or one that rises at first (--set step{step}.warmup=1)."
    )
