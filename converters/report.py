"""What `export` has done, and how it was proved."""

from dataclasses import dataclass
from pathlib import Path

from larq_reactnet.converters._lce import BCONV2D
from larq_reactnet.converters.layerwise import Flips, LayerError
from larq_reactnet.converters.verifying import Agreement
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
        agreement: How the file compares with the Keras model, and in which engines it was run.
        verified_with: Where the inputs of the comparison came from.
        flips: How many signs differ in front of each binary convolution, on the first few inputs.
        storage: How the last dense layers are stored: `"int8"`, `"float16"` or `"float32"`.
        storage_reason: Why so.
        folding_error: Largest difference that curing and folding made to the outputs in float64,
            relative to the largest output; None if there was nothing to cure or fold.
        not_folded: Why nothing was folded, if it could not be.
        layers: Each binary convolution by itself, if `thorough=True` was given.
        left_in_float: What `check` found, if `allow_float=True` was given.
        cured: What `check` found and `cure` mended.
    """

    path: Path
    bytes: int
    float_bytes: int
    ops: Ops
    operators: dict[str, int]
    binary_convolutions: int
    agreement: Agreement
    verified_with: str
    flips: tuple[Flips, ...] = ()
    storage: str = "float32"
    storage_reason: str = ""
    folding_error: float | None = None
    not_folded: str = ""
    layers: tuple[LayerError, ...] = ()
    left_in_float: tuple[str, ...] = ()
    cured: tuple[str, ...] = ()

    def __str__(self) -> str:
        agreement = self.agreement
        became = self.operators.get(BCONV2D, 0)
        flipped = sum(layer.flipped for layer in self.flips)
        signs = sum(layer.signs for layer in self.flips)
        rows = {
            "file": str(self.path),
            "size": f"{self.bytes:,} bytes",
            "as float32": f"{self.float_bytes:,} bytes, {self.float_bytes / self.bytes:.1f} x",
            "dense layers": f"{self.storage}: {self.storage_reason}",
            "binary convolutions": f"{became} of {self.binary_convolutions} are LceBconv2d",
            "binary share of MACs": f"{self.ops.binary_share:.2%}",
            "same class as Keras": f"{agreement.same_class:.2%} of {agreement.images} "
            f"{self.verified_with}",
            "distance of logits": f"{agreement.mean_distance:.2g} on average, "
            f"{agreement.max_distance:.2g} at most",
            "proved equal in": ", ".join(agreement.engines),
        }
        if agreement.second is not None:
            rows["second engine"] = (
                f"same class as the first on {agreement.second.same_class:.2%}, logits "
                f"{agreement.second.mean_distance:.2g} apart on average, "
                f"{agreement.second.max_distance:.2g} at most"
            )
        if agreement.refusal:
            rows["not run in"] = agreement.refusal
        if signs:
            rows["flipped signs"] = f"{flipped:,} of {signs:,}, on the first few"
        if self.folding_error is not None:
            rows["folding, in float64"] = f"changes outputs by {self.folding_error:.1g}, relative"
        if self.not_folded:
            rows["not folded"] = self.not_folded
        if self.layers:
            worst = max(self.layers, key=lambda layer: layer.error / layer.tolerance)
            rows["layer by layer"] = (
                f"{len(self.layers)} binary convolutions equal; {worst.layer} within "
                f"{worst.error:.1g} of {worst.tolerance:.1g} allowed"
            )
        rows["operators"] = ", ".join(f"{name} {n}" for name, n in self.operators.items())
        lines = [f"{name:<21} {value}" for name, value in rows.items()]
        lines += [f"{'left in float':<21} {finding}" for finding in self.left_in_float]
        lines += [f"{'mended':<21} {finding}" for finding in self.cured]
        return "\n".join(lines)
