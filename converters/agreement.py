"""How the outputs of two runs of one network compare: the numbers, and a table of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from larq_reactnet._tables import Shown, table

import numpy as np

__all__ = ["Agreement"]

_MOST_NUMBERS = 16  # of an output, whose errors are listed one by one


@dataclass(frozen=True, repr=False)
class Agreement(Shown):
    """How the outputs of two runs compare; printing it gives a table.

    Attributes:
        images: Number of inputs.
        same_class: Share of inputs with the same arg-max, 0 to 1. With a single output, it is the
            share on the same side of the threshold. None if the outputs are not classes.
        mean_distance: Mean absolute difference of the logits. If the outputs are classes and the
            model ends in a softmax, its logits are the logarithms of its outputs, centered;
            otherwise they are its outputs.
        max_distance: Largest absolute difference of the logits.
        engine: What ran the file.
        second: How the file in larq-reactnet-runtime compares with the file in `engine`, if that is
            LCE's interpreter and both are installed.
        refusal: Why larq-reactnet-runtime did not run the file, if it is installed and did not.
        decided: Number of classes that count: those that are the same, and those whose difference
            is larger than what rounding and storage (weights in a smaller type than float32)
            explain.
        other_class: How many of them are not the same.
        flipped: Number of inputs whose outputs are further apart than rounding and storage explain,
            because a sign has fallen the other way.
        errors: For each output, the root mean square of its differences, relative to its standard
            deviation over the inputs. Outputs that are classes are compared by their logits.
        error_of_numbers: The largest of these errors, without differences that rounding explains,
            if the outputs are numbers and are judged by them. None if they are only classes.
        largest_change: Largest absolute difference of the outputs themselves, which are
            probabilities if the model ends in a softmax.
        output: Name of the output of the Keras model.
        others: How its other outputs compare, if the model has several. They have the same engine.
    """

    images: int
    same_class: float | None
    mean_distance: float
    max_distance: float
    engine: str = ""
    second: "Agreement | None" = None
    refusal: str = ""
    decided: int = 0
    other_class: int = 0
    flipped: int = 0
    errors: tuple[float, ...] = ()
    error_of_numbers: float | None = None
    largest_change: float = 0.0
    output: str = ""
    others: tuple["Agreement", ...] = ()

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines that ran the file. The first one is compared with Keras."""
        return (self.engine, *(self.second.engines if self.second else ()))

    @property
    def relative_error(self) -> float:
        """The largest of the `errors`."""
        return float(np.max(self.errors)) if self.errors else 0.0

    @property
    def outputs(self) -> "tuple[Agreement, ...]":
        """How each output of the model compares: this one, and the `others`."""
        return (self, *self.others)

    def rows(self, inputs: str = "inputs") -> Iterator[tuple[str, str]]:
        """How far the outputs are from those of Keras, in words that a user can weigh.

        Args:
            inputs: What the inputs are called.
        """
        for agreement in self.outputs:
            if self.others:
                yield "output", agreement.output
            yield from agreement._rows(inputs)
        for second in self.second.outputs if self.second else ():
            of = f"{second.output}: " if self.others else ""
            text = f"off from the first by {second.relative_error:.2g} of what it varies by"
            if second.same_class is not None:
                text = (
                    f"same class as the first on {second.same_class:.2%}, logits "
                    f"{second.mean_distance:.2g} apart on average, {second.max_distance:.2g} at "
                    "most"
                )
            yield "second engine", of + text
        yield "run in", ", ".join(self.engines)
        if self.refusal:
            yield "not run in", self.refusal

    def _rows(self, inputs: str) -> Iterator[tuple[str, str]]:
        """How far this output is from that of Keras."""
        if self.same_class is not None:
            same = f"{self.same_class:.2%} of {self.images} {inputs}"
            if self.other_class:
                same += f"; {self.other_class} others are more than a near tie"
            elif self.same_class < 1:
                same += "; the others are near ties"
            yield "same class as Keras", same
        if self.error_of_numbers is None:
            yield (
                "distance from Keras",
                f"outputs up to {self.largest_change:.2g} apart; logits "
                f"{self.mean_distance:.2g} on average, {self.max_distance:.2g} at most, "
                f"{self.relative_error:.2g} of what they vary by",
            )
        else:
            worst = ""
            if len(self.errors) > 1:
                worst = f", for number {int(np.argmax(self.errors))} the most"
            yield (
                "error against Keras",
                f"{self.relative_error:.2g} of what a number varies by over {self.images} "
                f"{inputs}, root mean square{worst}; {self.mean_distance:.2g} on average, "
                f"{self.max_distance:.2g} at most",
            )
            if 1 < len(self.errors) <= _MOST_NUMBERS:
                errors = ", ".join(f"{error:.2g}" for error in self.errors)
                yield "error of each number", f"{errors} of what it varies by"
        if self.flipped:
            yield (
                "signs at a tie",
                f"fell the other way and changed the outputs of {self.flipped} of {self.images} "
                "inputs",
            )

    def __str__(self) -> str:
        return table(self.rows())
