# The original is in larq_reactnet/_shared of larq-reactnet. `make copies` copies it, as it is, to
# runtime/python/larq_reactnet_runtime/_shared: change the original, and then make the copies.
"""Numbers as the integers of a quantized tensor, and back.

The integer `q` of a tensor stands for the number `scale * (q - zero_point)`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["as_taken", "dequantize", "finite", "quantize"]


def quantize(values: np.ndarray, dtype: Any, scale: float, zero_point: int) -> np.ndarray:
    r"""The nearest integers, $\mathrm{clip}(\mathrm{round}(x / s) + z)$; ties go to even ones.

    Args:
        values: Numbers $x$, of any shape.
        dtype: The integer type, whose range clips them.
        scale: The scale $s$.
        zero_point: The zero point $z$.

    Returns:
        Array of this type, of the same shape.
    """
    limits = np.iinfo(dtype)
    integers = np.rint(np.asarray(values, np.float64) / scale) + zero_point
    return np.asarray(integers.clip(limits.min, limits.max).astype(dtype))


def dequantize(integers: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    r"""The numbers that the integers of a quantized tensor stand for: $s\,(q - z)$, in float32."""
    wide = integers.astype(np.int64) - zero_point
    return np.asarray((wide * np.float64(scale)).astype(np.float32))


def finite(array: np.ndarray) -> np.ndarray:
    """`array`, if its numbers are finite.

    Raises:
        ValueError: If they are not.
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError("`x` holds NaN or infinite values.")
    return array


def as_taken(
    array: Any, dtype: Any, scale: float | None = None, zero_point: int = 0, shape: str = ""
) -> np.ndarray:
    """What an interpreter takes for `array`: the same array if it is of its type.

    Args:
        array: A NumPy array of type `dtype`, which stays as it is; or of floats, if the input is
            quantized.
        dtype: Type of the input.
        scale: With `zero_point`, how the input is quantized; None if it is not.
        zero_point: See `scale`.
        shape: What an error says of the shape, such as `" of shape (n, 8, 8, 3)"`.

    Raises:
        ValueError: If it is an array of another type, or holds floats that no integer stands for.
    """
    if not isinstance(array, np.ndarray):
        raise ValueError(f"`x` must be a NumPy array, got {type(array).__name__}.")
    wanted = np.dtype(dtype)
    if array.dtype == wanted:
        return array
    name = wanted.name
    if scale is not None and wanted.kind in "iu":
        if array.dtype.kind == "f":
            return quantize(finite(array), wanted, scale, zero_point)
        name = f"float32 or {name}"
    how = ", and normalize as the model wants it" if wanted == np.float32 else ""
    raise ValueError(
        f"`x` must be {name}{shape}, got {array.dtype.name}: use .astype(numpy.{wanted.name}){how}."
    )
