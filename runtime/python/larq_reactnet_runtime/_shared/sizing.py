# The original is in larq_reactnet/_shared of larq-reactnet. `make copies` copies it, as it is, to
# runtime/python/larq_reactnet_runtime/_shared: change the original, and then make the copies.
"""Shapes of inputs that may have any size, such as those of images, and inputs to time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["fits", "random_inputs", "shown", "sized"]


def fits(shape: Sequence[int], signature: Sequence[int]) -> bool:
    """Whether a shape is one of a signature, in which -1 stands for any size above zero."""
    return len(shape) == len(signature) and all(
        size == wanted or wanted < 0 < size for size, wanted in zip(shape, signature)
    )


def shown(signature: Sequence[int]) -> str:
    """A signature for people: `any, any, 3`."""
    return ", ".join("any" if size < 0 else str(size) for size in signature)


def sized(signature: Sequence[int], size: Sequence[int] | None) -> tuple[int, ...]:
    """A shape of a signature: `size` is put in for what may be any, in this order.

    Args:
        signature: Sizes without that of the batch; -1 stands for any.
        size: Such as height and width. None for a signature in which all sizes are known.

    Raises:
        ValueError: If it has not as many sizes as may be any, or one that is not above zero.
    """
    count = sum(one < 0 for one in signature)
    if size is None and count:
        raise ValueError(
            f"The .tflite takes inputs of shape ({shown(signature)}): give `size` (--size), such "
            f"as {','.join(['224'] * count)}."
        )
    left = [*(size or ())]
    if len(left) != count or any(one < 1 for one in left):
        raise ValueError(
            f"The .tflite takes inputs of shape ({shown(signature)}), and `size` (--size) is "
            f"{','.join(map(str, left))}: "
            + (f"give {count} numbers above zero." if count else "leave it out.")
        )
    return tuple(left.pop(0) if one < 0 else one for one in signature)


def random_inputs(
    shapes: Sequence[Sequence[int]],
    signatures: Sequence[Sequence[int]],
    types: Sequence[Any],
    size: Sequence[int] | None,
) -> list[np.ndarray]:
    """An array of random numbers for each input of a model, always the same.

    Args:
        shapes: Shapes in the file, of which the batch is taken.
        signatures: The same with -1 for what may be of any size.
        types: NumPy types.
        size: See `sized`.

    Raises:
        ValueError: See `sized`.
    """
    rng = np.random.default_rng(0)
    rows = [signature[1:] for signature in signatures]
    if size is not None and not any(-1 in row for row in rows):
        sized(rows[0], size)  # says that it is of no use
    arrays = []
    for shape, row, kind in zip(shapes, rows, types):
        whole = (*shape[:1], *sized(row, size if -1 in row else None))
        is_float = np.dtype(kind).kind == "f"
        values = rng.standard_normal(whole) if is_float else rng.integers(0, 128, whole)
        arrays.append(np.asarray(values).astype(kind))
    return arrays
