"""How far a step of a run has come, and the checkpoints from which it goes on."""

import json
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from larq_reactnet._workers import is_chief
from larq_reactnet.training.runs import Run

import numpy as np
import tensorflow as tf

__all__ = ["Checkpoints", "Progress"]


@dataclass
class Progress:
    """How far a step has come.

    Attributes:
        epochs: Whole epochs that are done, with their validation.
        batches: Batches of the next epoch that are done.
        seconds: What they took.
        sums: The variables of all metrics after these batches. All metrics here are means, whose
            variables are sums.
        best: The highest accuracy in validation, or `None` before the first.
        best_epoch: Its epoch, from 0.
    """

    epochs: int = 0
    batches: int = 0
    seconds: float = 0.0
    sums: list[list[float]] = field(default_factory=list)
    best: float | None = None
    best_epoch: int = 0

    @property
    def is_begun(self) -> bool:
        """Whether anything is done."""
        return bool(self.epochs or self.batches)

    def is_enough(self, patience: int) -> bool:
        """Whether the best epoch was `patience` epochs ago. 0 is for never."""
        return bool(patience and self.epochs and self.epochs - 1 - self.best_epoch >= patience)

    def __str__(self) -> str:
        epoch = f"epoch {self.epochs}"
        return f"{self.batches} batches after {epoch}" if self.batches else epoch


class Checkpoints:
    """The checkpoints of one step. Each is there whole, or the one before is.

    Of several workers all must save and restore together, because some variables are means over
    the workers. What others than the chief save goes to a temporary folder.

    Args:
        model: The compiled model.
        run: Its run.
        number: Number of the step.
    """

    def __init__(self, model: tf.keras.Model, run: Run, number: int):
        self.model = model
        self.run = run
        self.folder = run.checkpoints / f"step{number}"
        self.progress = Progress()
        self._text = tf.Variable("", dtype=tf.string)
        self._done = tf.Variable(0, dtype=tf.int64)  # all that earlier versions kept
        self._is_chief = is_chief(model.distribute_strategy)
        self._scratch = None if self._is_chief else tempfile.TemporaryDirectory()
        parts = {"model": model, "optimizer": model.optimizer, "epochs": self._done}
        self._earlier = tf.train.Checkpoint(**parts)
        self._checkpoint = tf.train.Checkpoint(**parts, progress=self._text)
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(self.mine(self.folder)), max_to_keep=1
        )

    def restore(self) -> None:
        """Go on from the last checkpoint, if there is one."""
        path = tf.train.latest_checkpoint(self.folder)
        if path is None:
            return
        with self.model.distribute_strategy.scope():
            self.model.optimizer.build(self.model.trainable_variables)
        names = [name for name, _ in tf.train.list_variables(path)]
        if any(name.startswith("progress/") for name in names):
            self._checkpoint.restore(path).assert_consumed()
            self.progress = Progress(**json.loads(self._text.numpy()))
        else:
            self._earlier.restore(path).assert_consumed()
            self.progress = Progress(epochs=int(self._done))

    def save(self, progress: Progress) -> None:
        """Replace the last checkpoint."""
        self._text.assign(json.dumps(asdict(progress)))
        self._done.assign(progress.epochs)
        self._manager.save()
        self.progress = progress
        if progress.best is not None and self._is_chief:
            for path in self.folder.glob("best_*.h5"):
                if path != self.best_weights(progress.best_epoch):
                    path.unlink()

    def best_weights(self, epoch: int) -> Path:
        """The file with the weights of an epoch that was the best. The chief writes it."""
        return self.folder / f"best_{epoch}.h5"

    def mine(self, path: Path) -> Path:
        """Where this worker writes what the chief writes to `path`."""
        return path if self._scratch is None else Path(self._scratch.name) / path.name

    def close(self) -> None:
        """Remove what only this worker wrote for itself."""
        if self._scratch is not None:
            self._scratch.cleanup()

    def sums(self) -> list[list[float]]:
        """The variables of all metrics at present."""
        return [[float(v.numpy()) for v in metric.variables] for metric in self.model.metrics]

    def add(self, sums: list[list[float]]) -> None:
        """Add what metrics had before an interruption to what they have."""
        for metric, values in zip(self.model.metrics, sums, strict=True):
            for variable, value in zip(metric.variables, values, strict=True):
                variable.assign(np.float32(value) + variable.numpy())
