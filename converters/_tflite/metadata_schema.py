"""The tables of TensorFlow Lite's metadata, written by its published schema.

The schema is `metadata_schema.fbs`, version 1.5, of tflite-support, which has no wheel for Python
3.12. Here are the fields up to the last one that is used of each table, in the schema's order.
"""

from typing import Any

from larq_reactnet._shared.metadata import IDENTIFIER

import flatbuffers

__all__ = ["FEATURE_PROPERTIES", "GRAYSCALE", "IMAGE_PROPERTIES", "RGB", "write"]

# Members of unions and enumerations, by their numbers; the reader has those that it looks for.
FEATURE_PROPERTIES, IMAGE_PROPERTIES = 1, 2
RGB, GRAYSCALE = 1, 2

# A field is text, a number of one byte, bytes, a table, or a list of tables or of float32. What a
# union holds is said by the field before it; its other members are not used here.
_TABLES: dict[str, dict[str, Any]] = {
    "ModelMetadata": {
        "name": str,
        "description": str,
        "version": str,
        "subgraph_metadata": ["SubGraphMetadata"],
        "author": str,
        "license": str,
        "associated_files": ["AssociatedFile"],
        "min_parser_version": str,
    },
    "SubGraphMetadata": {
        "name": str,
        "description": str,
        "input_tensor_metadata": ["TensorMetadata"],
        "output_tensor_metadata": ["TensorMetadata"],
        "associated_files": ["AssociatedFile"],
        "input_process_units": ["ProcessUnit"],
        "output_process_units": ["ProcessUnit"],
        "input_tensor_groups": ["TensorGroup"],
        "output_tensor_groups": ["TensorGroup"],
        "custom_metadata": ["CustomMetadata"],
    },
    "CustomMetadata": {"name": str, "data": bytes},
    "TensorMetadata": {
        "name": str,
        "description": str,
        "dimension_names": [str],
        "content": "Content",
        "process_units": ["ProcessUnit"],
        "stats": "Stats",
        "associated_files": ["AssociatedFile"],
    },
    "Content": {"content_properties_type": int, "content_properties": "ImageProperties"},
    "ImageProperties": {"color_space": int},
    "ProcessUnit": {"options_type": int, "options": "NormalizationOptions"},
    "NormalizationOptions": {"mean": [float], "std": [float]},
    "AssociatedFile": {"name": str, "description": str, "type": int},
}


def write(values: dict[str, Any]) -> bytes:
    """The buffer of a `ModelMetadata`; its tables are dictionaries of their fields."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(_write_table(builder, "ModelMetadata", values), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _write_table(builder: flatbuffers.Builder, kind: str, values: dict[str, Any]) -> int:
    fields = _TABLES[kind]
    # What a table points at is written before it.
    written = {
        name: value if fields[name] is int else _write_value(builder, fields[name], value)
        for name, value in values.items()
    }
    builder.StartObject(len(fields))
    for slot, (name, field) in enumerate(fields.items()):
        if name in written and field is int:
            builder.PrependInt8Slot(slot, written[name], 0)
        elif name in written:
            builder.PrependUOffsetTRelativeSlot(slot, written[name], 0)
    return int(builder.EndObject())


def _write_value(builder: flatbuffers.Builder, field: Any, value: Any) -> int:
    if field is str:
        return int(builder.CreateString(value))
    if field is bytes:
        builder.StartVector(1, len(value), 16)  # where the schema wants them to lie
        for byte in reversed(value):
            builder.PrependByte(byte)
        return int(builder.EndVector())
    if isinstance(field, str):
        return _write_table(builder, field, value)
    (member,) = field
    items = value if member is float else [_write_table(builder, member, v) for v in value]
    builder.StartVector(4, len(items), 4)
    for item in reversed(items):  # a buffer grows from its end
        if member is float:
            builder.PrependFloat32(item)
        else:
            builder.PrependUOffsetTRelative(item)
    return int(builder.EndVector())
