"""Crops straight from encoded images: of a JPEG file, only the part that is wanted is decoded.

The window is chosen from the size in the header of a file, then TensorFlow decodes a JPEG file from
there ("fused decode and crop"). Two things make its pixels those of Pillow, bit for bit: the
accurate integer transformation, which is Pillow's default and not TensorFlow's, and a margin around
the window, because libjpeg interpolates colors differently at the borders of what it decodes.
A test compares both for all ways in which colors are subsampled.

Pillow decodes all others, and then they are cropped: files of other formats, JPEG files that are to
be turned (EXIF) or have four channels (CMYK), those that TensorFlow refuses, and small ones, for
which that is faster.
"""

from io import BytesIO
from pathlib import Path
from typing import TypeAlias

from larq_reactnet._shared import photos
from larq_reactnet.zoo.datasets.pixels import window

import numpy as np
import tensorflow as tf
from PIL import Image

__all__ = ["crop_of", "random_crop_of", "size_of"]

Box: TypeAlias = tuple[int, int, int, int]
MARGIN = 2  # pixels: a color that is stored for two of them is interpolated with its neighbors
# Pixels of a file from which on decoding a part is faster than all: benchmarks/input_pipeline.py.
WORTH = 300 * 300
ORIENTATION = 0x0112  # in EXIF data; 5 to 8 are those in which height and width are swapped


def random_crop_of(
    encoded: tf.Tensor, size: int, seeds: tf.Tensor, *, is_path: bool = False
) -> tf.Tensor:
    """A part of an image, of random place, size and form, as a square.

    Args:
        encoded: Content of a file, or its path.
        size: Height and width of the square.
        seeds: Two integers.
        is_path: Whether `encoded` is a path.

    Returns:
        float32 of shape `(size, size, 3)`, from 0 to 255: the same as `pixels.random_crop` of the
        decoded image.
    """

    def shape(content: bytes) -> np.ndarray:
        height, width, is_plain = _header(_picture(content, is_path))
        return np.array((height, width, 3, is_plain), np.int32)

    def cut(content: bytes, found: np.ndarray, begin: np.ndarray, extent: np.ndarray) -> np.ndarray:
        top, left, height, width = (int(number) for number in (*begin[:2], *extent[:2]))
        height, width = min(height, int(found[0]) - top), min(width, int(found[1]) - left)
        box = left, top, left + width, top + height
        plain = None
        if found[3] and found[0] * found[1] >= WORTH:
            plain = int(found[0]), int(found[1])
        return photos.resized(crop_of(_picture(content, is_path), box, plain), size, size)

    found = tf.numpy_function(shape, [encoded], tf.int32, stateful=False)
    found = tf.ensure_shape(found, (4,))
    begin, extent = window(found[:3], seeds)
    pixels = tf.numpy_function(cut, [encoded, found, begin, extent], tf.float32, stateful=False)
    return tf.ensure_shape(pixels, (size, size, 3))


def crop_of(picture: str | bytes, box: Box, plain: tuple[int, int] | None) -> Image.Image:
    """A part of a picture, upright and in color.

    Args:
        picture: Path or content of a file.
        box: Left, top, right and bottom of the part.
        plain: Height and width of a JPEG file of which a part can be decoded, `None` for others.

    Raises:
        ValueError: If it cannot be decoded. Of a JPEG file, only what is decoded is looked at.
    """
    if plain:
        try:
            return _decoded_part(picture, box, *plain)
        except (tf.errors.InvalidArgumentError, OSError):
            pass  # Pillow can do more, or knows better what is wrong
    return photos.decode(picture, 3).crop(box)


def size_of(encoded: bytes, *, is_path: bool) -> tuple[int, int]:
    """Height and width of an image when it is upright, from the header of its file."""
    return _header(_picture(encoded, is_path))[:2]


def _decoded_part(picture: str | bytes, box: Box, height: int, width: int) -> Image.Image:
    """A part of a JPEG file of a height and width, by TensorFlow."""
    content = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
    left, top, right, bottom = box
    start, first = max(left - MARGIN, 0), max(top - MARGIN, 0)
    end, last = min(right + MARGIN, width), min(bottom + MARGIN, height)
    with tf.device("cpu"):
        pixels = tf.image.decode_and_crop_jpeg(
            content,
            (first, start, last - first, end - start),
            channels=3,
            dct_method="INTEGER_ACCURATE",
        ).numpy()
    # `fromarray` is slow with a slice.
    return Image.fromarray(pixels).crop((left - start, top - first, right - start, bottom - first))


def _header(picture: str | bytes) -> tuple[int, int, bool]:
    """Height and width of a picture when it is upright, and whether it is a plain JPEG file."""
    try:
        with Image.open(BytesIO(picture) if isinstance(picture, bytes) else picture) as file:
            orientation = file.getexif().get(ORIENTATION, 1)
            is_plain = file.format == "JPEG" and file.mode in ("L", "RGB")
            width, height = file.size
    except Exception:  # the reader of a corrupt image may raise anything
        whole = photos.decode(picture, 3)  # says what is wrong
        return whole.height, whole.width, False
    if orientation in range(5, 9):
        height, width = width, height
    return height, width, is_plain and orientation not in range(2, 9)


def _picture(encoded: bytes, is_path: bool) -> str | bytes:
    """What the functions of `photos` take for an image as TensorFlow has it."""
    return encoded.decode("utf-8", "surrogateescape") if is_path else encoded
