"""What the outputs of a model mean: classes, of which the largest wins, or numbers.

A file is judged by that. Two sets of scores for classes may be far apart and still say the same; a
number that is off is wrong, even if another output of the model is larger than it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from larq_reactnet._graph.endings import endings
from larq_reactnet.distillation import Distiller

import numpy as np
import tensorflow as tf

__all__ = ["TASKS", "Output", "logits_of", "outputs_of"]

TASKS = ("auto", "classify", "regress")

SMALLEST_PROBABILITY = 1e-30  # below it, the logarithm would compare noise


@dataclass(frozen=True)
class Output:
    """How an output of a model is judged.

    Attributes:
        name: Name of the output, which is that of the layer that gives it.
        by_class: Whether its answers are classes: the index of the largest of its numbers, or for
            a single number the side of a threshold on which it is.
        by_numbers: Whether it is judged by its numbers, each relative to how much it varies.
        activation: What it ends in, such as `"softmax"`.
    """

    name: str = ""
    by_class: bool = True
    by_numbers: bool = False
    activation: str = "linear"

    @property
    def task(self) -> str:
        """What the output is for, in one word."""
        return "classify" if self.by_class else "regress"

    @property
    def threshold(self) -> float:
        """Where the answer changes, if there is a single number."""
        return 0.5 if self.activation == "sigmoid" else 0.0

    def scores(self, values: np.ndarray) -> np.ndarray:
        """The numbers that are compared: logits where a softmax gives the probabilities of classes.

        Its logits are the logarithms of its outputs, centered.
        """
        return logits_of(values) if self.has_logits else values

    @property
    def has_logits(self) -> bool:
        """Whether it gives the probabilities of classes, so that logits are compared."""
        return self.by_class and self.activation == "softmax"


def outputs_of(
    model: tf.keras.Model, task: str = "auto", labels: Sequence[str] = ()
) -> tuple[Output, ...]:
    """How each output of a functional or sequential model is judged.

    Args:
        model: The model, or a `Distiller`, which stands for its student.
        task: `"classify"`, `"regress"` or `"auto"`. With `"auto"`, an output is of classes if it
            ends in a softmax, if it has been compiled with a cross-entropy, if it is that of a
            `Distiller`, or if there are labels. A single number behind a sigmoid is judged both by
            its class and as a number. All other outputs are numbers.
        labels: Names of classes that are known. They are those of the only output if there is one
            for each of its numbers.

    Raises:
        ValueError: If there is no such task.
    """
    if task not in TASKS:
        raise ValueError(f"`task` must be one of {[*TASKS]}, got {task!r}.")
    if isinstance(model, Distiller):
        task = "classify" if task == "auto" else task
        model = model.student
    found = []
    for index, (name, ending) in enumerate(zip(model.output_names, endings(model), strict=True)):
        count = model.outputs[index].shape[-1]
        named = len(model.outputs) == 1 and 1 < len(labels) == count
        is_single = count == 1
        classes = task == "classify" or (
            task == "auto"
            and (
                named
                or _is_trained_on_classes(model, index, is_single)
                or ending == ("sigmoid" if is_single else "softmax")
            )
        )
        found.append(Output(name, classes, is_single or not classes, ending))
    return tuple(found)


def logits_of(probabilities: np.ndarray) -> np.ndarray:
    """The logits, centered, for which a softmax gives `probabilities`."""
    logits = np.log(np.maximum(probabilities, SMALLEST_PROBABILITY))
    return logits - logits.mean(-1, keepdims=True)


def _is_trained_on_classes(model: tf.keras.Model, index: int, is_single: bool) -> bool:
    """Whether `model` is compiled with a cross-entropy for this output."""
    loss: Any = getattr(model, "loss", None)
    if isinstance(loss, dict):
        loss = loss.get(model.output_names[index])
    elif isinstance(loss, list | tuple):
        loss = loss[index] if index < len(loss) else None
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    kind = "binarycrossentropy" if is_single else "categoricalcrossentropy"
    return name.replace("_", "").lower().endswith(kind)
