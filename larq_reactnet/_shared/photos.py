# The original is in larq_reactnet/_shared of larq-reactnet. `make copies` copies it, as it is, to
# runtime/python/larq_reactnet_runtime/_shared: change the original, and then make the copies.
"""How a picture becomes the input of a network: the one definition. Needs Pillow.

1. It is decoded: the first frame, turned upright as its EXIF data say, 8 bits for each channel, as
   red, green and blue or as grey. Transparency is ignored.
2. It is cropped around its center to the aspect of the input, or to a part of that.
3. It is resized, bilinear with antialiasing: where it gets smaller, each pixel is an average of all
   that it stands for.
4. It is normalized: `(pixels - mean) / std`.

Training, evaluation and export do so in `zoo.datasets`, and both `predict`s in `classifying.py`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

# A file, as its path or its content; or pixels from 0 to 255, an array (height, width, 3) of red,
# green and blue or (height, width) of grey, such as those of a camera.
Picture = Union[str, Path, bytes, np.ndarray]

__all__ = ["RESIZES", "Picture", "center", "check", "decode", "normalize", "prepare", "resized"]

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "WEBP")
RESIZES = ("fit", "stretch")
# Large photos are first averaged down to this many times the wanted size, for speed.
GAP = 4


def prepare(
    picture: Picture,
    shape: tuple[int, ...],
    mean: Sequence[float] = (0.0,),
    std: Sequence[float] = (1.0,),
    *,
    crop: float = 1.0,
    resize: str = "fit",
) -> np.ndarray:
    """A picture as the input of a network: decoded, cropped, resized and normalized as above.

    Args:
        picture: A JPEG, PNG, GIF, BMP or WebP file, as its path or its content; of an animation,
            the first frame counts. Or the pixels themselves, a uint8 array `(height, width, 3)`.
        shape: Height, width and channels of the input. Three channels are red, green and blue, and
            a single one is grey.
        mean: What to subtract from the pixels, which are from 0 to 255: a number for each channel,
            or one for all.
        std: What to divide them by after that, likewise.
        crop: The share of the picture's sides that is seen, around its center, after `resize`.
        resize: `"fit"`: what is too wide or too high for the input is cut off at both sides.
            `"stretch"`: nothing is cut off, and the aspect changes.

    Returns:
        float32 array of shape `shape`.

    Raises:
        ValueError: If the picture cannot be read.
        OSError: If there is no such file.
        ImportError: If Pillow is not installed.
    """
    height, width, channels = shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about EXIF data, for example
        image = decode(picture, channels)
    image = image.crop(center(image.height, image.width, height, width, crop, resize))
    return normalize(resized(image, height, width), mean, std)


def decode(picture: Picture, channels: int) -> Image.Image:
    """A picture, upright as its EXIF data say, of 8 bits, in color or in grey.

    It may be called from several threads at once.
    """
    return _decode(picture, channels, roughly=False)


def check(picture: Picture) -> None:
    """Raise what `decode` raises. Of a large JPEG file it takes less time."""
    _decode(picture, 3, roughly=True)


def center(
    height: int,
    width: int,
    wanted_height: int,
    wanted_width: int,
    crop: float = 1.0,
    resize: str = "fit",
) -> tuple[int, int, int, int]:
    """The part of a picture that a network sees: left, top, right and bottom.

    Args:
        height: Height of the picture.
        width: Width of the picture.
        wanted_height: Height of the input.
        wanted_width: Width of the input.
        crop: The share that is seen of the sides of what `resize` says.
        resize: `"fit"`: the largest part around the center that has the aspect of the input.
            `"stretch"`: the whole picture, whose aspect then changes.
    """
    if resize == "fit":
        scale = min(width / wanted_width, height / wanted_height)
        sides = wanted_width * scale, wanted_height * scale
    else:
        sides = float(width), float(height)
    right, bottom = (max(1, round(side * crop)) for side in sides)
    left, top = (width - right) // 2, (height - bottom) // 2
    return left, top, left + right, top + bottom


def resized(image: Image.Image, height: int, width: int) -> np.ndarray:
    """The image as float32 pixels from 0 to 255, of shape `(height, width, channels)`."""
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


def _decode(picture: Picture, channels: int, *, roughly: bool) -> Image.Image:
    """`decode`; `roughly` lets a JPEG file come out smaller, which is faster."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise ImportError(
            "Reading photos needs Pillow: pip install pillow, or 'larq-reactnet-runtime[image]'."
        ) from error
    if isinstance(picture, np.ndarray):
        return _of_pixels(picture).convert("RGB" if channels == 3 else "L")
    name, content = _content(picture)
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as file:
            # Pillow itself only warns of up to twice as many.
            if file.width * file.height > (Image.MAX_IMAGE_PIXELS or math.inf):
                raise Image.DecompressionBombError
            if roughly:
                file.draft(None, (1, 1))
            image = _eight_bits(ImageOps.exif_transpose(file))
        image.info.pop("transparency", None)  # of which `convert` would warn
        return image.convert("RGB" if channels == 3 else "L")
    except UnidentifiedImageError as error:
        raise ValueError(f"{name} is not a JPEG, PNG, GIF, BMP or WebP image.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(
            f"{name} has more than {Image.MAX_IMAGE_PIXELS:,} pixels: make it smaller first."
        ) from error
    except Exception as error:  # the reader of a corrupt image may raise anything
        raise ValueError(f"{name} is truncated or corrupt: {error}.") from error


def _of_pixels(pixels: np.ndarray) -> Image.Image:
    """An array as an image."""
    from PIL import Image

    is_color = pixels.ndim == 3 and pixels.shape[-1] == 3
    if pixels.dtype != np.uint8 or not (is_color or pixels.ndim == 2) or not pixels.size:
        raise ValueError(
            "A picture of pixels must be a uint8 array of shape (height, width, 3) or (height, "
            f"width), got {pixels.dtype.name} of shape {pixels.shape}."
        )
    return Image.fromarray(np.ascontiguousarray(pixels))


def _content(picture: str | Path | bytes) -> tuple[str, bytes]:
    """What errors call a picture, and its bytes."""
    if isinstance(picture, bytes):
        return "An image", picture
    path = Path(picture)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: give the photos that are in it.")
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    if not path.is_file():
        raise OSError(f"{path} is not an ordinary file.")
    return str(path), path.read_bytes()


def _eight_bits(image: Image.Image) -> Image.Image:
    """The image with values up to 255, of which `convert` would cut off larger ones."""
    from PIL import Image

    if image.mode == "I" or image.mode.startswith("I;16"):  # grey PNG files of 16 bits
        return Image.fromarray((np.asarray(image).astype(np.int32) >> 8).astype(np.uint8))
    return image
