"""Nodes in stages. A stage computes all that can be computed pixel by pixel without going back.

A stage begins with a node that looks at other pixels, such as a convolution, and goes on with nodes
that look at one pixel of its result: additions, PReLU, the signs of the numbers. So the numbers of
one pixel are in a row of memory, and a map of them is only there if another stage needs it.

A pool whose windows do not overlap is computed together with the convolution in front of it: the
convolution computes the pixels of a window, and only their maximum is kept.
"""

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from functools import lru_cache

from larq_reactnet.converters._c.graph import Graph, Node, Tensor
from larq_reactnet.converters._c.integers import PIXEL_CONV
from larq_reactnet.converters._lce import BCONV2D, BMAXPOOL2D, DEQUANTIZE, QUANTIZE

__all__ = ["LOAD", "PIXELS", "Stage", "has_form", "parts_of", "stages"]

LOAD = "LOAD"  # a stage that begins with a tensor as it is
PIXELS = "PIXELS"  # the stage that makes numbers of the bytes of a picture

_SOURCES = (
    BCONV2D,
    BMAXPOOL2D,
    DEQUANTIZE,
    "CONV_2D",
    PIXEL_CONV,
    "DEPTHWISE_CONV_2D",
    "AVERAGE_POOL_2D",
    "MAX_POOL_2D",
    "MEAN",
    "FULLY_CONNECTED",
    "CONCATENATION",
    "PAD",
    "PADV2",
    "STRIDED_SLICE",
)
_BINARY = ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "PRELU")
_UNARY = ("RELU", "RELU6", "RELU_N1_TO_1", "SOFTMAX", "LOGISTIC", QUANTIZE)
_POOLED = ("CONV_2D", PIXEL_CONV, BCONV2D)


@dataclass
class Stage:
    """What is computed in one loop over the pixels of an output.

    Attributes:
        source: The node it begins with; one of kind `LOAD` gives its input as it is.
        pool: The pool behind the source that is computed with it, if there is one.
        steps: Nodes that then compute with the row, or take the signs of it.
        stored: The tensors that later stages need, in the order in which they are computed.
    """

    source: Node
    pool: Node | None = None
    steps: list[Node] = field(default_factory=list)
    stored: list[Tensor] = field(default_factory=list)

    @property
    def row(self) -> Tensor:
        """The tensor whose pixels it computes, as it is before the steps."""
        return (self.pool or self.source).output

    @property
    def last(self) -> Tensor:
        """What the row is after all steps so far."""
        rows = [node.output for node in self.steps if node.kind != QUANTIZE]
        return rows[-1] if rows else self.row

    @property
    def nodes(self) -> list[Node]:
        pool = [self.pool] if self.pool else []
        return [self.source, *pool, *self.steps]

    @property
    def layer(self) -> str:
        return self.source.layer if self.source.kind != LOAD else self.steps[0].layer


def has_form(kind: str) -> bool:
    """Whether there is C for an operator of this kind."""
    return kind in _SOURCES or kind in _BINARY or kind in _UNARY


def stages(graph: Graph, *, is_bytes: bool = False) -> list[Stage]:
    """The stages of a graph, in the order in which they run.

    Args:
        graph: The graph.
        is_bytes: Whether its input are the bytes of a picture. A convolution reads them as they
            are; for other nodes they first become numbers.

    Raises:
        ValueError: If a node has no C form.
    """
    found: list[Stage] = []
    uses = graph.uses()
    virtual = _virtual(graph)
    if is_bytes and not all(
        node.kind in ("CONV_2D", PIXEL_CONV) and graph.input in node.tensors for node in graph.first
    ):
        found.append(Stage(Node(PIXELS, "input", (graph.input,), graph.input)))
    for node in graph.nodes:
        if not has_form(node.kind):
            known = sorted({*_SOURCES, *_BINARY, *_UNARY} - {PIXEL_CONV})
            raise ValueError(
                f"{node} has no C form. There is one for {', '.join(known)}: build the layer of "
                "these, or leave it out of the model and compute it in your own program."
            )
        if node.output.index in virtual:
            continue
        last = found[-1] if found else None
        if node.kind == QUANTIZE:  # it needs nothing but the row, so it joins any stage that has it
            last = next((stage for stage in found if stage.last in node.tensors), last)
        if last is not None and _joins_as_pool(last, node, uses):
            last.pool = node
        elif last is not None and node.kind not in _SOURCES and _joins(last, node):
            last.steps.append(node)
        elif node.kind in _SOURCES:
            found.append(Stage(node))
        else:
            largest = _largest(node, virtual)
            found.append(Stage(Node(LOAD, node.layer, (largest,), largest), None, [node]))
    for stage in found:
        _find_stored(stage, found, graph)
    return found


def parts_of(tensor: Tensor, graph: Graph) -> tuple[Tensor, ...]:
    """The tensors side by side of which `tensor` is a concatenation, or itself."""
    return _virtual(graph).get(tensor.index, (tensor,))


@lru_cache(maxsize=1)
def _virtual(graph: Graph) -> dict[int, tuple[Tensor, ...]]:
    """Concatenations of channels of which only one addition or product is made: it reads them.

    Returns:
        For the index of each, its parts.
    """
    found: dict[int, tuple[Tensor, ...]] = {}
    uses = graph.uses()
    for node in graph.nodes:
        if node.kind == "CONCATENATION" and uses[node.output.index] == 1 and _is_of_channels(node):
            taker = next((n for n in graph.nodes if node.output in n.tensors), None)
            if taker and taker.kind in ("ADD", "MUL") and _is_beside_a_map(node, taker, found):
                found[node.output.index] = node.tensors
    return found


def _is_beside_a_map(node: Node, taker: Node, virtual: Container[int]) -> bool:
    """Whether what is computed with a concatenation is a map of its size, which a row can be of."""
    others = [given for given in taker.tensors if given != node.output]
    return any(o.shape == node.output.shape and o.index not in virtual for o in others)


def _is_of_channels(node: Node) -> bool:
    rank = len(node.output.shape)
    return len(node.tensors) == len(node.inputs) and node.options["axis"] in (-1, rank)


def _joins(stage: Stage, node: Node) -> bool:
    """Whether a node computes with the row that a stage has."""
    row = stage.last
    if row.is_bits or row not in node.tensors or node.output.pixels != row.pixels:
        return False
    if node.output.channels != row.channels:
        return False
    others = [given for given in node.tensors if given != row]
    made = {n.output.index for n in stage.nodes}
    return len(node.tensors) - len(others) == 1 and not any(o.index in made for o in others)


def _joins_as_pool(stage: Stage, node: Node, uses: Counter[int]) -> bool:
    """Whether a pool can be computed with the convolution in front of it."""
    source = stage.source
    if node.kind != "MAX_POOL_2D" or stage.pool or stage.steps or source.kind not in _POOLED:
        return False
    given, options = source.output, node.options
    if node.tensors != (given,) or uses[given.index] != 1 or given.is_bits:
        return False
    return bool(
        options["strideH"] >= options["filterHeight"]
        and options["strideW"] >= options["filterWidth"]
    )


def _largest(node: Node, virtual: Container[int]) -> Tensor:
    """The input of which the node computes another one pixel by pixel."""
    for given in node.tensors:
        is_whole = given.pixels == node.output.pixels and given.channels == node.output.channels
        if is_whole and given.index not in virtual:
            return given
    raise ValueError(f"{node} makes a tensor larger than each of its inputs: it has no C form.")


def _find_stored(stage: Stage, found: list[Stage], graph: Graph) -> None:
    """Set which tensors of a stage others need."""
    needed = {graph.output.index}
    for other in found:
        if other is not stage:
            needed |= {
                part.index for n in other.nodes for t in n.tensors for part in parts_of(t, graph)
            }
    nodes = stage.nodes if stage.pool is None else stage.nodes[1:]
    if stage.source.kind == LOAD:
        nodes = stage.steps
    stage.stored = [node.output for node in nodes if node.output.index in needed]
