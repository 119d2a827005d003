"""Where in the arena each tensor is, and when."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Block", "arena_bytes", "place"]


@dataclass
class Block:
    """Some bytes of the arena.

    Attributes:
        name: What they hold.
        bytes: How many they are, a multiple of 4.
        first: The first stage in which they are used.
        last: The last one.
        offset: Where they begin.
        layer: The layer that writes them.
    """

    name: str
    bytes: int
    first: int
    last: int
    offset: int = -1
    layer: str = ""

    @property
    def end(self) -> int:
        return self.offset + self.bytes

    def meets(self, other: "Block") -> bool:
        """Whether both are used in some stage."""
        return self.first <= other.last and other.first <= self.last


def place(blocks: Sequence[Block]) -> int:
    """Give each block its offset, and return the size of the arena.

    As TensorFlow Lite's planner does: the largest first, each in the lowest gap between those that
    are used at the same time.
    """
    placed: list[Block] = []
    for block in sorted(blocks, key=lambda b: (-b.bytes, b.first)):
        offset = 0
        for other in sorted((b for b in placed if b.meets(block)), key=lambda b: b.offset):
            if offset + block.bytes <= other.offset:
                break
            offset = max(offset, other.end)
        block.offset = offset
        placed.append(block)
    return arena_bytes(blocks)


def arena_bytes(blocks: Iterable[Block]) -> int:
    """Size of the arena."""
    return max((block.end for block in blocks), default=0)
