# The original is in larq_reactnet/_shared of larq-reactnet. `make copies` copies it, as it is, to
# runtime/python/larq_reactnet_runtime/_shared: change the original, and then make the copies.
"""Reads FlatBuffers: never a byte outside of the buffer, whatever it holds, and in linear time.

`.tflite` files and the metadata in them are FlatBuffers, whose fields are known by the number that
they have in the schema. Whatever is wrong with a buffer is a `ValueError`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

__all__ = ["Table", "root"]


class _Buffer:
    """Bytes that can be read several times over, but not without end.

    In a corrupt buffer a list may name the same table any number of times, and that table a list.
    """

    def __init__(self, data: bytes):
        self.data = data
        self._left = 8 * len(data) + (1 << 20)

    def spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ValueError("the same part is in it too many times")

    def number(self, layout: str, position: int) -> int:
        # `unpack_from` takes negative positions, from the end.
        if not 0 <= position <= len(self.data) - struct.calcsize(layout):
            raise ValueError("a field points outside of it")
        return int(struct.unpack_from(layout, self.data, position)[0])


def root(data: bytes, identifier: bytes) -> Table:
    """The first table of a buffer.

    Raises:
        ValueError: If the buffer has another identifier.
    """
    if data[4:8] != identifier:
        raise ValueError(f"its identifier is not {identifier.decode()}")
    buffer = _Buffer(data)
    return Table(buffer, buffer.number("<I", 0))


class Table:
    """A table in a buffer. Fields that are not there are empty, or zero."""

    def __init__(self, buffer: _Buffer, position: int):
        buffer.spend(4)
        self._buffer, self._position = buffer, position
        self._vtable = position - buffer.number("<i", position)
        self._vtable_size = buffer.number("<H", self._vtable)

    def number(self, field: int, layout: str = "<i") -> int:
        """A number, by default of four bytes."""
        position = self._find(field)
        return 0 if position is None else self._buffer.number(layout, position)

    def table(self, field: int) -> Table | None:
        """The table that a field points at."""
        position = self._find(field)
        return None if position is None else Table(self._buffer, self._follow(position))

    def tables(self, field: int) -> Iterator[Table]:
        """The tables of a list."""
        start, size = self._list(field, 4)
        return (Table(self._buffer, self._follow(place)) for place in range(start, start + size, 4))

    def array(self, field: int, dtype: str) -> np.ndarray:
        """A list of numbers, as it is in the buffer."""
        width = np.dtype(dtype).itemsize
        start, size = self._list(field, width)
        return np.frombuffer(self._buffer.data, dtype, size // width, start)

    def text(self, field: int) -> str:
        """A string."""
        start, size = self._list(field, 1)
        return self._buffer.data[start : start + size].decode()  # its error is a ValueError

    def _find(self, field: int) -> int | None:
        """The position of a field, or None if it is not there."""
        if 6 + 2 * field > self._vtable_size:
            return None
        offset = self._buffer.number("<H", self._vtable + 4 + 2 * field)
        return self._position + offset if offset else None

    def _follow(self, position: int) -> int:
        return position + self._buffer.number("<I", position)

    def _list(self, field: int, width: int) -> tuple[int, int]:
        """The position and the size in bytes of a list."""
        position = self._find(field)
        if position is None:
            return 0, 0
        position = self._follow(position)
        start, size = position + 4, self._buffer.number("<I", position) * width
        if start + size > len(self._buffer.data):
            raise ValueError("it ends before its data do")
        self._buffer.spend(size)
        return start, size
