"""The report of `export`: what was written, and how it was proved."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from larq_reactnet._tables import Shown, table
from larq_reactnet.converters._lce import BCONV2D
from larq_reactnet.converters.agreement import Agreement
from larq_reactnet.converters.layerwise import Flips, LayerError
from larq_reactnet.converters.proving import Proof
from larq_reactnet.profiling import Ops

__all__ = ["Report"]


@dataclass(frozen=True, repr=False)
class Report(Shown):
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
        rebuilt: What had to be changed before anything else, such as the precision, or an empty
            string. The file is compared with the model that was built then.
        input_type: Type of the inputs of the file.
        proof_bytes: Size of the inputs and outputs that go along with the file; 0 without them.
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
    rebuilt: str = ""
    input_type: str = "float32"
    proof_bytes: int = 0
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
            *self._changes(),
            ("dense layers", f"{self.storage}: {self.storage_reason}"),
            ("binary convolutions", f"{became} of {self.binary_convolutions} are LceBconv2d"),
            ("binary share of MACs", f"{self.ops.binary_share:.2%}"),
            *self.proof.agreement.rows(self.verified_with),
            *self.proof.rows(),
            *self._folding(),
            ("operators", ", ".join(f"{name} {n}" for name, n in self.operators.items())),
            *(("left in float", finding) for finding in self.left_in_float),
            *(("cured", finding) for finding in self.cured),
        ]
        return table(rows)

    def _changes(self) -> Iterator[tuple[str, str]]:
        """In what the model of the file is another than the one that was given."""
        if self.rebuilt:
            yield "built again", f"{self.rebuilt}; that is what the file is compared with"
        if self.input_type != "float32":
            yield "takes", f"{self.input_type}, the bytes of a picture, and normalizes them itself"
        if self.proof_bytes:
            yield "for devices", f"{self.proof_bytes:,} bytes of inputs and outputs to verify with"

    def _folding(self) -> Iterator[tuple[str, str]]:
        """What curing and folding changed."""
        if self.folding_error is not None:
            error = f"{self.folding_error:.1g}"
            yield "folding, in float64", f"changes outputs by {error}, relative"
        if self.not_folded:
            yield "not folded", self.not_folded
