"""Callbacks that keep what a step has done: after epochs, inside long ones, and on signals."""

import time
from typing import Any

from larq_reactnet._types import Logs
from larq_reactnet._workers import has_several_workers
from larq_reactnet.training.checkpoints import Checkpoints, Progress
from larq_reactnet.training.distributing import told
from larq_reactnet.training.interrupting import Interruption
from larq_reactnet.training.watching import check_finite
from larq_reactnet.weights_files import save_weights

import tensorflow as tf

__all__ = ["BestWeights", "Keeping", "Stopped"]

SAVE_EVERY = 600  # seconds
AGREE_EVERY = 10  # batches, after which several workers ask each other


class Stopped(Exception):  # noqa: N818 - it is not an error
    """The training was saved and ends, because of a signal."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


class BestWeights(tf.keras.callbacks.Callback):
    """Notes the best epoch, and keeps its weights if wanted.

    The best is the one of the highest accuracy in validation, and the first of several such.

    Args:
        checkpoints: Those of the step.
        keep: Whether to keep the weights.
    """

    def __init__(self, checkpoints: Checkpoints, keep: bool):
        super().__init__()
        self.checkpoints = checkpoints
        self.keep = keep

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Compare."""
        progress = self.checkpoints.progress
        accuracy = float((logs or {})["val_accuracy"])
        if progress.best is None or accuracy > progress.best:
            progress.best, progress.best_epoch = accuracy, epoch
            if self.keep:
                path = self.checkpoints.mine(self.checkpoints.best_weights(epoch))
                path.parent.mkdir(parents=True, exist_ok=True)
                save_weights(self.model, path)


class Keeping(tf.keras.callbacks.Callback):
    """Saves checkpoints, and stops the training when it was asked to.

    Args:
        checkpoints: Where they are, and how far the step has come.
        step: Number of the step, for messages.
        steps_per_epoch: Batches of a whole epoch.
        interruption: Knows whether the process was asked to stop.
        patience: Epochs without a better accuracy after which the step ends; 0 for never.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        step: int,
        steps_per_epoch: int,
        interruption: Interruption,
        patience: int,
    ):
        super().__init__()
        self._supports_tf_logs = True  # Keras then does not wait for the values of each batch
        self.checkpoints = checkpoints
        self.step = step
        self.steps_per_epoch = steps_per_epoch
        self.interruption = interruption
        self.patience = patience
        self._saved = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Note what of this epoch was done before."""
        self._earlier = self.checkpoints.progress
        self._start = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Save inside of the epoch, if it is time or if it is wanted."""
        earlier = self._earlier
        if batch == 0 and earlier.batches:
            self.checkpoints.add(earlier.sums)
        done = earlier.batches + batch + 1
        if done == self.steps_per_epoch:
            return  # after the validation
        wanted, is_time = self._wanted(done)
        if wanted or is_time:
            seconds = earlier.seconds + time.monotonic() - self._start
            sums = self.checkpoints.sums()
            self._save(_with(earlier, batches=done, seconds=seconds, sums=sums))
        if wanted:
            raise Stopped(wanted)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Save after the epoch."""
        progress = _with(self.checkpoints.progress, epochs=epoch + 1)
        self._save(_with(progress, batches=0, seconds=0.0, sums=[]))
        wanted, _ = self._wanted(0)
        if wanted:
            raise Stopped(wanted)
        if self.checkpoints.progress.is_enough(self.patience):
            self.model.stop_training = True

    def _wanted(self, batch: int) -> tuple[int, bool]:
        """The number of a signal that came to any worker, and whether it is time to save."""
        strategy = self.model.distribute_strategy
        own = int(self.interruption.wanted or 0), time.monotonic() - self._saved > SAVE_EVERY
        if not has_several_workers(strategy):
            return own
        if batch % AGREE_EVERY:
            return 0, False
        signals, times = zip(*told(strategy, own), strict=True)
        return max(signals), any(times)

    def _save(self, progress: Progress) -> None:
        check_finite(self.model, self.checkpoints.run, self.step, self.checkpoints.progress)
        self.checkpoints.save(progress)
        self._saved = time.monotonic()


def _with(progress: Progress, **changes: Any) -> Progress:
    return Progress(**{**vars(progress), **changes})
