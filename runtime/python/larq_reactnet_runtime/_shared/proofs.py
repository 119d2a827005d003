# The original is in larq_reactnet/_shared of larq-reactnet. `make copies` copies it, as it is, to
# runtime/python/larq_reactnet_runtime/_shared: change the original, and then make the copies.
"""A few inputs with their outputs that go along with a `.tflite`, to run it by on another machine.

They are an `.npz` of NumPy in a buffer of the model, under a name of ours, or in a file beside it,
`model.proof.npz` of `model.tflite`. Inputs of floats are 8 bits for each number, which is
`lowest + step * bits`; the outputs are those for just these inputs.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .model import File, content_of, read

__all__ = ["Difference", "Proof", "differences", "path_beside", "read_proof", "rounded", "write"]

LARGEST = 2**28  # bytes of all arrays
_STEPS = 255


@dataclass(frozen=True)
class Proof:
    """Inputs, and what a file gives for them.

    Attributes:
        inputs: An array for each input, of its type and with a batch.
        outputs: An array for each output.
        engine: What computed the outputs.
    """

    inputs: tuple[np.ndarray, ...]
    outputs: tuple[np.ndarray, ...]
    engine: str


@dataclass(frozen=True)
class Difference:
    r"""How far an output is off.

    Attributes:
        largest: The largest distance of a number from the stored one, $\max |y - \hat{y}|$.
        relative: The same divided by the largest stored number, $\max |\hat{y}|$.
        same: In how many rows the largest number is at the same place.
        rows: Number of rows.
    """

    largest: float
    relative: float
    same: int
    rows: int


def path_beside(model: str | Path) -> Path:
    """Where the proof of a `.tflite` is, if it is not inside."""
    return Path(model).with_suffix(".proof.npz")


def rounded(array: np.ndarray) -> np.ndarray:
    """An input as it can be stored: floats of 256 different values, other types as they are."""
    lowest, step, bits = _coded(array)
    return array if bits is None else _decoded(lowest, step, bits, array.dtype)


def write(proof: Proof) -> bytes:
    """The `.npz` of a proof."""
    arrays: dict[str, Any] = {"engine": np.frombuffer(proof.engine.encode(), np.uint8)}
    for number, array in enumerate(proof.inputs):
        lowest, step, bits = _coded(array)
        if bits is None or not np.array_equal(_decoded(lowest, step, bits, array.dtype), array):
            arrays[f"input_{number}"] = array
        else:
            arrays |= {f"bits_{number}": bits, f"scale_{number}": np.array([lowest, step])}
    arrays |= {f"output_{number}": array for number, array in enumerate(proof.outputs)}
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def read_proof(model: File, beside: str | Path | None = None) -> Proof:
    """The proof in a `.tflite`, or in the file beside it.

    Args:
        model: The `.tflite`: the path of a file, or its content.
        beside: The file with the proof. By default it is `model.proof.npz` of `model.tflite`, if
            there is none inside.

    Raises:
        ValueError: If there is none, or it is corrupt or does not fit the model.
        OSError: If `beside` is not there.
    """
    content = content_of(model)
    found = read(content)
    stored = found.proof
    if beside is None and stored is None and not isinstance(model, (bytes, bytearray, memoryview)):
        place = path_beside(os.fspath(model))
        beside = place if place.is_file() else None
    if beside is not None:
        stored = Path(beside).read_bytes()
    if stored is None:
        raise ValueError(
            "There is no proof in the .tflite and none beside it: export it with `proof=4` "
            "(--proof 4)."
        )
    try:
        proof = _read(stored)
    except Exception as error:  # the reader of a corrupt archive may raise anything
        reason = str(error).rstrip(".") or type(error).__name__
        raise ValueError(f"The proof of the .tflite is corrupt: {reason}.") from error
    for arrays, tensors in ((proof.inputs, found.inputs), (proof.outputs, found.outputs)):
        if len(arrays) != len(tensors):
            raise ValueError("The proof is that of another .tflite: export it again.")
    return proof


def differences(proof: Proof, outputs: Sequence[np.ndarray]) -> list[Difference]:
    """How far each of the outputs is from the stored one.

    Raises:
        ValueError: If they have other shapes, or are not finite.
    """
    found = []
    for wanted, given in zip(proof.outputs, outputs):
        if wanted.shape != given.shape:
            raise ValueError(
                f"The .tflite gives an output of shape {given.shape}, and its proof has one of "
                f"{wanted.shape}: export it again."
            )
        ours, theirs = given.astype(np.float64), wanted.astype(np.float64)
        if not np.isfinite(ours).all():
            raise ValueError("The .tflite gives NaN or infinite values.")
        largest = float(np.abs(ours - theirs).max(initial=0.0))
        scale = float(np.abs(theirs).max(initial=0.0)) or 1.0
        rows = [array.reshape(len(array), -1).argmax(-1) for array in (ours, theirs)]
        same = int((rows[0] == rows[1]).sum())
        found.append(Difference(largest, largest / scale, same, len(ours)))
    return found


def _coded(array: np.ndarray) -> tuple[float, float, np.ndarray | None]:
    """The lowest number, the step and the bits of an array of floats; no bits of other types."""
    if array.dtype.kind != "f" or not array.size:
        return 0.0, 0.0, None
    lowest, highest = float(array.min()), float(array.max())
    # A power of two, so that a part of the rows, which may have a smaller step, stays as it is.
    step = 2.0 ** math.ceil(math.log2(max(highest - lowest, 1e-30) / (_STEPS - 1)))
    lowest = step * math.floor(lowest / step)
    return lowest, step, np.rint((array.astype(np.float64) - lowest) / step).astype(np.uint8)


def _decoded(lowest: float, step: float, bits: np.ndarray, dtype: Any) -> np.ndarray:
    return (lowest + step * bits.astype(np.float64)).astype(dtype)


def _read(stored: bytes) -> Proof:
    with zipfile.ZipFile(io.BytesIO(stored)) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > LARGEST:
        raise ValueError(f"it has {size:,} bytes (at most {LARGEST:,})")
    with np.load(io.BytesIO(stored), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    inputs: list[np.ndarray] = []
    outputs: list[np.ndarray] = []
    while (name := f"input_{len(inputs)}") in arrays or f"bits_{len(inputs)}" in arrays:
        if name in arrays:
            inputs.append(arrays[name])
            continue
        lowest, step = map(float, arrays[f"scale_{len(inputs)}"])
        bits = arrays[f"bits_{len(inputs)}"]
        inputs.append(_decoded(lowest, step, bits, np.float32))
    while f"output_{len(outputs)}" in arrays:
        outputs.append(arrays[f"output_{len(outputs)}"])
    rows = {len(array) if array.ndim else 0 for array in (*inputs, *outputs)}
    if len(rows) != 1 or 0 in rows:
        raise ValueError("it has other numbers of inputs than of outputs")
    return Proof(tuple(inputs), tuple(outputs), arrays["engine"].tobytes().decode())
