"""The tables of TensorFlow Lite's metadata, written and read by its published schema.

The schema is `metadata_schema.fbs`, version 1.5, of tflite-support, which has no wheel for Python
3.12. Here are the fields up to the last one that is used of each table, in the schema's order.
"""

import struct
from typing import Any

import flatbuffers

__all__ = ["Table", "read", "write"]

IDENTIFIER = b"M001"

# Members of unions and enumerations: their numbers.
FEATURE_PROPERTIES, IMAGE_PROPERTIES = 1, 2
NORMALIZATION_OPTIONS = 1
RGB, GRAYSCALE = 1, 2
TENSOR_AXIS_LABELS, TENSOR_VALUE_LABELS = 2, 3
LABEL_TYPES = (TENSOR_AXIS_LABELS, TENSOR_VALUE_LABELS)

# A field is text, a number of one byte, a table, or a list of tables or of float32. What a union
# holds is said by the field before it; its other members are not used here.
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
    },
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


def read(data: bytes) -> "Table":
    """The `ModelMetadata` in a buffer.

    Raises:
        ValueError: If it is none. Its fields raise it too, when they are read and corrupt.
    """
    if data[4:8] != IDENTIFIER:
        raise ValueError(f"its identifier is not {IDENTIFIER.decode()}")
    return Table(data, _unpack(data, "<I", 0), "ModelMetadata")


class Table:
    """A table in a buffer: `table["name"]` reads a field, which is `None` if it is not there.

    Nothing outside of the buffer is read, whatever its bytes are.
    """

    def __init__(self, data: bytes, position: int, kind: str):
        self._data, self._position, self._fields = data, position, _TABLES[kind]

    def __getitem__(self, name: str) -> Any:
        slot, field = [*self._fields].index(name), self._fields[name]
        vtable = self._position - _unpack(self._data, "<i", self._position)
        if 4 + 2 * slot >= _unpack(self._data, "<H", vtable):
            return None
        offset = _unpack(self._data, "<H", vtable + 4 + 2 * slot)
        if not offset:
            return None
        position = self._position + offset
        return self._byte(position) if field is int else self._value(field, self._follow(position))

    def _byte(self, position: int) -> int:
        return int(_unpack(self._data, "<b", position))

    def _follow(self, position: int) -> int:
        return position + int(_unpack(self._data, "<I", position))

    def _value(self, field: Any, position: int) -> Any:
        if isinstance(field, str):
            return Table(self._data, position, field)
        count = _unpack(self._data, "<I", position)
        start, size = position + 4, count * (1 if field is str else 4)
        if start + size > len(self._data):
            raise ValueError("a field is longer than the buffer")
        if field is str:
            return self._data[start : start + size].decode()
        (member,) = field
        if member is float:
            return struct.unpack_from(f"<{count}f", self._data, start)
        places = range(start, start + size, 4)
        # One by one: a small buffer can hold a list of a million times the same table.
        return (Table(self._data, self._follow(place), member) for place in places)


def _unpack(data: bytes, layout: str, position: int) -> Any:
    # `unpack_from` takes negative positions, from the end.
    if not 0 <= position <= len(data) - struct.calcsize(layout):
        raise ValueError("a field points outside of the buffer")
    return struct.unpack_from(layout, data, position)[0]
