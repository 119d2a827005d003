"""Callbacks for `model.fit`: what a binary training schedules, records and looks at."""

import csv
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from larq_reactnet._files import replacing
from larq_reactnet._insight.callback import BinaryInsight
from larq_reactnet._types import Logs
from larq_reactnet.regularizers import ScaledRegularizer

import tensorflow as tf

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["BinaryInsight", "RegularizerSchedule", "RunHistory", "figure_of"]


class RegularizerSchedule(tf.keras.callbacks.Callback):
    """Scales the strength of every BNN+ regularizer of the model at the start of each epoch.

    After the training they have the strength again with which they were made.

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

    def on_train_begin(self, logs: Logs = None) -> None:
        """Find the regularizers."""
        modules = (self.model, *self.model.submodules)
        self._regularizers = [m for m in modules if isinstance(m, ScaledRegularizer)]
        if not self._regularizers:
            raise ValueError(f"{self.model.name!r} has no R1 or R2 regularizer to schedule.")

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Set the strength."""
        factor = float(self.schedule(epoch))
        if not 0 <= factor < float("inf"):
            raise ValueError(f"The schedule gave {factor} for epoch {epoch}.")
        for regularizer in self._regularizers:
            regularizer.strength.assign(factor * regularizer.initial_strength)
        if self.verbose:
            print(f"Epoch {epoch + 1}: regularizers at {factor:g} of their strength.")

    def on_train_end(self, logs: Logs = None) -> None:
        """Reset the strength."""
        for regularizer in self._regularizers:
            regularizer.strength.assign(regularizer.initial_strength)


class RunHistory(tf.keras.callbacks.Callback):
    """Keeps the metrics of every epoch in a CSV file, and a picture of them beside it.

    If a run is killed and resumed, the file still has each epoch once. Both files are written again
    after each epoch, and each is there whole or not at all.

    Args:
        path: The CSV file, with the columns `step`, `epoch`, `seconds` (what the epoch took) and
            one for each metric. The picture has the same name with `.png`: one panel for each
            metric, training and validation.
        step: Number of the step that is being trained, in a run of several steps.
        seconds: What the first epoch took before it was interrupted.
    """

    def __init__(self, path: str | Path, step: int = 1, seconds: float = 0.0):
        super().__init__()
        self.path = Path(path)
        self.step = step
        self.seconds = seconds

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Note the time."""
        self._start = time.monotonic() - self.seconds
        self.seconds = 0.0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Add the epoch to the file and draw the picture."""
        seconds = round(time.monotonic() - self._start, 2)
        rows = []
        if self.path.exists():
            with self.path.open(newline="") as file:
                rows = list(csv.DictReader(file))
        rows = [row for row in rows if (int(row["step"]), int(row["epoch"])) < (self.step, epoch)]
        rows.append({"step": self.step, "epoch": epoch, "seconds": seconds, **(logs or {})})
        with replacing(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, dict.fromkeys(name for row in rows for name in row))
            writer.writeheader()
            writer.writerows(rows)
        with replacing(self.path.with_suffix(".png")) as temporary:
            figure_of(rows).savefig(temporary)


def figure_of(rows: list[dict[str, Any]]) -> "Figure":
    """A Matplotlib figure of a history: a panel for each metric, a dotted line at each new step.

    Args:
        rows: The rows of the CSV file.
    """
    from matplotlib.figure import Figure

    names = [name for name in rows[-1] if name not in ("step", "epoch", "seconds")]
    names = [name for name in names if not name.startswith("val_")]
    starts = [i for i, (a, b) in enumerate(pairwise(rows), 1) if str(a["step"]) != str(b["step"])]
    figure = Figure(figsize=(5 * len(names), 3.5), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            if key in rows[-1]:
                values = [float(row.get(key) or "nan") for row in rows]
                axes.plot(range(1, len(rows) + 1), values, label=label, marker=".")
        for start in starts:
            axes.axvline(start + 0.5, color="gray", linestyle=":")
        axes.set(xlabel="epoch", title=name)
        axes.legend()
    return figure
