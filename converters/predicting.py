"""Photos through a `.tflite`, prepared and named as the metadata in the file say."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from larq_reactnet._shared.classifying import Classifier
from larq_reactnet._shared.metadata import metadata_of
from larq_reactnet._shared.model import read
from larq_reactnet._shared.photos import prepare as prepare_image
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters.interpreter import Interpreter

__all__ = ["classifier", "predict_image", "predict_images", "prepare_image"]


def predict_image(
    flatbuffer: tflite.File,
    path: str | Path,
    *,
    top: int = 5,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    size: Sequence[int] | None = None,
    engine: str = "auto",
) -> list[tuple[str, float]]:
    """The most probable classes of a photo, and their probabilities.

    !!! example
        ```python
        (label, probability), *_ = lr.converters.predict_image("model.tflite", "photo.jpg")
        ```

    The photo is turned upright as its EXIF data say, converted to the channels of the model,
    cropped to its aspect around the center, resized, and normalized as the file's metadata say,
    which is how the data sets of the zoo prepare images. Transparency is ignored.

    Outputs between 0 and 1 are probabilities, those of sigmoids too; others go through a softmax.
    One output is that of two classes if it is a sigmoid's, or if there are two labels. Otherwise it
    is a number, which is given in place of a probability, after the label or `"value"`.

    Args:
        flatbuffer: A `.tflite` of a classifier: the path of a file, or its content.
        path: A JPEG, PNG, GIF, BMP or WebP file; of an animation, the first frame counts.
        top: Number of classes.
        mean: With `std`, how inputs are normalized: `(pixel - mean) / std`, with pixels from 0 to
            255. One number for each channel or one for all; by default what the file says.
        std: See `mean`.
        size: Height and width of the images, for a model that takes any.
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
    options: dict[str, Any] = {"mean": mean, "std": std, "size": size, "engine": engine}
    return predict_images(flatbuffer, [path], top=top, **options)[0]


def predict_images(
    flatbuffer: tflite.File,
    paths: Sequence[str | Path],
    *,
    top: int = 5,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    size: Sequence[int] | None = None,
    engine: str = "auto",
) -> list[list[tuple[str, float]]]:
    """`predict_image` of several photos, with one start of the interpreter."""
    with classifier(flatbuffer, top=top, mean=mean, std=std, size=size, engine=engine) as classify:
        return [classify(path) for path in paths]


@contextmanager
def classifier(
    flatbuffer: tflite.File,
    *,
    top: int = 5,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    size: Sequence[int] | None = None,
    engine: str = "auto",
) -> Iterator[Classifier]:
    """A function of the path of a photo that gives what `predict_image` does."""
    content = tflite.content_of(flatbuffer)
    model = read(content)
    metadata = metadata_of(model, content)
    with Interpreter(content, engine=engine) as interpreter:
        options: dict[str, Any] = {"mean": mean, "std": std, "size": size, "ending": model.ending}
        yield Classifier(interpreter, metadata, top=top, **options)
