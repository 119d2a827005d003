"""What a binary training run schedules and wants to see."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from larq_reactnet.regularizers import ScaledRegularizer

import tensorflow as tf

__all__ = ["RegularizerSchedule", "TrainingCurves"]


class RegularizerSchedule(tf.keras.callbacks.Callback):
    """Scales the strength of every BNN+ regularizer of the model at the start of each epoch.

    !!! example
        ```python
        warm_up = RegularizerSchedule(lambda epoch: min(1.0, epoch / 10))
        late = RegularizerSchedule(lambda epoch: float(epoch >= 90))
        ```

    Args:
        schedule: Function of the epoch, counted from 0, that gives the factor by which the
            strength given at construction is multiplied.
        verbose: 1 to print the factor at every epoch.

    Raises:
        ValueError: If the model has no `R1` or `R2`, or the factor is negative or not finite.
    """

    def __init__(self, schedule: Callable[[int], float], verbose: int = 0):
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose

    def on_train_begin(self, logs: Any = None) -> None:
        """Find the regularizers."""
        modules = (self.model, *self.model.submodules)
        self._regularizers = [m for m in modules if isinstance(m, ScaledRegularizer)]
        if not self._regularizers:
            raise ValueError(f"{self.model.name!r} has no R1 or R2 regularizer to schedule.")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the strength."""
        factor = float(self.schedule(epoch))
        if not 0 <= factor < float("inf"):
            raise ValueError(f"The schedule gave {factor} for epoch {epoch}.")
        for regularizer in self._regularizers:
            regularizer.strength.assign(factor * regularizer.initial_strength)
        if self.verbose:
            print(f"Epoch {epoch + 1}: regularizers at {factor:g} of their strength.")


class TrainingCurves(tf.keras.callbacks.Callback):
    """Draws the `history.csv` that `CSVLogger` writes as a PNG after every epoch.

    Give it to `fit` after the `CSVLogger`. One panel for each metric, with training and
    validation together.

    Args:
        history: Path of the CSV file.
        picture: Path of the PNG file.
    """

    def __init__(self, history: str | Path, picture: str | Path):
        super().__init__()
        self.history = Path(history)
        self.picture = Path(picture)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Draw the curves so far."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        with self.history.open() as file:
            rows = list(csv.DictReader(file))
        names = [n for n in rows[0] if n not in ("epoch", "step") and not n.startswith("val_")]
        figure = Figure(figsize=(5 * len(names), 4), layout="constrained")
        FigureCanvasAgg(figure)
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            for key, label in ((name, "training"), (f"val_{name}", "validation")):
                if key in rows[0]:
                    axes.plot([float(row[key]) for row in rows], label=label)
            axes.set(xlabel="epoch", title=name)
            axes.legend()
        figure.savefig(self.picture)
