# The original is in larq_reactnet/_shared of larq-reactnet. `make copies` copies it, as it is, to
# runtime/python/larq_reactnet_runtime/_shared: change the original, and then make the copies.
"""What the metadata in a `.tflite` say: labels, and how an image becomes the input.

They are where TensorFlow Lite's tools put them and look for them: in a buffer of the model that an
entry `TFLITE_METADATA` points at, and, the labels, in a ZIP archive after the model's last byte.
Their format has no field for how images are cropped and resized, but a place for what programs add:
there is JSON, under a name of ours.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .flatbuffer import Table, root
from .model import File, Model, content_of, read
from .photos import RESIZES

__all__ = ["Metadata", "metadata_of", "read_metadata"]

IDENTIFIER = b"M001"
LARGEST = 2**22  # bytes of the buffer, and of the labels
MOST_CHANNELS = 1024

# Fields of ModelMetadata, by their numbers in metadata_schema.fbs, and numbers of what a union or
# an enumeration holds.
TEXTS = {"name": 0, "description": 1, "version": 2, "author": 4, "license": 5}
NORMALIZATION_OPTIONS = 1
TENSOR_AXIS_LABELS, TENSOR_VALUE_LABELS = 2, 3

# What is ours: {"crop": 0.875, "resize": "fit"}.
IMAGES = "larq_reactnet.images"
LONGEST = 200  # bytes


@dataclass(frozen=True)
class Metadata:
    """What a program must know to feed a classifier of images and to name its classes.

    !!! example
        ```python
        Metadata(name="Digits", labels=tuple("0123456789"), mean=127.5, std=127.5)
        ```

    Attributes:
        name: Name of the model, for people.
        description: What it does.
        labels: Names of the classes, one for each output.
        mean: With `std`, how the model wants its inputs: `(pixel - mean) / std`, with pixels from
            0 to 255. One number for each channel, or one for all; none if it is not known.
        std: See `mean`.
        crop: The share of an image's sides that the model sees, around its center. Files that do
            not say it, such as those that earlier versions wrote, are taken to want all of it.
        resize: How an image of another aspect becomes an input. `"fit"`, also where a file does not
            say it: what is too wide or too high is cut off at both sides. `"stretch"`: nothing is
            cut off, and the aspect changes. Both are bilinear with antialiasing.
        version: Version of the model.
        author: Who made it.
        license: Its license.

    Raises:
        ValueError: If a value cannot be stored in a file.
    """

    name: str = ""
    description: str = ""
    labels: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    version: str = ""
    author: str = ""
    license: str = ""
    crop: float = 1.0
    resize: str = "fit"

    def __post_init__(self) -> None:
        if isinstance(self.labels, str) or not all(isinstance(x, str) for x in self.labels):
            raise ValueError("`labels` must be a tuple of strings.")
        object.__setattr__(self, "labels", tuple(self.labels))
        for label in self.labels:
            if "\n" in label or "\r" in label:
                raise ValueError(f"The label {label!r} has a line break, which ends a label.")
            _check_text("label", label)
        for name in TEXTS:
            _check_text(name, getattr(self, name))
        mean, std = _numbers("mean", self.mean), _numbers("std", self.std)
        # One number stands for all channels.
        mean, std = (x * max(len(mean), len(std)) if len(x) == 1 else x for x in (mean, std))
        if len(mean) != len(std):
            raise ValueError(
                f"`mean` has {len(mean)} numbers and `std` {len(std)}: give both, for each channel "
                "or one for all."
            )
        if any(value <= 0 for value in std):
            raise ValueError(f"`std` must be above zero, got {std}.")
        if isinstance(self.crop, bool) or not isinstance(self.crop, (int, float)):
            raise ValueError(f"`crop` must be a number, got {self.crop!r}.")
        if not 0 < self.crop <= 1:
            raise ValueError(f"`crop` must be above 0 and at most 1, got {self.crop}.")
        if self.resize not in RESIZES:
            raise ValueError(f"`resize` must be one of {RESIZES}, got {self.resize!r}.")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "std", std)


def read_metadata(flatbuffer: File) -> Metadata | None:
    """The metadata in a `.tflite`, ours or that of other programs, or `None` if it has none.

    Args:
        flatbuffer: The path of the file, or its content.

    Raises:
        ValueError: If the file, its metadata or the archive with the labels is corrupt.
        OSError: If there is no such file.
    """
    content = content_of(flatbuffer)
    return metadata_of(read(content), content)


def metadata_of(model: Model, content: bytes) -> Metadata | None:
    """The metadata of a model that has been read, with the labels in its file.

    Raises:
        ValueError: If the metadata or the archive with the labels is corrupt.
    """
    if model.metadata is None:
        return None
    try:
        if not 0 < len(model.metadata) <= LARGEST:
            raise ValueError(f"it has {len(model.metadata):,} bytes (1 to {LARGEST:,})")
        return _read(root(model.metadata, IDENTIFIER), content)
    except ValueError as error:
        reason = str(error).rstrip(".")
        raise ValueError(f"The metadata in the .tflite is corrupt: {reason}.") from error


def _check_text(name: str, text: Any) -> None:
    if not isinstance(text, str):
        raise ValueError(f"The {name} must be a string, got {text!r}.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"The {name} {text!r} cannot be written as UTF-8.") from error


def _numbers(name: str, values: Any) -> tuple[float, ...]:
    """`values`, a number or several, as the shortest decimals that are the same in float32."""
    several = isinstance(values, Iterable) and not isinstance(values, str)
    values = tuple(values) if several else (values,)
    if len(values) > MOST_CHANNELS:
        raise ValueError(f"`{name}` has more than {MOST_CHANNELS} numbers.")
    try:
        numbers = tuple(float(str(np.float32(value))) for value in values)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"`{name}` must be numbers, got {values}.") from error
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"`{name}` must be finite, got {values}.")
    return numbers


def _read(table: Table, content: bytes) -> Metadata:
    texts: dict[str, Any] = {name: table.text(field) for name, field in TEXTS.items()}
    graph = next(table.tables(3), None)
    if graph is None:
        return Metadata(**texts)
    options = next((found for x in graph.tables(2) if (found := _normalization(x))), None)
    file = next((name for x in graph.tables(3) if (name := _labels_file(x))), None)
    return Metadata(
        labels=_unpack_labels(content, file) if file else (),
        mean=tuple(options.array(0, "<f4")) if options else (),
        std=tuple(options.array(1, "<f4")) if options else (),
        **_images(graph),
        **texts,
    )


def _images(graph: Table) -> dict[str, Any]:
    """How images are cropped and resized, if the file says it."""
    for custom in graph.tables(9):
        if custom.text(0) != IMAGES:
            continue
        content = custom.array(1, "u1")
        if len(content) > LONGEST:
            raise ValueError(f"what it says of images has more than {LONGEST} bytes")
        found = json.loads(content.tobytes())  # its errors are ValueErrors
        if not isinstance(found, dict):
            raise ValueError("what it says of images is not a dictionary")
        return {key: found[key] for key in ("crop", "resize") if key in found}
    return {}


def _normalization(tensor: Table) -> Table | None:
    """The options of the first unit of a tensor that normalizes it."""
    for unit in tensor.tables(4):
        if unit.number(0, "<b") == NORMALIZATION_OPTIONS and (options := unit.table(1)):
            return options
    return None


def _labels_file(tensor: Table) -> str | None:
    """The name of the file with the labels of a tensor, in the archive."""
    for file in tensor.tables(6):
        if file.number(2, "<b") in (TENSOR_AXIS_LABELS, TENSOR_VALUE_LABELS):
            return file.text(0)
    return None


def _unpack_labels(content: bytes, name: str) -> tuple[str, ...]:
    """The lines of a file in the archive at the end of a `.tflite`."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entry = archive.getinfo(name)
            # Of other compressions, Python cannot unpack the first bytes only.
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError("it is compressed in another way than by deflation")
            with archive.open(entry) as file:
                unpacked = file.read(LARGEST + 1)
        if len(unpacked) > LARGEST:
            raise ValueError(f"it has more than {LARGEST:,} bytes")
        text = unpacked.decode()
    except Exception as error:  # the reader of a corrupt archive may raise anything
        reason = f"there is no {name}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"the labels in {name!r} cannot be read, {reason}") from error
    lines = text.replace("\r\n", "\n").split("\n")
    return tuple(lines if lines[-1] else lines[:-1])
