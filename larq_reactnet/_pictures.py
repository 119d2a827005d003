"""Pictures that are part of the page: PNG files in the form of an address."""

import base64
import io

import numpy as np
from PIL import Image

__all__ = ["address", "heat"]

_COLOR = (24, 160, 142)  # is seen on white and on black
_LARGEST = 160  # pixels of a side of a photo


def address(pixels: np.ndarray) -> str:
    """The address of a picture with these pixels, `(height, width, 3 or 4)`, uint8."""
    image = Image.fromarray(pixels)
    image.thumbnail((_LARGEST, _LARGEST)) if pixels.shape[-1] == 3 else None
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def heat(values: np.ndarray) -> str:
    """The address of a picture of one color, which is the denser the larger a value is.

    Args:
        values: `(rows, columns)`, not negative; NaN for nothing. Each column is divided by its
            largest value, so that its form is seen.
    """
    values = np.nan_to_num(values, nan=0.0)
    shares = np.sqrt(values / np.maximum(values.max(axis=0, keepdims=True), 1e-12))
    pixels = np.empty((*values.shape, 4), np.uint8)
    pixels[..., :3] = _COLOR
    pixels[..., 3] = np.round(255 * shares)
    return address(pixels)
