"""Which bytes of the arena each tensor of a network has, and what else its stages need there."""

from collections.abc import Sequence
from dataclasses import dataclass

from larq_reactnet.converters._c.graph import Graph, Node, Tensor
from larq_reactnet.converters._c.integers import PIXEL_CONV
from larq_reactnet.converters._c.memory import Block, place
from larq_reactnet.converters._c.stages import LOAD, PIXELS, Stage, parts_of
from larq_reactnet.converters._lce import BCONV2D

import numpy as np

__all__ = ["Plan", "plan"]


@dataclass
class Plan:
    """The memory of a network.

    Attributes:
        bytes: Size of the arena.
        blocks: What is in it, tensors and what stages compute with.
        tensors: The block of each tensor, by its index in the file. The output has none, and the
            input only if it is made of bytes first.
        scratch: For each stage, the blocks that only it needs, by their names.
    """

    bytes: int
    blocks: list[Block]
    tensors: dict[int, Block]
    scratch: list[dict[str, Block]]


def plan(graph: Graph, stages: Sequence[Stage]) -> Plan:
    """Place all tensors that more than one stage needs."""
    last_use = {}
    for number, stage in enumerate(stages):
        for tensor in _read(stage, graph):
            last_use[tensor.index] = number
    blocks: list[Block] = []
    tensors: dict[int, Block] = {}
    scratch = []
    for number, stage in enumerate(stages):
        reused: set[int] = set()
        for tensor in stage.stored:
            if tensor.index == graph.output.index:
                continue
            last = last_use.get(tensor.index, number)
            old = _dying(stage, tensor, number, last_use, tensors, graph)
            if old is not None and id(old) not in reused:
                reused.add(id(old))
                old.last = max(old.last, last)
                old.name += f", {_name(tensor)}"
                tensors[tensor.index] = old
                continue
            block = Block(_name(tensor), tensor.bytes, number, last, layer=stage.layer)
            blocks.append(block)
            tensors[tensor.index] = block
        own = {
            name: Block(name, size, number, number, layer=stage.layer)
            for name, size in _scratch(stage).items()
        }
        blocks += own.values()
        scratch.append(own)
    return Plan(place(blocks), blocks, tensors, scratch)


def _name(tensor: Tensor) -> str:
    kind = "bits" if tensor.is_bits else {2: "int16", 4: "float32"}[tensor.number_bytes]
    return f"{'x'.join(map(str, tensor.shape))} {kind}"


def _read(stage: Stage, graph: Graph) -> list[Tensor]:
    """The tensors of other stages that a stage reads."""
    made = {node.output.index for node in stage.nodes if node.kind not in (LOAD, PIXELS)}
    given = (part for n in stage.nodes for t in n.tensors for part in parts_of(t, graph))
    return [tensor for tensor in given if tensor.index not in made]


def _dying(
    stage: Stage,
    tensor: Tensor,
    number: int,
    last_use: dict[int, int],
    tensors: dict[int, Block],
    graph: Graph,
) -> Block | None:
    """The block of a tensor that nobody needs after this stage, if `tensor` can be put there.

    Each pixel of it must be read before the same pixel of `tensor` is written, and no other one.
    """
    if tensor.is_bits:
        return None
    outputs = [node.output for node in stage.steps]
    place_of = outputs.index(tensor) if tensor in outputs else -1
    for candidate in _read(stage, graph):
        block = tensors.get(candidate.index)
        if block is None or last_use[candidate.index] != number or block.bytes != tensor.bytes:
            continue
        if candidate.pixels != tensor.pixels or candidate.channels != tensor.channels:
            continue
        if candidate.is_bits or block.last != number:
            continue
        readers = [i for i, node in enumerate(stage.steps) if candidate in node.tensors]
        if stage.source.kind == LOAD and candidate in stage.source.tensors:
            readers.append(-1)
        elif candidate in stage.source.tensors:  # which looks at other pixels
            continue
        if readers and max(readers) <= place_of:
            return block
    return None


def _scratch(stage: Stage) -> dict[str, int]:
    """What a stage computes with, in bytes."""
    source = stage.source
    sizes = {}
    if not source.output.is_bits:
        sizes["row"] = 4 * stage.row.channels
        if stage.pool:
            sizes["pixel"] = 4 * source.output.channels
    if source.kind == "CONV_2D":
        filters = source.constant(1)
        assert filters is not None
        size = source.tensors[0].number_bytes * int(np.prod(filters.values.shape[1:]))
        sizes["patch"] = size + 3 & ~3
    if source.kind == PIXEL_CONV:
        filters = source.constant(1)
        assert filters is not None
        sizes["bytes"] = 2 * int(np.prod(filters.values.shape[1:])) + 3 & ~3
    if source.kind == BCONV2D:
        sizes["list"] = list_bytes(source)
    return sizes


def list_bytes(node: Node) -> int:
    """The list of a binary convolution has 16 bits for each weight of a filter."""
    filters = node.constant(1)
    assert filters is not None
    _, rows, columns, words = filters.values.shape
    zeros = node.options["padding"] == 0 and node.options["pad_values"] == 0
    most = rows * columns * min(32 * words, int(node.options["channels_in"]))
    # The two lists, of inputs that are set and of those outside, are filled up to a multiple of 8.
    lists = 2 * (most + (16 if zeros else 8)) // 4 * 4 + 4
    # A processor that counts the bits of words has these there instead, and masks of them.
    return max(lists, 4 * rows * columns * words * (2 if zeros else 1))
