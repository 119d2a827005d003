"""Labels and normalization of the inputs, from the metadata in a `.tflite`.

They are where TensorFlow Lite's tools put them and look for them, `larq-reactnet export` among
them: in a buffer of the model, and, the labels, in a ZIP archive after its last byte.
"""

from __future__ import annotations

import io
import math
import zipfile
from dataclasses import dataclass

from .flatbuffer import Table, root
from .model import Model, read

__all__ = ["Metadata", "read_metadata"]

LARGEST = 2**22  # bytes of the buffer, and of the labels
MOST_CHANNELS = 1024
NORMALIZATION = 1  # the number of NormalizationOptions in its union
LABEL_FILES = (2, 3)  # the numbers of TENSOR_AXIS_LABELS and TENSOR_VALUE_LABELS
# Fields of ModelMetadata, by their numbers in metadata_schema.fbs.
TEXTS = {"name": 0, "description": 1, "version": 2, "author": 4, "license": 5}


@dataclass(frozen=True)
class Metadata:
    """What a `.tflite` says of itself.

    Attributes:
        labels: Names of the classes, one for each output.
        mean: With `std`, how the model wants its inputs: `(pixel - mean) / std`, with pixels from
            0 to 255. One number for each channel, or one for all; none if it is not known.
        std: See `mean`.
        name: Name of the model, for people.
        description: What it does.
        version: Version of the model.
        author: Who made it.
        license: Its license.
    """

    labels: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    name: str = ""
    description: str = ""
    version: str = ""
    author: str = ""
    license: str = ""


def read_metadata(content: bytes) -> Metadata | None:
    """The metadata in the content of a `.tflite`, or `None` if it has none.

    Raises:
        ValueError: If the file, its metadata or the archive with the labels is corrupt.
    """
    return metadata_of(read(content), content)


def metadata_of(model: Model, content: bytes) -> Metadata | None:
    """The metadata of a model that has been read, with the labels in its file."""
    if model.metadata is None:
        return None
    try:
        if not 0 < len(model.metadata) <= LARGEST:
            raise ValueError(f"it has {len(model.metadata):,} bytes (1 to {LARGEST:,})")
        return _read(root(model.metadata, b"M001"), content)
    except ValueError as error:
        reason = str(error).rstrip(".")
        raise ValueError(f"The metadata in the .tflite is corrupt: {reason}.") from error


def _read(table: Table, content: bytes) -> Metadata:
    texts = {name: table.text(field) for name, field in TEXTS.items()}
    graph = next(table.tables(3), None)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    if graph is not None:
        options = (_normalization(tensor) for tensor in graph.tables(2))
        files = (_labels_file(tensor) for tensor in graph.tables(3))
        first = next((found for found in options if found is not None), None)
        if first is not None:
            mean, std = _numbers(first, 0), _numbers(first, 1)
        file = next((name for name in files if name), None)
        labels = _unpack_labels(content, file) if file else ()
    mean, std = (x * max(len(mean), len(std)) if len(x) == 1 else x for x in (mean, std))
    if len(mean) != len(std):
        raise ValueError(f"it has {len(mean)} means and {len(std)} standard deviations")
    if any(value <= 0 for value in std):
        raise ValueError(f"a standard deviation is not above zero, {std}")
    return Metadata(labels, mean, std, **texts)


def _normalization(tensor: Table) -> Table | None:
    """The options of the first unit of a tensor that normalizes it."""
    for unit in tensor.tables(4):
        if unit.number(0, "<b") == NORMALIZATION:
            return unit.table(1)
    return None


def _numbers(options: Table, field: int) -> tuple[float, ...]:
    """Numbers, as the shortest decimals that are the same in float32."""
    values = options.array(field, "<f4")
    if len(values) > MOST_CHANNELS:
        raise ValueError(f"it has numbers for {len(values):,} channels")
    numbers = tuple(float(str(value)) for value in values)
    if not all(map(math.isfinite, numbers)):
        raise ValueError("it has numbers that are not finite")
    return numbers


def _labels_file(tensor: Table) -> str | None:
    for file in tensor.tables(6):
        if file.number(2, "<b") in LABEL_FILES:
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
