"""Photos as inputs of a classifier, and what it sees in them. Needs Pillow."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from larq_reactnet_runtime.interpreter import Interpreter

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["classify", "load"]

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "WEBP")
# Photos are averaged down to this many times the wanted size before they are resized, for speed.
GAP = 4
TOLERANCE = 1e-3  # of a sum of probabilities


def classify(
    interpreter: Interpreter,
    paths: Sequence[str | Path],
    *,
    top: int = 5,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
) -> list[list[tuple[str, float]]]:
    """For each photo, its most probable classes and their probabilities.

    They are prepared as `larq-reactnet predict` does it: turned upright as their EXIF data say,
    converted to the channels of the model, cropped to its aspect around the center, resized, and
    normalized. Scores that are no probabilities go through a softmax.

    Args:
        interpreter: A classifier of images.
        paths: JPEG, PNG, GIF, BMP or WebP files; of an animation, the first frame counts.
        top: Number of classes.
        mean: With `std`, how inputs are normalized: `(pixel - mean) / std`, with pixels from 0 to
            255. One number for each channel or one for all; by default what the file says.
        std: See `mean`.

    Raises:
        ValueError: If a photo cannot be read, the model is no classifier of images, or neither its
            file nor the arguments say how its inputs are normalized.
        OSError: If there is no such photo.
        ImportError: If Pillow is not installed.
    """
    if top < 1:
        raise ValueError(f"`top` must be at least 1, got {top}.")
    shape, outputs = interpreter.input_shape, interpreter.output_shape
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise ValueError(f"The .tflite takes inputs of shape {shape}, which are no images.")
    if len(outputs) != 1 or outputs[0] < 2:
        raise ValueError(f"The .tflite gives outputs of shape {outputs}: it is no classifier.")
    metadata = interpreter.metadata
    shift, scale = _normalization(mean, std) if mean or std else (metadata.mean, metadata.std)
    if not shift:
        raise ValueError(
            "The .tflite does not say how its inputs are normalized: give --mean and --std, such "
            "as 127.5 and 127.5 for inputs from -1 to 1, or 0 and 1 for pixels."
        )
    if len(shift) not in (1, shape[-1]):
        raise ValueError(
            f"`mean` and `std` have {len(shift)} numbers, and the model takes {shape[-1]} "
            "channels: give one number for each, or one for all."
        )
    labels = metadata.labels or tuple(f"class {i}" for i in range(outputs[0]))
    if len(labels) != outputs[0]:
        raise ValueError(
            f"The .tflite has {len(labels)} labels for {outputs[0]} classes: export it again."
        )
    results = []
    for path in paths:  # one by one: photos of a camera are large
        pixels = load(path, shape)
        image = (pixels - np.array(shift, np.float32)) / np.array(scale, np.float32)
        scores = interpreter.predict(image[None])[0].astype(np.float64)
        if not np.isfinite(scores).all():
            raise ValueError("The .tflite does not give a finite number for each class.")
        row = _probabilities(scores)
        order = np.argsort(-row, kind="stable")[:top]
        results.append([(labels[i], float(row[i])) for i in order])
    return results


def load(path: str | Path, shape: tuple[int, ...]) -> np.ndarray:
    """The pixels of a photo, 0 to 255, in the wanted shape of height, width and channels.

    Raises:
        ValueError: If it cannot be read.
        OSError: If there is no such photo.
        ImportError: If Pillow is not installed.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise ImportError(
            "Reading photos needs Pillow: pip install 'larq-reactnet-runtime[image]'."
        ) from error
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    if not path.is_file():
        raise OSError(f"{path} is no ordinary file.")
    content = path.read_bytes()
    height, width, channels = shape
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about EXIF data, for one
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(content), formats=FORMATS) as file:
                image = _eight_bits(ImageOps.exif_transpose(file))
            image = image.convert("RGB" if channels == 3 else "L")
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is no JPEG, PNG, GIF, BMP or WebP image.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(
            f"{path} has more than {Image.MAX_IMAGE_PIXELS:,} pixels: make it smaller first."
        ) from error
    except Exception as error:  # the reader of a corrupt image may raise anything
        raise ValueError(f"{path} is truncated or corrupt: {error}.") from error

    scale = min(image.width / width, image.height / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (image.width - size[0]) // 2, (image.height - size[1]) // 2
    image = image.crop((left, top, left + size[0], top + size[1]))
    factor = int(scale / GAP)
    if factor > 1:
        image = image.reduce(factor)
    # In float32, Pillow resizes as `tf.image.resize` does with antialiasing; in bytes, it rounds.
    bilinear = Image.Resampling.BILINEAR
    planes = [
        Image.fromarray(np.asarray(plane, np.float32)).resize((width, height), bilinear)
        for plane in image.split()
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def _eight_bits(image: Image.Image) -> Image.Image:
    """The image with values up to 255, of which `convert` would cut off larger ones."""
    from PIL import Image

    if image.mode == "I" or image.mode.startswith("I;16"):  # grey PNG files of 16 bits
        return Image.fromarray((np.asarray(image).astype(np.int32) >> 8).astype(np.uint8))
    return image


def _normalization(
    mean: Sequence[float], std: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The values that a user gave, one for all channels or one for each."""
    if not mean or not std or len({len(mean), len(std), 1}) > 2:
        raise ValueError(
            f"`mean` has {len(mean)} numbers and `std` {len(std)}: give both, for each channel or "
            "one for all."
        )
    if not np.isfinite([*mean, *std]).all() or min(std) <= 0:
        raise ValueError(f"`mean` and `std` must be finite and `std` above zero, got {mean}, {std}")
    most = max(len(mean), len(std))
    shift, scale = (tuple(x) * (most if len(x) == 1 else 1) for x in (mean, std))
    return shift, scale


def _probabilities(scores: np.ndarray) -> np.ndarray:
    """The scores, or their softmax if they are no probabilities."""
    if (
        (scores >= 0).all()
        and (scores <= 1 + TOLERANCE).all()
        and abs(scores.sum() - 1) < TOLERANCE
    ):
        return scores
    exponentials = np.exp(scores - scores.max())
    return np.asarray(exponentials / exponentials.sum())
