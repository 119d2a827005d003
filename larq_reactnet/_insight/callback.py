"""The callback that looks into a binary network while it is trained."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from larq_reactnet._files import check_writable
from larq_reactnet._insight import kernels, records, summaries
from larq_reactnet._insight.finite import not_finite
from larq_reactnet._insight.held import Held, hold_first_batch
from larq_reactnet._insight.places import Reader, places_of
from larq_reactnet._insight.records import Record
from larq_reactnet._insight.signs import look
from larq_reactnet._insight.troubles import troubles_of
from larq_reactnet._types import Logs
from larq_reactnet._workers import is_chief

import numpy as np
import tensorflow as tf

__all__ = ["BinaryInsight"]


def _say(text: str) -> None:
    print(f"\n{text}", file=sys.stderr, flush=True)


class BinaryInsight(tf.keras.callbacks.Callback):
    r"""Shows what a binary network does while it is trained, and says what goes wrong.

    !!! example
        ```python
        model.fit(train, epochs=10, callbacks=[lr.callbacks.BinaryInsight()])
        ```

    It works for every model with binary layers, of Larq or of this package, also nested ones and
    the `Distiller`. Training is not changed by it. After each epoch it looks at the weights, and
    runs the model forward and back on a few held images, as in inference. What it sees is in
    `records`, a list with a dictionary for each epoch:

    | key | of | meaning |
    | --- | --- | --- |
    | `flips` | kernel | share of binary weights whose sign is another than one epoch before |
    | `flips_per_step` | kernel | the same for one step, a mean over the steps that are looked at |
    | `size` | kernel | number of weights |
    | `near_zero` | kernel | share of latent weights below 0.1 times their mean magnitude |
    | `at_clip` | kernel | share at the limit of `kernel_constraint="weight_clip"`, or `None` |
    | `mean` | kernel | mean magnitude of the latent weights |
    | `histogram` | kernel | how many of 10,000 are in each 32nd of -range to range, or beyond |
    | `range` | kernel | four times the mean magnitude, or the largest if that is less |
    | `alpha` | kernel | quantiles of BNN+'s scale |
    | `alpha_distance` | kernel | mean of abs(alpha - abs(w)) as a share of the mean alpha |
    | `plus` | sign | share of +1 |
    | `channels` | sign | the same of each channel, in two hexadecimal digits: `00` is never |
    | `positions` | sign | how many values of each channel were seen |
    | `gradient` | both | norm of the gradient of latent weights, or of what the sign is given |
    | `passed` | both | that norm over the norm of the gradient of the signs |
    | `mismatch` | both | gradient mismatch, see below |
    | `thresholds` | RSign | quantiles of its thresholds; of `LearnableBias`, times -1 |
    | `slopes` | RPReLU | quantiles of its slopes |
    | `gradient_norm` | | norm of the gradient of all trained weights |
    | `troubles` | | what goes wrong: `kind`, `where`, `value` and `cure` |

    Quantiles are the smallest value, the 5th, 25th, 50th, 75th and 95th percentile, and the
    largest.

    The gradient mismatch of a quantizer is how far its surrogate turns the gradient:

    \\[ 1 - \frac{g_q \cdot g_x}{\lVert g_q \rVert \lVert g_x \rVert}, \qquad
        g_q = \frac{\partial L}{\partial q(x)}, \quad g_x = g_q \odot q'(x) \\]

    It is 0 for a straight-through gradient of which nothing is cut off, and grows with what the
    surrogate weights differently or leaves out. The loss L is that of the held images, without
    penalties of weights. Gradients are left out where it is not known: for a model with a
    `train_step` of its own, and under a strategy of several replicas.

    When a dead layer, weights without flips or at the clip, an exploding loss, NaN, or a second
    step below chance is found for the first time, a line says where, how much, and what to do.
    Once weights are NaN or infinite, the training is stopped.

    A look takes about as long as a few steps of the training: it is a small part of an epoch of a
    hundred steps or more, and a larger one of shorter epochs. `benchmarks/insight.py` measures it.

    Args:
        data: The held images: a batch `(images, labels)`, or `images` alone. They cost as much
            time in each epoch as training with them once. By default they are the first images of
            the training, one of 128 and at most 256; under a strategy of several replicas, give
            them, or signs are not looked at.
        path: File that gets a line of JSON for each epoch, with what is in the table. An
            interrupted training that goes on, with `initial_epoch`, goes on in it.
        log_dir: Folder that gets summaries for TensorBoard.
        step: Number of the step that is being trained, in a run of several steps.
        every: Every how many steps it is looked which signs the step changes, from the first one of
            each epoch on. 0 for never.
        resumed_at: How many batches of its first epoch were trained before, by a training that goes
            on inside of it. Its `flips` are `None`, because its first weights are not known.
        print_fn: Function that gets a line about what goes wrong, by default to stderr; `None` for
            silence.

    Raises:
        ValueError: If the model has neither binary kernels nor binary activations.
        OSError: If the file cannot be written.
    """

    def __init__(
        self,
        data: Any = None,
        *,
        path: str | Path | None = None,
        log_dir: str | Path | None = None,
        step: int = 1,
        every: int = 100,
        resumed_at: int = 0,
        print_fn: Callable[[str], object] | None = _say,
    ):
        super().__init__()
        # Keras then gives the logs of a step as they are, without waiting for their values.
        self._supports_tf_logs = True
        self.path = None if path is None else check_writable(path)
        self.log_dir = None if log_dir is None else Path(log_dir)
        self.step = step
        self.every = every
        self.resumed_at = resumed_at
        self.print_fn = print_fn
        self.records: list[Record] = []
        self._held = None if data is None else Held.of(data)
        self._is_given = data is not None
        self._said: set[tuple[int, str, str]] = set()
        self._epoch_bits: list[np.ndarray] = []

    def on_train_begin(self, logs: Logs = None) -> None:
        """Find what there is to look at. Some layers may be built in the first step only."""
        self._is_begun = False
        self._is_chief = is_chief(self.model.distribute_strategy)
        self._is_built = bool(self.model.built)
        self._writer = None
        self._find()
        if not self._is_given:
            self._held = None
            hold_first_batch(self.model, self.params.get("steps"), self._hold)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Begin to count; in the first epoch, also the file from here on."""
        if not self._is_begun:
            self._begin_files(epoch)
        steps = self.resumed_at + (self.params.get("steps") or 0)
        self._first = self._count = epoch * steps + self.resumed_at
        self._flips: list[list[float]] = []
        self._before: tuple[int, list[np.ndarray]] | None = None

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Keep the signs, of some steps."""
        if self.every and batch % self.every == 0:
            self._before = (batch, self._bits() if batch else self._epoch_bits)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Compare the signs, of some steps, and stop if nothing is left to train."""
        self._count = self._first + batch + 1
        if not self._is_built:  # before this step, layers may have had no weights yet
            self._is_built = True
            bits = self._epoch_bits
            self._find()
            if len(bits) == len(self._epoch_bits):
                self._epoch_bits = bits
            else:
                self._before = None
        if self._before is None:
            return
        began, before = self._before
        self._before = None
        if began == batch:  # else it is several steps, of which Keras waits for the last
            self._flips.append(self._changed(before, self._bits()))
            if self._writer is not None:
                names = [kernel.name for kernel in self._kernels]
                flips = dict(zip(names, self._flips[-1], strict=True))
                summaries.write_step(self._writer, self._count, flips)
        is_finite = not isinstance(logs, dict) or bool(np.isfinite(float(logs.get("loss", 0.0))))
        if not is_finite and not_finite(self.model):
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Look at everything, write it down, and say what goes wrong."""
        scalars = {name: float(v) for name, v in (logs or {}).items() if np.ndim(v) == 0}
        record, weights = self._look(epoch, scalars)
        frozen = frozenset(k.name for k in self._kernels if not k.layer.trainable)
        found = troubles_of(record, self.records, classes=self._classes, frozen=frozen)
        record["troubles"] = [trouble.as_dict() for trouble in found]
        self.records.append(record)
        if self.path is not None and self._is_chief:
            records.append(self.path, record)
        if self._writer is not None:
            arrays = weights, _read(self._thresholds), _read(self._slopes)
            summaries.write_epoch(self._writer, self._count, record, *arrays)
        for trouble in found:
            about = (self.step, trouble.kind, trouble.where)
            if about not in self._said and self.print_fn is not None and self._is_chief:
                self.print_fn(f"Step {self.step}, epoch {epoch + 1}: {trouble}")
            self._said.add(about)
        if record["not_finite"]:
            self.model.stop_training = True
        self.resumed_at = 0

    def on_train_end(self, logs: Logs = None) -> None:
        """Close the summaries."""
        if self._writer is not None:
            self._writer.close()

    def _begin_files(self, epoch: int) -> None:
        self._is_begun = True
        earlier = [r for r in self.records if (r["step"], r["epoch"]) < (self.step, epoch)]
        self.records = earlier
        if self._is_chief:
            if self.path is not None:
                self.records = records.trim(self.path, self.step, epoch)
            if self.log_dir is not None:
                self._writer = tf.summary.create_file_writer(str(self.log_dir))
        known = {(r["step"], t["kind"], t["where"]) for r in self.records for t in r["troubles"]}
        self._said |= known

    def _find(self) -> None:
        places = places_of(self.model)
        self._kernels, self._signs = places.kernels, places.signs
        self._thresholds, self._slopes = places.thresholds, places.slopes
        if self._is_built and not self._kernels and not self._signs:
            raise ValueError(
                f"{self.model.name!r} has neither binary weights nor binary activations to look at."
            )
        self._epoch_bits = self._bits()

    def _hold(self, held: Held) -> None:
        self._held = held

    def _bits(self) -> list[np.ndarray]:
        return [kernels.bits_of(kernel.read()) for kernel in self._kernels]

    def _changed(self, before: list[np.ndarray], after: list[np.ndarray]) -> list[float]:
        sizes = [int(np.prod(kernel.variable.shape)) for kernel in self._kernels]
        return [kernels.flips(*three) for three in zip(before, after, sizes, strict=True)]

    def _look(self, epoch: int, logs: dict[str, float]) -> tuple[Record, dict[str, np.ndarray]]:
        weights = {kernel.name: kernel.read() for kernel in self._kernels}
        bits = [kernels.bits_of(values) for values in weights.values()]
        flips = self._changed(self._epoch_bits, bits)
        self._epoch_bits = bits
        per_step = np.mean(self._flips, axis=0).tolist() if self._flips else [None] * len(flips)
        seen = None
        if self._held is not None:
            seen = look(self.model, self._signs, self._kernels, self._held)
        self._classes = None if seen is None else seen.classes
        found = {}
        for kernel, share, at_once in zip(self._kernels, flips, per_step, strict=True):
            found[kernel.name] = {
                "flips": None if self.resumed_at else share,
                "flips_per_step": at_once,
                **kernels.describe(kernel, weights[kernel.name]),
                **(seen.kernels.get(kernel.name, {}) if seen else {}),
            }
        signs = {}
        for name, sign in (seen.signs if seen else {}).items():
            channels = sign["channels"]
            text = records.to_hex(channels)
            signs[name] = {**sign, "plus": float(channels.mean()), "channels": text}
        thresholds, slopes = _read(self._thresholds), _read(self._slopes)
        record = {
            "step": self.step,
            "epoch": epoch,
            "images": self._held.size if self._held else 0,
            "logs": logs,
            "learning_rate": _rate_of(self.model.optimizer),
            "not_finite": not_finite(self.model),
            "gradient_norm": None if seen is None else seen.gradient_norm,
            "kernels": found,
            "signs": signs,
            "thresholds": {name: kernels.quantiles(v) for name, v in thresholds.items()},
            "slopes": {name: kernels.quantiles(v) for name, v in slopes.items()},
        }
        return record, weights


def _read(readers: dict[str, Reader]) -> dict[str, np.ndarray]:
    return {name: read() for name, read in readers.items()}


def _rate_of(optimizer: Any) -> float | None:
    """The learning rate at present, if the optimizer has one."""
    rate = getattr(optimizer, "learning_rate", None)
    if isinstance(rate, tf.keras.optimizers.schedules.LearningRateSchedule):
        rate = rate(optimizer.iterations)
    return None if rate is None else float(tf.convert_to_tensor(rate))
