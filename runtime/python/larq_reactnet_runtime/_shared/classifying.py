# The original is in larq_reactnet/_shared of larq-reactnet. `make copies` copies it, as it is, to
# runtime/python/larq_reactnet_runtime/_shared: change the original, and then make the copies.
"""What a classifier sees in photos, prepared and named as the metadata in its file say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .metadata import Metadata
from .photos import prepare

__all__ = ["Interpreter", "classify"]

MOST_ELEMENTS = 2**27  # of an input: more is a corrupt shape
TOLERANCE = 1e-3  # of a sum of probabilities


class Interpreter(Protocol):
    """What is needed of an interpreter. Those of both packages and that of LCE have it."""

    @property
    def input_shapes(self) -> Sequence[tuple[int, ...]]:
        """Shapes of the inputs of the model, the batch included."""

    @property
    def input_types(self) -> Sequence[Any]:
        """Their NumPy types."""

    @property
    def output_shapes(self) -> Sequence[tuple[int, ...]]:
        """Shapes of the outputs of the model, the batch included."""

    @property
    def output_types(self) -> Sequence[Any]:
        """Their NumPy types."""

    def predict(self, x: np.ndarray) -> Any:
        """The outputs for a batch."""


def classify(
    interpreter: Interpreter,
    paths: Sequence[str | Path],
    metadata: Metadata | None,
    *,
    top: int = 5,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
) -> list[list[tuple[str, float]]]:
    """For each photo, its most probable classes and their probabilities, the best one first.

    A photo becomes an input as `photos.prepare` says. Scores that are not probabilities go through
    a softmax. Without labels in the metadata, classes are called `"class 0"` and so on.

    Args:
        interpreter: What runs the classifier.
        paths: JPEG, PNG, GIF, BMP or WebP files.
        metadata: The metadata in the file of the classifier, if there are any.
        top: Number of classes.
        mean: With `std`, how inputs are normalized: `(pixel - mean) / std`, with pixels from 0 to
            255. One number for each channel or one for all; by default what the metadata say.
        std: See `mean`.

    Raises:
        ValueError: If a photo cannot be read, the model does not classify images, or neither the
            metadata nor the arguments say how its inputs are normalized.
        OSError: If there is no such photo.
        ImportError: If Pillow is not installed.
    """
    if top < 1:
        raise ValueError(f"`top` must be at least 1, got {top}.")
    shape, classes = _classifier(interpreter)
    metadata = metadata or Metadata()
    given = Metadata(mean=mean, std=std)  # type: ignore[arg-type]  # it takes scalars and lists
    scale = given if given.mean else metadata
    if not scale.mean:
        raise ValueError(
            "The .tflite does not say how its inputs are normalized: give `mean` and `std` (--mean "
            "and --std), such as 127.5 and 127.5 for inputs from -1 to 1, or 0 and 1 for pixels."
        )
    if len(scale.mean) not in (1, shape[-1]):
        raise ValueError(
            f"`mean` and `std` have {len(scale.mean)} numbers, and the model takes {shape[-1]} "
            "channels: give one number for each, or one for all."
        )
    labels = metadata.labels or tuple(f"class {i}" for i in range(classes))
    if len(labels) != classes:
        raise ValueError(
            f"The .tflite has {len(labels)} labels for {classes} classes: export it again."
        )
    results = []
    for path in paths:  # one by one, because the photos of a camera are large
        image = prepare(path, shape, scale.mean, scale.std)
        scores = np.asarray(interpreter.predict(image[None]), np.float64)
        if scores.shape != (1, classes) or not np.isfinite(scores).all():
            raise ValueError("The .tflite does not give a finite number for each class.")
        row = _probabilities(scores[0])
        order = np.argsort(-row, kind="stable")[:top]
        results.append([(labels[i], float(row[i])) for i in order])
    return results


def _classifier(interpreter: Interpreter) -> tuple[tuple[int, ...], int]:
    """The shape of the images that a classifier takes, and its number of classes."""
    inputs, outputs = interpreter.input_shapes, interpreter.output_shapes
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            f"The .tflite has {len(inputs)} inputs and {len(outputs)} outputs: one of each is "
            "supported."
        )
    shape, scores = tuple(inputs[0][1:]), tuple(outputs[0][1:])
    if len(shape) != 3 or shape[-1] not in (1, 3) or not 0 < math.prod(shape) <= MOST_ELEMENTS:
        raise ValueError(f"The .tflite takes inputs of shape {shape}, which are not images.")
    if len(scores) != 1 or scores[0] < 2:
        raise ValueError(f"The .tflite gives outputs of shape {scores}: it is not a classifier.")
    if any(kind != np.float32 for kind in (*interpreter.input_types, *interpreter.output_types)):
        raise ValueError("The .tflite does not take and give float32: export it without that.")
    return shape, scores[0]


def _probabilities(scores: np.ndarray) -> np.ndarray:
    """The scores of a photo, or their softmax if they are not probabilities."""
    in_range = (scores >= 0).all() and (scores <= 1 + TOLERANCE).all()
    if in_range and abs(scores.sum() - 1) <= TOLERANCE:
        return scores
    exponentials = np.exp(scores - scores.max())
    return np.asarray(exponentials / exponentials.sum())
