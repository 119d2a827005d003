"""Whether a file computes on this machine what it computed where it was exported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from larq_reactnet_runtime._shared.model import File
from larq_reactnet_runtime._shared.proofs import Difference, differences, read_proof
from larq_reactnet_runtime.interpreter import Interpreter

__all__ = ["Verdict", "verify"]

TOLERANCE = 0.01  # relative: float32 is rounded in another way on each processor


@dataclass(frozen=True)
class Verdict:
    """How far the outputs are from those of the machine that exported the file.

    Attributes:
        differences: For each output, how far it is off.
        tolerance: How far it may be off, relative to its largest number.
        inputs: Number of inputs that were run.
        there: What computed the stored outputs.
        here: What ran the file here.
    """

    differences: tuple[Difference, ...]
    tolerance: float
    inputs: int
    there: str
    here: str

    @property
    def is_equal(self) -> bool:
        """Whether no output is farther off than the tolerance."""
        return all(found.relative <= self.tolerance for found in self.differences)


def verify(
    model: File,
    proof: str | Path | None = None,
    *,
    num_threads: int = 1,
    isa: str | None = None,
    tolerance: float = TOLERANCE,
) -> Verdict:
    """Run the inputs that `larq-reactnet export --proof` put into a file, or beside it.

    Args:
        model: Path or content of the file.
        proof: The file with the inputs and outputs, if it is not in its place.
        num_threads: See `Interpreter`.
        isa: See `Interpreter`.
        tolerance: How far an output may be off, relative to its largest number.

    Raises:
        ValueError: If the file has no proof, or one of them is corrupt.
        RuntimeError: If the file does not run here.
        OSError: If there is no such file.
        ImportError: If no TensorFlow Lite interpreter is installed.
    """
    if not tolerance >= 0:
        raise ValueError(f"`tolerance` must be at least 0, got {tolerance}.")
    stored = read_proof(model, proof)
    interpreter = Interpreter(model, num_threads=num_threads, isa=isa)
    outputs = interpreter.predict([*stored.inputs], dequantize=True)
    found = differences(stored, outputs if isinstance(outputs, list) else [outputs])
    return Verdict(
        tuple(found), tolerance, len(stored.inputs[0]), stored.engine, interpreter.engine
    )
