"""Chooses how the last dense layers are stored: in the smallest type that the outputs allow.

What a smaller type does to the outputs is measured: the file runs with float32 weights and with
smaller ones, in the same engine on the same inputs. The layers come after the last sign, so nothing
but the rounding of their weights can make a difference. This is judged output by output, and not by
how many inputs get the same class: a difference is small if it is small compared with how much the
output varies over the inputs.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from larq_reactnet.converters.compressing import STORAGES, compress
from larq_reactnet.converters.judging import relative_errors
from larq_reactnet.converters.tasks import Output
from larq_reactnet.converters.verifying import Runner

import numpy as np

__all__ = ["Stored", "store_heads"]

LARGEST_ERROR = 0.02  # root mean square, as a share of the standard deviation of an output
WORTH = 0.05  # int8 must make the file smaller by this share to be preferred to float16


class Stored(NamedTuple):
    """A file with its last dense layers stored in some way.

    Attributes:
        storage: `"int8"`, `"float16"` or `"float32"`.
        reason: Why it was chosen.
        content: The file.
        moved: For each output of the model, how far its numbers are from those with float32
            weights, or its logits if it ends in the softmax of a classifier.
    """

    storage: str
    reason: str
    content: bytes
    moved: tuple[np.ndarray, ...]


def store_heads(
    flatbuffer: bytes,
    run: Runner,
    finished: Callable[[bytes], bytes] = bytes,
    *,
    outputs: Sequence[Output],
    storage: str | None = None,
) -> Stored:
    """Store the last dense layers of a file in a smaller type.

    Args:
        flatbuffer: The file, with float32 weights.
        run: Function from the content of a file to its outputs for real inputs.
        finished: Function that is applied to the content before it runs and is written, such as one
            that adds metadata.
        outputs: What each output of the model is.
        storage: The type. `None` chooses the smallest that is exact enough: int8 if it gives a file
            at least 5 % smaller than float16 does, else float16, else float32.

    Raises:
        ValueError: If the file is corrupt, `storage` is unknown, or cannot hold a weight.
    """
    plain = run(finished(flatbuffer))

    def judged(content: bytes, storage: str, reason: str) -> tuple[Stored, float]:
        content = finished(content)
        moved, errors = [], []
        for output, found, exact in zip(outputs, run(content), plain, strict=True):
            ours, theirs = output.scores(found), output.scores(exact)
            moved.append(np.abs(ours - theirs))
            errors.append(np.max(relative_errors(ours, theirs)))
        return Stored(storage, reason, content, tuple(moved)), float(np.max(errors))

    if storage is not None:
        content = compress(flatbuffer, storage)
        if content == flatbuffer and storage != "float32":
            storage = "float32"
            return judged(content, storage, "there are none to compress")[0]
        return judged(content, storage, "as asked for")[0]
    candidates, reasons = _candidates(flatbuffer)
    for storage, content in candidates.items():
        found, error = judged(content, storage, "")
        if error <= LARGEST_ERROR:
            saved = 1 - len(content) / len(flatbuffer)
            why = f"saves {saved:.0%} of the file, moves outputs by {error:.2g} of their spread"
            return found._replace(reason="; ".join([why, *reasons]))
        reasons.append(f"{storage} would move outputs by {error:.2g} of their spread")
    return judged(flatbuffer, "float32", "; ".join(reasons))[0]


def _candidates(flatbuffer: bytes) -> tuple[dict[str, bytes], list[str]]:
    """The files that are worth trying, the smallest first, and why others are not."""
    files, reasons = {}, []
    for storage in STORAGES[:-1]:
        try:
            files[storage] = compress(flatbuffer, storage)
        except ValueError as error:  # a weight is too large for it
            reasons.append(f"not {storage}: {error}")
    if all(content == flatbuffer for content in files.values()):
        return {}, reasons or ["there are none to compress"]
    sizes = {storage: len(content) for storage, content in files.items()}
    if len(sizes) == 2 and sizes["int8"] > (1 - WORTH) * sizes["float16"]:
        saved = 1 - sizes["int8"] / sizes["float16"]
        del files["int8"]
        reasons.append(f"int8 would save {saved:.1%} more")
    return files, reasons
