"""The report of `export`: what was written, and how it was proved."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from larq_reactnet.converters._lce import BCONV2D
from larq_reactnet.converters.judging import Agreement
from larq_reactnet.converters.layerwise import Flips, LayerError
from larq_reactnet.converters.proving import Proof
from larq_reactnet.profiling import Ops

__all__ = ["Report"]


@dataclass(frozen=True)
class Report:
    """What `export` wrote; printing it gives a table.

    Attributes:
        path: The file.
        bytes: Its size.
        float_bytes: Size of all weights as float32.
        ops: Operations of one inference.
        operators: How often each operator occurs in the file.
        binary_convolutions: Number of binary convolutions in the Keras model as it was converted:
            cured and folded. `operators` says how many `LceBconv2d` are in the file.
        proof: How the file compares with the Keras model, in each engine.
        verified_with: Where the inputs of the comparison came from.
        storage: How the last dense layers are stored: `"int8"`, `"float16"` or `"float32"`.
        storage_reason: Why they are stored like this.
        folding_error: Largest difference that curing and folding made to the outputs in float64,
            relative to the largest output; None if there was nothing to cure or fold.
        not_folded: Why nothing could be folded, or an empty string.
        left_in_float: What `check` found, if `allow_float=True` was given.
        cured: What `check` found and `cure` cured.
    """

    path: Path
    bytes: int
    float_bytes: int
    ops: Ops
    operators: dict[str, int]
    binary_convolutions: int
    proof: Proof
    verified_with: str
    storage: str = "float32"
    storage_reason: str = ""
    folding_error: float | None = None
    not_folded: str = ""
    left_in_float: tuple[str, ...] = ()
    cured: tuple[str, ...] = ()

    @property
    def agreement(self) -> Agreement:
        """How the outputs of the file compare with those of the Keras model, on all inputs."""
        return self.proof.agreement

    @property
    def flips(self) -> tuple[Flips, ...]:
        """How many signs differ in front of each binary convolution, on the first few inputs."""
        return self.proof.flips

    @property
    def layers(self) -> tuple[LayerError, ...]:
        """Each binary convolution by itself, if `thorough=True` was given."""
        return self.proof.layers

    def __str__(self) -> str:
        became = self.operators.get(BCONV2D, 0)
        rows = [
            ("file", str(self.path)),
            ("size", f"{self.bytes:,} bytes"),
            ("as float32", f"{self.float_bytes:,} bytes, {self.float_bytes / self.bytes:.1f} x"),
            ("dense layers", f"{self.storage}: {self.storage_reason}"),
            ("binary convolutions", f"{became} of {self.binary_convolutions} are LceBconv2d"),
            ("binary share of MACs", f"{self.ops.binary_share:.2%}"),
            *self._outputs(),
            *self._proofs(),
            ("operators", ", ".join(f"{name} {n}" for name, n in self.operators.items())),
            *(("left in float", finding) for finding in self.left_in_float),
            *(("cured", finding) for finding in self.cured),
        ]
        return "\n".join(f"{name:<21} {value}" for name, value in rows)

    def _outputs(self) -> Iterator[tuple[str, str]]:
        """How far the outputs are from those of Keras, in words that a user can weigh."""
        agreement = self.agreement
        same = f"{agreement.same_class:.2%} of {agreement.images} {self.verified_with}"
        if agreement.other_class:
            same += f"; {agreement.other_class} others are more than a near tie"
        elif agreement.same_class < 1:
            same += "; the others are near ties"
        yield "same class as Keras", same
        yield (
            "distance from Keras",
            f"outputs up to {agreement.largest_change:.2g} apart; logits "
            f"{agreement.mean_distance:.2g} on average, {agreement.max_distance:.2g} at most, "
            f"{agreement.relative_error:.2g} of what they vary by",
        )
        if agreement.flipped:
            yield (
                "signs at a tie",
                f"fell the other way and changed the outputs of {agreement.flipped} of "
                f"{agreement.images} inputs",
            )
        second = agreement.second
        if second is not None:
            yield (
                "second engine",
                f"same class as the first on {second.same_class:.2%}, logits "
                f"{second.mean_distance:.2g} apart on average, {second.max_distance:.2g} at most",
            )

    def _proofs(self) -> Iterator[tuple[str, str]]:
        """What was proved, and in which engine."""
        yield "run in", ", ".join(self.agreement.engines)
        if self.agreement.refusal:
            yield "not run in", self.agreement.refusal
        for replay in self.proof.replays:
            yield "proved equal", f"in {replay.engine}: {replay}"
        if self.proof.not_replayed:
            yield "not replayed", self.proof.not_replayed
        signs = sum(layer.signs for layer in self.flips)
        if signs:
            flipped = sum(layer.flipped for layer in self.flips)
            yield "flipped signs", f"{flipped:,} of {signs:,}, on the first few"
        if self.folding_error is not None:
            error = f"{self.folding_error:.1g}"
            yield "folding, in float64", f"changes outputs by {error}, relative"
        if self.not_folded:
            yield "not folded", self.not_folded
        if self.layers:
            worst = max(self.layers, key=lambda layer: layer.error / layer.tolerance)
            yield (
                "layer by layer",
                f"{len(self.layers)} binary convolutions equal; {worst.layer} within "
                f"{worst.error:.1g} of {worst.tolerance:.1g} allowed",
            )
