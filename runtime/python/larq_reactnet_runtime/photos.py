"""Photos as inputs of a classifier, and what it sees in them. Needs Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from larq_reactnet_runtime._shared.classifying import Classifier
from larq_reactnet_runtime._shared.photos import prepare
from larq_reactnet_runtime.interpreter import Interpreter

__all__ = ["classifier", "classify", "prepare"]


def classify(
    interpreter: Interpreter,
    paths: Sequence[str | Path],
    *,
    top: int = 5,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    size: Sequence[int] | None = None,
) -> list[list[tuple[str, float]]]:
    """For each photo, its most probable classes and their probabilities, the best one first.

    They are prepared as `larq-reactnet predict` does it: turned upright as their EXIF data say,
    converted to the channels of the model, cropped to its aspect around the center, resized, and
    normalized, as the file says.

    Outputs between 0 and 1 are probabilities, those of sigmoids too; others go through a softmax.
    One output is that of two classes if it is a sigmoid's, or if there are two labels. Otherwise it
    is a number, which is given in place of a probability, after the label or `"value"`.

    Args:
        interpreter: A classifier of images.
        paths: JPEG, PNG, GIF, BMP or WebP files; of an animation, the first frame counts.
        top: Number of classes.
        mean: With `std`, how inputs are normalized: `(pixel - mean) / std`, with pixels from 0 to
            255. One number for each channel or one for all; by default what the file says.
        std: See `mean`.
        size: Height and width of the images, for a model that takes any.

    Raises:
        ValueError: If a photo cannot be read, the model does not classify images, or neither its
            file nor the arguments say how its inputs are normalized.
        OSError: If there is no such photo.
        ImportError: If Pillow is not installed.
    """
    function = classifier(interpreter, top=top, mean=mean, std=std, size=size)
    return [function(path) for path in paths]


def classifier(
    interpreter: Interpreter,
    *,
    top: int = 5,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    size: Sequence[int] | None = None,
) -> Classifier:
    """A function that does for one photo what `classify` does for several."""
    found, ending = interpreter.metadata, interpreter.model.ending
    return Classifier(interpreter, found, top=top, mean=mean, std=std, size=size, ending=ending)
