"""Binary convolutions whose numbers are used only as signs, made to give these signs at once.

LCE gives signs at once where nothing but batch normalization is between a binary convolution and
the next sign, and numbers where there is more, such as a pool or a PReLU. What such a number
becomes depends on one integer: how many of the products of its filter are -1. So every count is
tried, for every channel, with the arithmetic of the C in float32. Where the sign changes at one
count at most, a comparison with that count is the sign, for all counts there can be.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from larq_reactnet.converters._c.bits import binary_filters
from larq_reactnet.converters._c.graph import Constant, Graph, Node, Tensor
from larq_reactnet.converters._lce import BCONV2D, BMAXPOOL2D, QUANTIZE

import numpy as np

__all__ = ["with_thresholds"]

_POOL = "MAX_POOL_2D"
_RELUS = {"RELU": (0.0, np.inf), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}
_ACTIVATIONS = {0: (-np.inf, np.inf), 1: (0.0, np.inf), 2: (-1.0, 1.0), 3: (0.0, 6.0)}
_WITH_CONSTANT: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "ADD": np.add,
    "SUB": np.subtract,
    "MUL": np.multiply,
    "DIV": np.divide,
    "MAXIMUM": lambda row, other: np.where(other > row, other, row),
    "MINIMUM": lambda row, other: np.where(other < row, other, row),
    "PRELU": lambda row, slopes: np.where(row < 0, row * slopes, row),
}


def with_thresholds(graph: Graph) -> tuple[Graph, tuple[str, ...]]:
    """The same graph with binary convolutions that give signs where only signs are used.

    Returns:
        The graph, and the layers that give signs now.
    """
    takers: dict[int, list[Node]] = {}
    for node in graph.nodes:
        for tensor in node.tensors:
            takers.setdefault(tensor.index, []).append(node)
    nodes: list[Node] = []
    replaced: set[Node] = set()
    layers: list[str] = []
    for node in graph.nodes:
        if node in replaced:
            continue
        chain = _chain(node, takers, graph.output)
        made = _made_of(chain) if chain else []
        if made:
            replaced.update(chain)
            layers.append(node.layer)
        nodes += made or [node]
    return replace(graph, nodes=tuple(nodes)), tuple(layers)


def _chain(start: Node, takers: Mapping[int, Sequence[Node]], output: Tensor) -> list[Node]:
    """A binary convolution and what is computed of it alone, up to the sign, or nothing."""
    if start.kind != BCONV2D or start.output.is_bits or _has_odd_counts(start):
        return []
    chain = [start]
    while chain[-1].kind != QUANTIZE:
        last = chain[-1].output
        users = takers.get(last.index, [])
        if len(users) != 1 or last.index == output.index or not _is_known(users[0]):
            return []
        if users[0].kind != _POOL and users[0].output.shape != last.shape:
            return []
        chain.append(users[0])
    return chain if sum(node.kind == _POOL for node in chain) <= 1 else []


def _has_odd_counts(node: Node) -> bool:
    """Whether there can be halves: a zero outside of the image counts as half a product of -1."""
    zeros = node.options["padding"] == 0 and node.options["pad_values"] == 0
    return bool(zeros and int(node.options["channels_in"]) % 2)


def _is_known(node: Node) -> bool:
    """Whether a node computes each channel by itself, of one tensor, in a way that is known."""
    if node.options.get("fusedActivationFunction", 0) not in _ACTIVATIONS:
        return False
    if node.kind in _WITH_CONSTANT:
        return _other(node) is not None
    return node.kind in _RELUS or node.kind in (_POOL, QUANTIZE)


def _other(node: Node) -> np.ndarray | None:
    """The second input of a node, if it is a number for each channel, or one for all."""
    found = node.constant(1)
    if found is None:
        return None
    values = found.real
    channels = node.output.channels
    is_fit = values.size == 1 or values.size == channels == values.shape[-1]
    return values.reshape(-1) if is_fit else None


def _made_of(chain: Sequence[Node]) -> list[Node]:
    """A binary convolution that gives signs, and a pool of them; nothing if there is none."""
    conv, *rest = chain
    found, filters = binary_filters(conv), conv.constant(1)
    assert filters is not None  # or `binary_filters` would have said so
    counts = 2 * np.arange(found.size + 1)
    x = np.clip(counts, found.lowest, found.highest).astype(np.float32)[:, None]
    place = next((i for i, node in enumerate(rest) if node.kind == _POOL), len(rest))
    with np.errstate(all="ignore"):
        pooled = _computed(x * found.multiplier + found.bias, rest[:place])
        numbers = _computed(pooled, rest[place:])
    if not (np.isfinite(pooled).all() and np.isfinite(numbers).all()):
        return []
    negative = numbers < 0
    changes = np.diff(negative.astype(np.int8), axis=0)
    if (changes != 0).sum(axis=0).max(initial=0) > 1:
        return []
    falls = (changes < 0).any(axis=0)
    # Where signs fall with the count, the opposite weights make them rise: their count is the rest.
    words = np.where(falls[:, None, None, None], ~filters.values, filters.values)
    thresholds = (found.size - negative.sum(axis=0)).astype(np.int32)
    output = chain[-1].output
    is_pooled = place < len(rest)
    signs = Tensor(conv.output.index, conv.output.shape, True) if is_pooled else output
    inputs = (conv.inputs[0], Constant(words), None, None, Constant(thresholds))
    made = [Node(BCONV2D, conv.layer, inputs, signs, conv.options)]
    if is_pooled:
        rises = (pooled[1:] >= pooled[:-1]).all(axis=0)
        if not (rises | (pooled[1:] <= pooled[:-1]).all(axis=0)).all():
            return []
        made.append(_pool(rest[place], signs, output, rises != falls))
    return made


def _computed(row: np.ndarray, nodes: Sequence[Node]) -> np.ndarray:
    """What nodes make of numbers, in the order of the kernels in C."""
    for node in nodes:
        other = _other(node)
        if node.kind in _WITH_CONSTANT and other is not None:
            row = _WITH_CONSTANT[node.kind](row, other)
        limits = [_ACTIVATIONS[node.options.get("fusedActivationFunction", 0)]]
        limits += [_RELUS[node.kind]] if node.kind in _RELUS else []
        for low, high in limits:
            row = np.clip(row, np.float32(low), np.float32(high))
    return row


def _pool(pool: Node, signs: Tensor, output: Tensor, any_of: np.ndarray) -> Node:
    """The signs of a maximum, of signs.

    The maximum is a number of the largest count, or of the least. So its sign is -1 if all signs
    under the window are -1, or if any is: that is so where both rise with the count or both fall.
    """
    bits = np.pad(any_of, (0, -len(any_of) % 32)).reshape(-1, 32).astype(np.uint32)
    flips = (bits << np.arange(32, dtype=np.uint32)).sum(axis=1, dtype=np.uint32)
    options = {
        "filter_height": pool.options["filterHeight"],
        "filter_width": pool.options["filterWidth"],
        "stride_height": pool.options["strideH"],
        "stride_width": pool.options["strideW"],
        "padding": pool.options["padding"],
    }
    return Node(BMAXPOOL2D, pool.layer, (signs, Constant(flips)), output, options)
