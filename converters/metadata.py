"""Labels and normalization of the inputs, in the `.tflite` itself: TensorFlow Lite's metadata.

The file gets an entry `TFLITE_METADATA` whose buffer says what the model takes and gives. The
labels are a file `labels.txt` in a ZIP archive after the model's last byte, which interpreters do
not see. Android's Task Library, Netron and tflite-support read both.
"""

import io
import math
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite import metadata_schema as schema

import numpy as np

__all__ = ["Metadata", "add_metadata", "read_metadata"]

ENTRY = "TFLITE_METADATA"
LABELS = "labels.txt"
LARGEST = 2**22  # bytes of the buffer, and of the labels
MOST_CHANNELS = 1024
_TEXTS = ("name", "description", "version", "author", "license")


@dataclass(frozen=True)
class Metadata:
    """What a program must know to feed a classifier of images and to name its classes.

    !!! example
        ```python
        metadata = lr.converters.Metadata(
            name="Digits", labels=tuple("0123456789"), mean=(127.5,), std=(127.5,)
        )
        lr.converters.export(model, "model.tflite", verify_with=data.test, metadata=metadata)
        ```

    Attributes:
        name: Name of the model, for people.
        description: What it does.
        labels: Names of the classes, one for each output.
        mean: With `std`, how the model wants its inputs: `(pixel - mean) / std`, with pixels from
            0 to 255. One number for each channel, or one for all; none if it is not known.
        std: See `mean`.
        version: Version of the model.
        author: Who made it.
        license: Its license.

    Raises:
        ValueError: If a value cannot be stored.
    """

    name: str = ""
    description: str = ""
    labels: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    version: str = ""
    author: str = ""
    license: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.labels, str) or not all(isinstance(x, str) for x in self.labels):
            raise ValueError("`labels` must be a tuple of strings.")
        object.__setattr__(self, "labels", tuple(self.labels))
        for label in self.labels:
            if "\n" in label or "\r" in label:
                raise ValueError(f"The label {label!r} has a line break, which ends a label.")
            _check_text("label", label)
        for name in _TEXTS:
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
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "std", std)


def add_metadata(flatbuffer: tflite.File, metadata: Metadata) -> bytes:
    """A `.tflite` that computes the same and carries `metadata`.

    What it carried before, files in its archive included, is replaced.

    Args:
        flatbuffer: A `.tflite`, the path of a file or its content, of one input and one output.
        metadata: What to put in.

    Raises:
        ValueError: If the metadata does not fit the model: it has other numbers of outputs than
            labels, or of channels than of means.
    """
    model = tflite.read(tflite.content_of(flatbuffer))
    table = schema.write(_describe(model, metadata))
    labels = "".join(f"{label}\n" for label in metadata.labels).encode()
    if max(len(table), len(labels)) > LARGEST:
        raise ValueError(f"Metadata of more than {LARGEST:,} bytes is not stored in a .tflite.")

    entries = _entries(model)
    model.metadata = [entry for entry in model.metadata or () if entry not in entries]
    buffer = tflite.schema().BufferT()
    buffer.data = np.frombuffer(table, np.uint8)
    used = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    used |= {0, *(entry.buffer for entry in model.metadata)}  # 0 is the empty one
    free = [entry.buffer for entry in entries if entry.buffer not in used]
    if free:
        model.buffers[free[0]] = buffer
    else:
        model.buffers.append(buffer)
    entry = tflite.schema().MetadataT()
    entry.name, entry.buffer = ENTRY, free[0] if free else len(model.buffers) - 1
    model.metadata.append(entry)

    file = io.BytesIO()
    file.write(tflite.write(model))
    if metadata.labels:
        # Not compressed, or the Task Library does not read it; with no date, for equal files.
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(zipfile.ZipInfo(LABELS), labels)
    return file.getvalue()


def read_metadata(flatbuffer: tflite.File) -> Metadata | None:
    """The metadata in a `.tflite`, ours or that of other programs, or `None` if it has none.

    Raises:
        ValueError: If the file, its metadata or the archive with the labels is corrupt.
    """
    content = tflite.content_of(flatbuffer)
    return metadata_of(tflite.read(content), content)


def metadata_of(model: Any, flatbuffer: bytes) -> Metadata | None:
    """The metadata of a `ModelT`, with the labels in its file."""
    entries = _entries(model)
    if not entries:
        return None
    data = model.buffers[entries[0].buffer].data
    if data is None or len(data) > LARGEST:
        size = 0 if data is None else len(data)
        raise ValueError(f"The metadata in the .tflite has {size:,} bytes (1 to {LARGEST:,}).")
    try:
        table = schema.read(np.asarray(data, np.uint8).tobytes())
        texts = {name: table[name] or "" for name in _TEXTS}
        graph = next(iter(table["subgraph_metadata"] or ()), None)
        inputs = (graph and graph["input_tensor_metadata"]) or ()
        outputs = (graph and graph["output_tensor_metadata"]) or ()
        mean, std = next((n for tensor in inputs if (n := _normalization(tensor))), ((), ()))
        file = next((name for tensor in outputs if (name := _labels_file(tensor))), None)
        labels = _unpack_labels(flatbuffer, file) if file else ()
        return Metadata(labels=labels, mean=mean, std=std, **texts)
    except ValueError as error:
        reason = str(error).rstrip(".")
        raise ValueError(f"The metadata in the .tflite is corrupt: {reason}.") from error


def shapes(model: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of the one input and the one output of a `ModelT`, without the first dimension.

    Raises:
        ValueError: If it has several.
    """
    graph = model.subgraphs[0]
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ValueError(
            f"The .tflite has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs: one of "
            "each is supported."
        )
    tensors = (graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]])
    of_input, of_output = (
        () if tensor.shape is None else tuple(int(size) for size in tensor.shape[1:])
        for tensor in tensors
    )
    return of_input, of_output


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


def _entries(model: Any) -> list[Any]:
    """The entries of our name in the list of a model's metadata."""
    entries = [e for e in model.metadata or () if e.name in (ENTRY, ENTRY.encode())]
    for entry in entries:
        if not 0 <= entry.buffer < len(model.buffers):
            raise ValueError(
                f"The metadata in the .tflite is corrupt: it is in buffer {entry.buffer} of "
                f"{len(model.buffers)}."
            )
    return entries


def _describe(model: Any, metadata: Metadata) -> dict[str, Any]:
    """The fields of a `ModelMetadata`, once they have been found to fit the model."""
    of_input, of_output = shapes(model)
    values = math.prod(of_output)
    if metadata.labels and values != len(metadata.labels):
        raise ValueError(
            f"The model gives {values} values, and there are {len(metadata.labels)} labels: give "
            "one for each value, in their order, or no metadata (--no-metadata)."
        )
    channels = of_input[-1] if of_input else 1
    if len(metadata.mean) not in (0, 1, channels):
        raise ValueError(
            f"The model takes {channels} channels, and `mean` and `std` have "
            f"{len(metadata.mean)} numbers: give one for each channel, or one for all."
        )

    inputs: dict[str, Any] = {"name": "image", "content": _content(of_input)}
    if metadata.mean:
        options = {"mean": metadata.mean, "std": metadata.std}
        unit = {"options_type": schema.NORMALIZATION_OPTIONS, "options": options}
        inputs |= {
            "description": "Pixels from 0 to 255, normalized: (pixel - mean) / std.",
            "process_units": [unit],
        }
    outputs: dict[str, Any] = {"name": "score", "content": _content(of_output)}
    if metadata.labels:
        file = {
            "name": LABELS,
            "description": "Names of the classes, one in a line.",
            "type": schema.TENSOR_AXIS_LABELS,
        }
        outputs |= {
            "description": "A score for each class.",
            "associated_files": [file],
        }
    return {
        **{name: text for name in _TEXTS if (text := getattr(metadata, name))},
        "subgraph_metadata": [
            {"input_tensor_metadata": [inputs], "output_tensor_metadata": [outputs]}
        ],
        "min_parser_version": "1.0.0",
    }


def _content(shape: tuple[int, ...]) -> dict[str, Any]:
    """What is in a tensor: an image, or numbers."""
    if len(shape) == 3 and shape[-1] in (1, 3):
        space = schema.RGB if shape[-1] == 3 else schema.GRAYSCALE
        kind, properties = schema.IMAGE_PROPERTIES, {"color_space": space}
    else:
        kind, properties = schema.FEATURE_PROPERTIES, {}
    return {"content_properties_type": kind, "content_properties": properties}


def _normalization(tensor: schema.Table) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    for unit in tensor["process_units"] or ():
        if unit["options_type"] == schema.NORMALIZATION_OPTIONS and (options := unit["options"]):
            return options["mean"] or (), options["std"] or ()
    return None


def _labels_file(tensor: schema.Table) -> str | None:
    for file in tensor["associated_files"] or ():
        if file["type"] in schema.LABEL_TYPES:
            return str(file["name"] or "")
    return None


def _unpack_labels(flatbuffer: bytes, name: str) -> tuple[str, ...]:
    """The lines of a file in the archive at the end of a `.tflite`."""
    try:
        with zipfile.ZipFile(io.BytesIO(flatbuffer)) as archive:
            entry = archive.getinfo(name)
            # Of other compressions, Python cannot unpack the first bytes only.
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError("it is compressed in another way than by deflation")
            with archive.open(entry) as file:
                content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ValueError(f"it has more than {LARGEST:,} bytes")
        text = content.decode()
    except Exception as error:  # the reader of a corrupt archive may raise anything
        reason = f"there is no {name}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"the labels in {name!r} cannot be read, {reason}") from error
    lines = text.replace("\r\n", "\n").split("\n")
    return tuple(lines if lines[-1] else lines[:-1])
