"""Photos through a `.tflite`, prepared and named as the metadata in the file says."""

import math
import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters.metadata import Metadata, read_metadata, shapes
from larq_reactnet.converters.verifying import predict_tflite

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = ["predict_image", "predict_images"]

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "WEBP")
# Images are averaged down to this many times the wanted size before they are resized, for speed.
GAP = 4
TOLERANCE = 1e-3  # of a sum of probabilities


def predict_image(
    flatbuffer: tflite.File,
    path: str | Path,
    *,
    top: int = 5,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    engine: str = "auto",
) -> list[tuple[str, float]]:
    """The most probable classes of a photo, and their probabilities.

    !!! example
        ```python
        (label, probability), *_ = lr.converters.predict_image("model.tflite", "photo.jpg")
        ```

    The photo is turned upright as its EXIF data say, converted to the channels of the model,
    cropped to its aspect around the center, resized, and normalized as the file's metadata say.
    Transparency is ignored. Scores that are no probabilities go through a softmax.

    Args:
        flatbuffer: A `.tflite` of a classifier: the path of a file, or its content.
        path: A JPEG, PNG, GIF, BMP or WebP file; of an animation, the first frame counts.
        top: Number of classes.
        mean: With `std`, how inputs are normalized: `(pixel - mean) / std`, with pixels from 0 to
            255. One number for each channel or one for all; by default what the file says.
        std: See `mean`.
        engine: What runs the file: `"lce"`, `"runtime"`, or `"auto"`, larq-reactnet-runtime if it
            is installed and runs the file, else LCE.

    Returns:
        Pairs of label and probability, the most probable first. Without labels in the file,
        classes are called `"class 0"` and so on.

    Raises:
        ValueError: If the photo cannot be read, the model is no classifier of images, or neither
            its file nor the arguments say how its inputs are normalized.
        OSError: If there is no such photo.
        ImportError: If the engine is not installed.
    """
    return predict_images(flatbuffer, [path], top=top, mean=mean, std=std, engine=engine)[0]


def predict_images(
    flatbuffer: tflite.File,
    paths: Sequence[str | Path],
    *,
    top: int = 5,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    engine: str = "auto",
) -> list[list[tuple[str, float]]]:
    """`predict_image` of several photos, with one start of the interpreter."""
    if top < 1:
        raise ValueError(f"`top` must be at least 1, got {top}.")
    content = tflite.content_of(flatbuffer)
    model = tflite.read(content)
    shape, classes = _classifier(model)
    metadata = read_metadata(content) or Metadata()
    given = Metadata(mean=mean, std=std)  # type: ignore[arg-type]  # it takes scalars and lists
    scale = given if given.mean else metadata
    if not scale.mean:
        raise ValueError(
            "The .tflite does not say how its inputs are normalized: give `mean` and `std` (--mean "
            "and --std), such as 127.5 and 127.5 for inputs from -1 to 1, or 0 and 1 for pixels."
        )
    if len(scale.mean) not in (1, shape[-1]):
        raise ValueError(
            f"`mean` and `std` have {len(scale.mean)} numbers, and the model takes {shape[-1]} "
            "channels: give one number for each, or one for all."
        )
    if metadata.labels and len(metadata.labels) != classes:
        raise ValueError(
            f"The .tflite has {len(metadata.labels)} labels for {classes} classes: export it again."
        )
    pixels = np.stack([_load(Path(path), shape) for path in paths])
    inputs = (pixels - np.array(scale.mean, np.float32)) / np.array(scale.std, np.float32)
    found = predict_tflite(content, inputs, engine=engine, progress=False)
    outputs = np.asarray(found, np.float64)
    if outputs.shape != (len(paths), classes) or not np.isfinite(outputs).all():
        raise ValueError("The .tflite does not give a finite number for each class.")
    labels = metadata.labels or tuple(f"class {i}" for i in range(classes))
    results = []
    for row in _probabilities(outputs):
        order = np.argsort(-row, kind="stable")[:top]
        results.append([(labels[i], float(row[i])) for i in order])
    return results


def _classifier(model: object) -> tuple[tuple[int, ...], int]:
    """The shape of the images that a `ModelT` takes, and its number of classes."""
    shape, outputs = shapes(model)
    if len(shape) != 3 or shape[-1] not in (1, 3) or not 0 < math.prod(shape) <= _most_pixels():
        raise ValueError(f"The .tflite takes inputs of shape {shape}, which are no images.")
    if len(outputs) != 1 or outputs[0] < 2:
        raise ValueError(f"The .tflite gives outputs of shape {outputs}: it is no classifier.")
    graph = model.subgraphs[0]  # type: ignore[attr-defined]
    float32 = tflite.schema().TensorType.FLOAT32
    if any(graph.tensors[i].type != float32 for i in (*graph.inputs, *graph.outputs)):
        raise ValueError("The .tflite does not take and give float32: export it without that.")
    return shape, outputs[0]


def _most_pixels() -> int:
    """Above it, Pillow suspects a small file that unpacks to more than the memory holds."""
    return Image.MAX_IMAGE_PIXELS or 2**27


def _load(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The pixels of a photo, 0 to 255, in the wanted shape."""
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
            f"{path} has more than {_most_pixels():,} pixels: make it smaller first."
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
    pixels = np.asarray(image, np.float32).reshape(image.height, image.width, channels)
    return np.asarray(tf.image.resize(pixels, (height, width), antialias=True))


def _eight_bits(image: Image.Image) -> Image.Image:
    """The image with values up to 255, of which `convert` would cut off larger ones."""
    if image.mode == "I" or image.mode.startswith("I;16"):  # grey PNG files of 16 bits
        return Image.fromarray((np.asarray(image).astype(np.int32) >> 8).astype(np.uint8))
    return image


def _probabilities(outputs: np.ndarray) -> np.ndarray:
    """The rows of `outputs`, or their softmax if they are no probabilities."""
    sums = outputs.sum(-1)
    if (outputs >= 0).all() and (outputs <= 1 + TOLERANCE).all() and _near_one(sums):
        return outputs
    exponentials = np.exp(outputs - outputs.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def _near_one(sums: np.ndarray) -> bool:
    return bool(np.allclose(sums, 1, rtol=0, atol=TOLERANCE))
