"""The proof that a `.tflite` computes its Keras model, which `export` asks for before it writes."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from larq_reactnet._tables import Shown, table
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters.agreement import Agreement
from larq_reactnet.converters.converting import ExportError
from larq_reactnet.converters.feeding import Inputs, listed
from larq_reactnet.converters.interpreter import engines
from larq_reactnet.converters.judging import is_close, magnitudes
from larq_reactnet.converters.layerwise import Flips, LayerError, count_flips, verify_layers
from larq_reactnet.converters.replaying import Replay, replay
from larq_reactnet.converters.tasks import Output, outputs_of
from larq_reactnet.converters.verifying import Runner, runner, verify

import numpy as np
import tensorflow as tf

__all__ = ["Proof", "prove", "refuse_unproved"]

_FEW = 8  # number of inputs for which signs are compared in float32
_FEWER = 2  # number of inputs that are run in float64


@dataclass(frozen=True, repr=False)
class Proof(Shown):
    """How a `.tflite` compares with the Keras model that it was made of, as a table.

    Attributes:
        agreement: How the outputs of the file compare with those of the Keras model, on all inputs.
        replays: For each engine, how its signs and outputs for a few inputs compare with the Keras
            model in float64.
        not_replayed: Why an engine is missing there, or an empty string.
        flips: How many signs differ from those of Keras in float32 in front of each binary
            convolution, on the first few inputs.
        layers: Each binary convolution by itself, if that was asked for.
    """

    agreement: Agreement
    replays: tuple[Replay, ...] = ()
    not_replayed: str = ""
    flips: tuple[Flips, ...] = ()
    layers: tuple[LayerError, ...] = ()

    def rows(self) -> Iterator[tuple[str, str]]:
        """What was proved, and in which engine; how the outputs compare is in `agreement`."""
        for found in self.replays:
            yield "proved equal", f"in {found.engine}: {found}"
        if self.not_replayed:
            yield "not replayed", self.not_replayed
        signs = sum(layer.signs for layer in self.flips)
        if signs:
            flipped = sum(layer.flipped for layer in self.flips)
            yield "flipped signs", f"{flipped:,} of {signs:,}, on the first few"
        if self.layers:
            worst = max(self.layers, key=lambda layer: layer.error / layer.tolerance)
            yield (
                "layer by layer",
                f"{len(self.layers)} binary convolutions equal; {worst.layer} within "
                f"{worst.error:.1g} of {worst.tolerance:.1g} allowed",
            )

    def __str__(self) -> str:
        return table([*self.agreement.rows(), *self.rows()])


def prove(
    model: tf.keras.Model,
    deployed: tf.keras.Model,
    flatbuffer: tflite.File,
    inputs: Inputs,
    *,
    task: str | Sequence[Output] = "auto",
    moved: np.ndarray | float | Sequence[np.ndarray] = 0.0,
    run: Runner | None = None,
    thorough: bool = False,
    progress: bool = True,
) -> Proof:
    """Compare a file with the Keras model that it was made of, in all engines that are installed.

    Args:
        model: The Keras model.
        deployed: The one that was converted: `model`, cured and folded.
        flatbuffer: The file, as its path or its content.
        inputs: Array of shape `(n, height, width, channels)`, or a list of arrays if the model has
            several inputs.
        task: What the outputs are: `"classify"`, `"regress"`, or `"auto"`, as in `export`; or how
            each output is judged.
        moved: How far scores move because weights are stored in a smaller type than float32: a
            number for each input, or one for all; or for each output of the model an array of its
            shape.
        run: Function that gives the outputs of the reference engine, if there is one that knows
            them already.
        thorough: Whether to compare each binary convolution by itself, too.
        progress: Whether to show progress bars.

    Raises:
        ValueError: If the two cannot be compared: an output is not finite, or has another shape.
    """
    content, inputs = tflite.content_of(flatbuffer), listed(inputs)
    run = run or runner(inputs, progress=progress)
    outputs = outputs_of(model, task) if isinstance(task, str) else tuple(task)
    agreement = verify(
        model, content, inputs, task=outputs, stored=moved, run=run, progress=progress
    )
    few, fewer = ([array[:count] for array in inputs] for count in (_FEW, _FEWER))
    offsets = moved if isinstance(moved, list | tuple) else [moved] * len(outputs)
    stored = [_largest(moved, output) for moved, output in zip(offsets, outputs, strict=True)]
    sizes = [
        magnitudes(output.scores(found), output)
        for output, found in zip(outputs, run(content), strict=True)
    ]
    replays: list[Replay] = []
    reason = ""
    names = engines()[-1:] if agreement.refusal else reversed(engines())
    for engine in names:  # LCE first, where it is installed
        try:
            replays.append(
                replay(
                    deployed,
                    content,
                    fewer,
                    engine=engine,
                    task=outputs,
                    stored=stored,
                    sizes=sizes,
                )
            )
        except ValueError as error:
            reason = str(error)
    return Proof(
        agreement=agreement,
        replays=tuple(replays),
        not_replayed=reason,
        flips=tuple(count_flips(deployed, content, few)),
        layers=tuple(verify_layers(deployed, content, fewer)) if thorough else (),
    )


def _largest(moved: np.ndarray | float, output: Output) -> np.ndarray | float:
    """How far the scores of any input move: one number for classes, else one for each number."""
    if not output.by_numbers or np.ndim(moved) < 2:
        return float(np.max(moved))
    return np.asarray(np.max(moved, axis=tuple(range(np.ndim(moved) - 1))))


def refuse_unproved(proof: Proof, min_agreement: float, inputs: str) -> None:
    """Raise an ExportError if the file is not equal to the model.

    Args:
        proof: What was compared.
        min_agreement: How well the outputs must agree, 0 to 1: see `judging.is_close`.
        inputs: What the message calls the inputs, such as "random inputs".
    """
    wrong = next((layer for layer in proof.layers if not layer.is_equal), None)
    if wrong is not None:
        raise ExportError(
            f"{wrong.layer} gives other outputs in the file, given the same bits: they differ by "
            f"{wrong.error:.3g}, and rounding explains {wrong.tolerance:.1g}. Nothing was written."
        )
    for found in proof.replays:
        if not found.is_equal:
            raise ExportError(
                f"The file does not compute the Keras model in {found.engine}: {found}. Nothing "
                "was written."
            )
    for agreement in proof.agreement.outputs:
        if not is_close(agreement, min_agreement):
            raise ExportError(
                f"{_disagreement(agreement, min_agreement, inputs)}; {_first_flip(proof.flips)}. "
                "Nothing was written. Verify with real inputs, and with a trained model."
            )
    for second in proof.agreement.second.outputs if proof.agreement.second else ():
        if not is_close(second, min_agreement):
            first = proof.agreement.engine
            raise ExportError(
                f"{_disagreement(second, min_agreement, inputs, first)}. Nothing was written."
            )


def _disagreement(agreement: Agreement, wanted: float, inputs: str, first: str = "") -> str:
    """A clause that says how the file differs, from the Keras model or from itself in `first`."""
    error = agreement.error_of_numbers
    if error is not None and not error**2 <= (1 - wanted) * (1 + 1e-9):
        among = f" {agreement.output!r}" if agreement.output else ""
        subject = "The converted model gives other numbers than the Keras model"
        if first:
            subject = f"The file gives other numbers in {agreement.engine} than in {first}"
        return (
            f"{subject}: those of the output{among} are off by {error:.2g} of what they vary by, "
            f"over {agreement.images} {inputs} (at most {math.sqrt(1 - wanted):.2g} is wanted, for "
            f"a `min_agreement` of {wanted:.2%}), and by {agreement.largest_change:.3g} at most"
        )
    subject = "The converted model gives the same class as the Keras model"
    if first:
        subject = f"The file gets the same class in {agreement.engine} as in {first}"
    return (
        f"{subject} on only {agreement.same_class:.2%} of {agreement.images} {inputs} (at least "
        f"{wanted:.2%} wanted), with logits up to {agreement.max_distance:.3g} apart"
    )


def _first_flip(flips: Sequence[Flips]) -> str:
    """A clause that names the first layer whose signs differ."""
    first = next((layer for layer in flips if layer.flipped), None)
    if first is None:
        return "no sign differs in front of any binary convolution"
    return (
        f"the first layer whose signs differ is {first.layer}, {first.flipped:,} of {first.signs:,}"
    )
