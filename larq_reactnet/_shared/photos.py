# The original is in larq_reactnet/_shared of larq-reactnet. `make copies` copies it, as it is, to
# runtime/python/larq_reactnet_runtime/_shared: change the original, and then make the copies.
"""How a photo becomes the input of a network, step by step. Needs Pillow."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["crop", "decode", "normalize", "prepare", "resize"]

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "WEBP")
# Large photos are first averaged down to this many times the wanted size, for speed.
GAP = 4


def prepare(
    path: str | Path,
    shape: tuple[int, ...],
    mean: Sequence[float] = (0.0,),
    std: Sequence[float] = (1.0,),
) -> np.ndarray:
    """A photo as the input of a network: decoded, cropped, resized and normalized.

    Args:
        path: A JPEG, PNG, GIF, BMP or WebP file; of an animation, the first frame counts.
        shape: Height, width and channels of the input. Three channels are red, green and blue, and
            a single one is grey.
        mean: What to subtract from the pixels, which are from 0 to 255: a number for each channel,
            or one for all.
        std: What to divide them by after that, likewise.

    Returns:
        float32 array of shape `shape`.

    Raises:
        ValueError: If the photo cannot be read.
        OSError: If there is no such photo.
        ImportError: If Pillow is not installed.
    """
    height, width, channels = shape
    image = decode(path, channels)
    image = crop(image, height, width)
    pixels = resize(image, height, width)
    return normalize(pixels, mean, std)


def decode(path: str | Path, channels: int) -> Image.Image:
    """The photo in a file: upright as its EXIF data say, of 8 bits, in color or in grey.

    Transparency is ignored.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise ImportError(
            "Reading photos needs Pillow: pip install pillow, or 'larq-reactnet-runtime[image]'."
        ) from error
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    if not path.is_file():
        raise OSError(f"{path} is not an ordinary file.")
    content = path.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about EXIF data, for example
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(content), formats=FORMATS) as file:
                image = _eight_bits(ImageOps.exif_transpose(file))
            return image.convert("RGB" if channels == 3 else "L")
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is not a JPEG, PNG, GIF, BMP or WebP image.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(
            f"{path} has more than {Image.MAX_IMAGE_PIXELS:,} pixels: make it smaller first."
        ) from error
    except Exception as error:  # the reader of a corrupt image may raise anything
        raise ValueError(f"{path} is truncated or corrupt: {error}.") from error


def crop(image: Image.Image, height: int, width: int) -> Image.Image:
    """The largest part around the center that has the aspect of `height` and `width`."""
    scale = min(image.width / width, image.height / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (image.width - size[0]) // 2, (image.height - size[1]) // 2
    return image.crop((left, top, left + size[0], top + size[1]))


def resize(image: Image.Image, height: int, width: int) -> np.ndarray:
    """The image as float32 pixels from 0 to 255, of shape `(height, width, channels)`.

    Where it gets smaller, each pixel is an average of all that it stands for, weighted by a
    triangle: bilinear with antialiasing.
    """
    from PIL import Image

    factor = int(min(image.width / width, image.height / height) / GAP)
    if factor > 1:
        image = image.reduce(factor)
    # Pillow resizes float32 as `tf.image.resize` does with antialiasing; bytes, it would round.
    planes = [
        Image.fromarray(np.asarray(plane, np.float32)).resize(
            (width, height), Image.Resampling.BILINEAR
        )
        for plane in image.split()
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def normalize(pixels: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """`(pixels - mean) / std` in float32."""
    return (pixels - np.array(mean, np.float32)) / np.array(std, np.float32)


def _eight_bits(image: Image.Image) -> Image.Image:
    """The image with values up to 255, of which `convert` would cut off larger ones."""
    from PIL import Image

    if image.mode == "I" or image.mode.startswith("I;16"):  # grey PNG files of 16 bits
        return Image.fromarray((np.asarray(image).astype(np.int32) >> 8).astype(np.uint8))
    return image
