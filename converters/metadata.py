"""Labels and how images become inputs, in the `.tflite` itself: TensorFlow Lite's metadata.

The file gets an entry `TFLITE_METADATA` whose buffer says what the model takes and gives. The
labels are a file `labels.txt` in a ZIP archive after the model's last byte, which interpreters do
not see. Android's Task Library, Netron and tflite-support read both. Reading them is shared with
larq-reactnet-runtime; what is here writes them.
"""

import io
import json
import math
import zipfile
from typing import Any

from larq_reactnet._shared.metadata import (
    IMAGES,
    LARGEST,
    NORMALIZATION_OPTIONS,
    TENSOR_AXIS_LABELS,
    TEXTS,
    Metadata,
    read_metadata,
)
from larq_reactnet._shared.model import ENTRY
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite import metadata_schema as schema

import numpy as np

__all__ = ["Metadata", "add_metadata", "check_metadata", "read_metadata"]

LABELS = "labels.txt"


def check_metadata(metadata: Any) -> None:
    """Raise TypeError if `metadata` is something else, such as a dict of its values."""
    if not isinstance(metadata, Metadata):
        raise TypeError(
            "`metadata` must be a `larq_reactnet.converters.Metadata`, got "
            f"{type(metadata).__name__}: write Metadata(name=..., labels=..., mean=..., std=...)."
        )


def add_metadata(flatbuffer: tflite.File, metadata: Metadata) -> bytes:
    """A `.tflite` that computes the same and carries `metadata`.

    What it carried before, files in its archive included, is replaced.

    !!! example
        ```python
        metadata = lr.converters.Metadata(
            name="Digits", labels=tuple("0123456789"), mean=127.5, std=127.5
        )
        tagged = lr.converters.add_metadata("model.tflite", metadata)
        ```

    Args:
        flatbuffer: A `.tflite`, the path of a file or its content, of one input and one output.
        metadata: What to put in.

    Raises:
        TypeError: If `metadata` is not a `Metadata`.
        ValueError: If the metadata does not fit the model: it has other numbers of outputs than
            labels, or of channels than of means.
    """
    check_metadata(metadata)
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


def check_fit(model: Any, metadata: Metadata) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of the input and output of a `ModelT`, if metadata fit them.

    Raises:
        ValueError: If there are other numbers of labels or channels, or several inputs or outputs.
    """
    of_input, of_output = _shapes(model)
    values = math.prod(of_output)
    # One number can be the probability of the second of two classes.
    if metadata.labels and len(metadata.labels) not in ((1, 2) if values == 1 else (values,)):
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
    return of_input, of_output


def _describe(model: Any, metadata: Metadata) -> dict[str, Any]:
    """The fields of a `ModelMetadata`, once they have been found to fit the model."""
    of_input, of_output = check_fit(model, metadata)
    inputs: dict[str, Any] = {"name": "image", "content": _content(of_input)}
    if metadata.mean:
        options = {"mean": metadata.mean, "std": metadata.std}
        unit = {"options_type": NORMALIZATION_OPTIONS, "options": options}
        inputs |= {
            "description": "Pixels from 0 to 255, normalized: (pixel - mean) / std.",
            "process_units": [unit],
        }
    outputs: dict[str, Any] = {"name": "score", "content": _content(of_output)}
    if metadata.labels:
        file = {
            "name": LABELS,
            "description": "Names of the classes, one in a line.",
            "type": TENSOR_AXIS_LABELS,
        }
        outputs |= {
            "description": "A score for each class.",
            "associated_files": [file],
        }
    graph: dict[str, Any] = {"input_tensor_metadata": [inputs], "output_tensor_metadata": [outputs]}
    images = {"crop": metadata.crop, "resize": metadata.resize}
    says_images = bool(metadata.mean) or images != {"crop": 1.0, "resize": "fit"}
    if says_images:
        graph["custom_metadata"] = [{"name": IMAGES, "data": json.dumps(images).encode()}]
    return {
        **{name: text for name in TEXTS if (text := getattr(metadata, name))},
        "subgraph_metadata": [graph],
        # The version of the schema that brought the last of these fields.
        "min_parser_version": "1.5.0" if says_images else "1.0.0",
    }


def _content(shape: tuple[int, ...]) -> dict[str, Any]:
    """What is in a tensor: an image, or numbers."""
    if len(shape) == 3 and shape[-1] in (1, 3):
        space = schema.RGB if shape[-1] == 3 else schema.GRAYSCALE
        kind, properties = schema.IMAGE_PROPERTIES, {"color_space": space}
    else:
        kind, properties = schema.FEATURE_PROPERTIES, {}
    return {"content_properties_type": kind, "content_properties": properties}


def _shapes(model: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
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
