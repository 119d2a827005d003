"""Whether the weights in a file fit a model, and what may be left out if they are for another head.

The head is what stands behind the features: the layers that `include_top=False` leaves out, or the
last layer of a classifier, whose size is the number of classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import tensorflow as tf

__all__ = ["OtherHeadError", "Slot", "fitting", "has_classifier", "without_last"]

_LINES = 12  # of an error; a layer more or less shifts all that follow


class OtherHeadError(ValueError):
    """The weights are for another head; all others fit."""


@dataclass(frozen=True)
class Slot:
    """A weight as a file or a model describes it.

    Attributes:
        layer: Name of its layer, empty if the file does not say.
        weight: Its name in the layer.
        shape: Its shape.
        dtype: Its type; empty in files of which only the shapes count.
    """

    layer: str
    weight: str
    shape: tuple[int, ...]
    dtype: str = ""

    def __str__(self) -> str:
        return f"{self.weight} {[*self.shape]} {self.dtype}".rstrip()

    def equals(self, other: "Slot") -> bool:
        """Whether one can have the value of the other."""
        names = (self.weight, other.weight) if self.dtype else ()
        return self.shape == other.shape and self.dtype == other.dtype and len({*names}) <= 1


def fitting(
    theirs: Sequence[Slot], ours: Sequence[Slot], model: tf.keras.Model, other_head: bool
) -> tuple[int, str]:
    """The number of weights, from the first on, that a file has for a model.

    Args:
        theirs: What the file has.
        ours: What the model has, in the same order.
        model: The model.
        other_head: Whether the file may be for another head.

    Returns:
        The number, and half a sentence that says what is left out, if something is.

    Raises:
        OtherHeadError: If the file is for another head, and may not be.
        ValueError: If it is of another model; the message lists what differs.
    """
    differing = list(_differences(theirs, ours))
    if not differing:
        return len(ours), ""
    found = _without_head(theirs, ours, has_classifier(model))
    if found is None or not other_head:
        if len(differing) > _LINES:
            differing[_LINES:] = [f"and {len(differing) - _LINES} more"]
        kind = ValueError if found is None else OtherHeadError
        raise kind("\n  " + "\n  ".join(differing))
    return found


def without_last(layer: str, new: int, old: int) -> str:
    """Half a sentence that says that the last layer has other classes than those of the weights."""
    return f"without those of {layer}, which is new: it has {new} classes instead of {old}"


def has_classifier(model: tf.keras.Model) -> bool:
    """Whether a model of the zoo ends in classes, and not in a map of features."""
    return len(model.output_shape) == 2


def _without_head(
    theirs: Sequence[Slot], ours: Sequence[Slot], classifies: bool
) -> tuple[int, str] | None:
    """What `fitting` returns for a file of another head, `None` if that is not all."""
    if not ours:
        return None
    if not classifies:
        fits = len(theirs) > len(ours) and not any(_differences(theirs[: len(ours)], ours))
        return (len(ours), "without their head (include_top=False)") if fits else None
    last = ours[-1].layer
    count = next(i for i, slot in enumerate(ours) if slot.layer == last)
    if len(theirs) != len(ours) or any(_differences(theirs[:count], ours[:count])):
        return None
    for their, our in zip(theirs[count:], ours[count:], strict=True):
        if not replace(their, shape=their.shape[:-1]).equals(replace(our, shape=our.shape[:-1])):
            return None
    return count, without_last(last, ours[-1].shape[-1], theirs[-1].shape[-1])


def _differences(theirs: Sequence[Slot], ours: Sequence[Slot]) -> Iterator[str]:
    """A line for each weight that differs."""
    for their, our in zip_longest(theirs, ours):
        if our is None:
            layer = f"{their.layer}: " if their.layer else ""
            yield f"{layer}{their} in the file, nothing in the model"
        elif their is None:
            yield f"{our.layer}: nothing in the file, {our} in the model"
        elif not their.equals(our):
            yield f"{our.layer}: {their} in the file, {our} in the model"
