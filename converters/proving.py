"""The proof that a `.tflite` computes its Keras model, which `export` asks for before it writes."""

from collections.abc import Sequence
from dataclasses import dataclass

from larq_reactnet.converters.converting import ExportError
from larq_reactnet.converters.interpreter import engines
from larq_reactnet.converters.judging import Agreement, is_more_than_chance
from larq_reactnet.converters.layerwise import Flips, LayerError, count_flips, verify_layers
from larq_reactnet.converters.replaying import Replay, replay
from larq_reactnet.converters.verifying import Runner, verify

import numpy as np
import tensorflow as tf

__all__ = ["Proof", "prove", "refuse_unproved"]

_FEW = 8  # number of inputs for which signs are compared in float32
_FEWER = 2  # number of inputs that are run in float64


@dataclass(frozen=True)
class Proof:
    """How a `.tflite` compares with the Keras model that it was made of.

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


def prove(
    model: tf.keras.Model,
    deployed: tf.keras.Model,
    flatbuffer: bytes,
    inputs: np.ndarray,
    *,
    moved: np.ndarray | float = 0.0,
    run: Runner | None = None,
    thorough: bool = False,
    progress: bool = True,
) -> Proof:
    """Compare a file with the Keras model that it was made of, in all engines that are installed.

    Args:
        model: The Keras model.
        deployed: The one that was converted: `model`, cured and folded.
        flatbuffer: The file.
        inputs: Array of shape `(n, height, width, channels)`.
        moved: How far the logits of each input move because weights are stored in a smaller type
            than float32.
        run: Function that gives the outputs of the reference engine, if there is one that knows
            them already.
        thorough: Whether to compare each binary convolution by itself, too.
        progress: Whether to show progress bars.

    Raises:
        ValueError: If the two cannot be compared: an output is not finite, or has another shape.
    """
    agreement = verify(model, flatbuffer, inputs, stored=moved, run=run, progress=progress)
    replays: list[Replay] = []
    reason = ""
    names = engines()[-1:] if agreement.refusal else reversed(engines())
    for engine in names:  # LCE first, where it is installed
        try:
            few = inputs[:_FEWER]
            stored = float(np.max(moved))
            replays.append(replay(deployed, flatbuffer, few, engine=engine, stored=stored))
        except ValueError as error:
            reason = str(error)
    return Proof(
        agreement=agreement,
        replays=tuple(replays),
        not_replayed=reason,
        flips=tuple(count_flips(deployed, flatbuffer, inputs[:_FEW])),
        layers=tuple(verify_layers(deployed, flatbuffer, inputs[:_FEWER])) if thorough else (),
    )


def refuse_unproved(proof: Proof, min_agreement: float, inputs: str) -> None:
    """Raise an ExportError if the file is not equal to the model.

    Args:
        proof: What was compared.
        min_agreement: Share of inputs that must get the same class, 0 to 1.
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
    agreement, allowed = proof.agreement, 1 - min_agreement
    if is_more_than_chance(agreement.other_class, agreement.decided, allowed):
        raise ExportError(
            f"The converted model gives the same class as the Keras model on only "
            f"{agreement.same_class:.2%} of {agreement.images} {inputs} (at least "
            f"{min_agreement:.2%} wanted), with logits up to {agreement.max_distance:.3g} apart; "
            f"{_first_flip(proof.flips)}. Nothing was written. Verify with real inputs, and with a "
            "trained model."
        )
    second = agreement.second
    if second and is_more_than_chance(second.other_class, second.decided, allowed):
        raise ExportError(
            f"The file gets the same class in {second.engine} as in {agreement.engine} on only "
            f"{second.same_class:.2%} of {second.images} {inputs} (at least "
            f"{min_agreement:.2%} wanted), with logits up to {second.max_distance:.3g} apart. "
            "Nothing was written."
        )


def _first_flip(flips: Sequence[Flips]) -> str:
    """A clause that names the first layer whose signs differ."""
    first = next((layer for layer in flips if layer.flipped), None)
    if first is None:
        return "no sign differs in front of any binary convolution"
    return (
        f"the first layer whose signs differ is {first.layer}, {first.flipped:,} of {first.signs:,}"
    )
