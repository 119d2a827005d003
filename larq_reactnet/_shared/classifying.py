# The original is in larq_reactnet/_shared of larq-reactnet. `make copies` copies it, as it is, to
# runtime/python/larq_reactnet_runtime/_shared: change the original, and then make the copies.
"""What a network sees in photos, prepared and named as the metadata in its file say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from .metadata import Metadata
from .photos import Picture, prepare
from .quantizing import dequantize, quantize
from .sizing import sized

__all__ = ["Classifier", "Interpreter"]

MOST_ELEMENTS = 2**27  # of an input: more is a corrupt shape
TYPES = (np.float32, np.uint8, np.int8)  # numbers, or integers that stand for them
TOLERANCE = 1e-3  # of probabilities


class Interpreter(Protocol):
    """What is needed of an interpreter. Those of both packages and that of LCE have it."""

    @property
    def input_shapes(self) -> Sequence[tuple[int, ...]]:
        """Shapes of the inputs of the model, the batch included."""

    @property
    def input_types(self) -> Sequence[Any]:
        """Their NumPy types."""

    @property
    def input_scales(self) -> Sequence[Any]:
        """The scales of those that are quantized, and None of the others."""

    @property
    def input_zero_points(self) -> Sequence[Any]:
        """Their zero points."""

    @property
    def output_shapes(self) -> Sequence[tuple[int, ...]]:
        """Shapes of the outputs of the model, the batch included."""

    @property
    def output_types(self) -> Sequence[Any]:
        """Their NumPy types."""

    @property
    def output_scales(self) -> Sequence[Any]:
        """See `input_scales`."""

    @property
    def output_zero_points(self) -> Sequence[Any]:
        """See `input_zero_points`."""

    def predict(self, x: np.ndarray) -> Any:
        """The outputs for a batch."""


class Classifier:
    """A function that gives the classes of a photo and their probabilities, the best one first.

    A photo becomes an input as `photos.prepare` says, with what the metadata say. If the input is
    quantized, the numbers that come out of that are quantized by its scale and zero point.

    The probabilities are the outputs of the network where they are between 0 and 1: those of a
    softmax, whose sum is 1, as well as those of sigmoids, each of which says yes or no. Other
    outputs are logits, and go through a softmax.

    A single output is the probability of the second of two classes if it is that of a sigmoid. With
    two labels it is that, too, and a sigmoid follows if the network has none. Otherwise it is a
    number, and stands in the place of a probability.

    Without labels, classes are called `"class 0"` and so on, and a number is called `"value"`.

    Args:
        interpreter: What runs the network.
        metadata: The metadata in its file, if there are any.
        top: Number of classes.
        mean: With `std`, how inputs are normalized: `(pixel - mean) / std`, with pixels from 0 to
            255. One number for each channel or one for all; by default what the metadata say.
        std: See `mean`.
        size: Height and width of the images, for a network that takes any.
        ending: The operator that computes the output, as `model.read` finds it. Where it is not
            known, the outputs show what they are.

    Attributes:
        gives_a_number: Whether the result is a number, and not probabilities of classes.

    Raises:
        ValueError: If the network does not classify images, or neither the metadata nor the
            arguments say how its inputs are normalized.
    """

    def __init__(
        self,
        interpreter: Interpreter,
        metadata: Metadata | None,
        *,
        top: int = 5,
        mean: float | Sequence[float] = (),
        std: float | Sequence[float] = (),
        size: Sequence[int] | None = None,
        ending: str = "",
    ):
        if top < 1:
            raise ValueError(f"`top` must be at least 1, got {top}.")
        self._interpreter, self._top, self._ending = interpreter, top, ending
        self._shape, self._type, self._outputs = _shapes(interpreter, size)
        self._metadata = metadata or Metadata()
        given = Metadata(mean=mean, std=std)  # type: ignore[arg-type]  # it takes scalars and lists
        self._scale = given if given.mean else self._metadata
        if not self._scale.mean:
            raise ValueError(
                "The .tflite does not say how its inputs are normalized: give `mean` and `std` "
                "(--mean and --std), such as 127.5 and 127.5 for inputs from -1 to 1, or 0 and 1 "
                "for pixels."
            )
        if len(self._scale.mean) not in (1, self._shape[-1]):
            raise ValueError(
                f"`mean` and `std` have {len(self._scale.mean)} numbers, and the model takes "
                f"{self._shape[-1]} channels: give one number for each, or one for all."
            )
        labels = self._metadata.labels
        if labels and len(labels) not in ((1, 2) if self._outputs == 1 else (self._outputs,)):
            raise ValueError(
                f"The .tflite has {len(labels)} labels for {self._outputs} outputs: export it "
                "again."
            )
        self.gives_a_number = (
            self._outputs == 1 and len(labels) != 2 and ending not in ("", "LOGISTIC")
        )
        self._names = labels or tuple(f"class {i}" for i in range(max(self._outputs, 2)))
        if self._outputs == 1 and len(labels) == 1:
            self._names = (f"not {labels[0]}", labels[0])

    def __call__(self, photo: Picture) -> list[tuple[str, float]]:
        """The classes of a photo and their probabilities, or the one number of the network.

        Raises:
            ValueError: If the photo cannot be read, or the outputs are not finite.
            OSError: If there is no such photo.
            ImportError: If Pillow is not installed.
        """
        image = prepare(
            photo,
            self._shape,
            self._scale.mean,
            self._scale.std,
            crop=self._metadata.crop,
            resize=self._metadata.resize,
        )
        if self._type != np.float32:
            # Where there is no scale, the file takes the bytes themselves.
            scale, zero_point = _quantization(self._interpreter, "input")
            image = quantize(image, self._type, scale or 1.0, zero_point)
        outputs = np.asarray(self._interpreter.predict(image[None]))
        scale, zero_point = _quantization(self._interpreter, "output")
        if scale is not None:
            outputs = dequantize(outputs, scale, zero_point)
        outputs = outputs.astype(np.float64)
        if outputs.shape != (1, self._outputs) or not np.isfinite(outputs).all():
            raise ValueError("The .tflite does not give a finite number for each output.")
        if self.gives_a_number:
            (name,) = self._metadata.labels or ("value",)
            return [(name, float(outputs[0, 0]))]
        row = self._probabilities(outputs[0])
        order = np.argsort(-row, kind="stable")[: self._top]
        return [(self._names[i], float(row[i])) for i in order]

    def _probabilities(self, outputs: np.ndarray) -> np.ndarray:
        are_probabilities = self._ending in ("LOGISTIC", "SOFTMAX") or (
            # A dense layer without an activation gives logits, whatever they happen to be.
            self._ending != "FULLY_CONNECTED"
            and bool((outputs >= 0).all() and (outputs <= 1 + TOLERANCE).all())
        )
        if len(outputs) == 1:
            # Of a logit, the sigmoid is the softmax of 0 and itself.
            outputs = np.array([1 - outputs[0] if are_probabilities else 0.0, outputs[0]])
        if are_probabilities:
            return outputs
        exponentials = np.exp(outputs - outputs.max())
        return np.asarray(exponentials / exponentials.sum())


def _quantization(interpreter: Interpreter, kind: str) -> tuple[float | None, int]:
    """The scale and the zero point of the first input or output; no scale if it has none."""
    scale = getattr(interpreter, f"{kind}_scales")[0]
    if scale is None or not np.size(scale) or not np.all(scale):
        return None, 0
    return float(scale), int(getattr(interpreter, f"{kind}_zero_points")[0] or 0)


def _shapes(
    interpreter: Interpreter, size: Sequence[int] | None
) -> tuple[tuple[int, ...], Any, int]:
    """The shape and type of the images that a network takes, and its number of outputs."""
    # LCE's own interpreter does not say which sizes may be any.
    inputs = getattr(interpreter, "input_signatures", interpreter.input_shapes)
    outputs = interpreter.output_shapes
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            f"The .tflite has {len(inputs)} inputs and {len(outputs)} outputs: one of each is "
            "supported."
        )
    shape, scores = sized(inputs[0][1:], size), tuple(outputs[0][1:])
    if len(shape) != 3 or shape[-1] not in (1, 3) or not 0 < math.prod(shape) <= MOST_ELEMENTS:
        raise ValueError(f"The .tflite takes inputs of shape {shape}, which are not images.")
    if len(scores) != 1 or scores[0] < 1:
        raise ValueError(f"The .tflite gives outputs of shape {scores}: it is not a classifier.")
    kind, given = np.dtype(interpreter.input_types[0]), np.dtype(interpreter.output_types[0])
    is_quantized = _quantization(interpreter, "output")[0] is not None
    if kind not in TYPES or given not in TYPES or (given != np.float32 and not is_quantized):
        raise ValueError(
            f"The .tflite takes {kind.name} and gives {given.name}: it must take float32, uint8 or "
            "int8, and give float32, or one of the others with a scale."
        )
    return shape, kind, scores[0]
