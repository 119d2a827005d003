"""Photos through a `.tflite`, prepared and named as the metadata in the file say."""

from collections.abc import Sequence
from pathlib import Path

from larq_reactnet._shared.classifying import classify
from larq_reactnet._shared.metadata import read_metadata
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters.interpreter import Interpreter

__all__ = ["predict_image", "predict_images"]


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
    Transparency is ignored. Scores that are not probabilities go through a softmax.

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
        ValueError: If the photo cannot be read, the model does not classify images, or
            neither its file nor the arguments say how its inputs are normalized.
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
    content = tflite.content_of(flatbuffer)
    metadata = read_metadata(content)
    with Interpreter(content, engine=engine) as interpreter:
        return classify(interpreter, paths, metadata, top=top, mean=mean, std=std)
