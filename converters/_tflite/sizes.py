"""What the bytes of a `.tflite` are for, and to which operator its constants belong."""

import io
import zipfile
from collections.abc import Iterator

from larq_reactnet.converters._lce import BCONV2D
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.graph import DATA, Graph, buffer_size

__all__ = ["KINDS", "bytes_by_kind"]

KINDS = (
    "binary_weights",
    "float32_weights",
    "float16_weights",
    "int8_weights",
    "biases",
    "other_constants",
    "metadata",
    "graph",
)


def bytes_by_kind(
    model: tflite.ModelT, graphs: list[Graph], flatbuffer: bytes
) -> tuple[dict[str, int], dict[tuple[int, int], dict[str, int]]]:
    """Bytes of the file by kind, and those of each operator by its graph and index."""
    owner: dict[int, tuple[str, tuple[int, int] | None]] = {}
    for number, index, graph, tensor, kind in _constants(graphs):
        owner.setdefault(graph.tensors[tensor].buffer, (kind, (number, index)))
    for entry in model.metadata or ():
        owner.setdefault(entry.buffer, ("metadata", None))
    by_kind: dict[str, int] = dict.fromkeys(KINDS, 0)
    by_operator: dict[tuple[int, int], dict[str, int]] = {}
    for number, buffer in enumerate(model.buffers):
        if length := buffer_size(buffer):
            kind, operator = owner.get(number, ("other_constants", None))
            by_kind[kind] = by_kind.get(kind, 0) + length
            if operator:
                sizes = by_operator.setdefault(operator, {})
                sizes[kind] = sizes.get(kind, 0) + length
    by_kind["metadata"] += _attached(flatbuffer)
    by_kind["graph"] = len(flatbuffer) - sum(by_kind.values())
    if by_kind["graph"] < 0:
        raise ValueError("its constants are larger than the file")
    return by_kind, by_operator


def _attached(flatbuffer: bytes) -> int:
    """Size of the archive after the model, in which metadata keeps labels and other files."""
    try:
        with zipfile.ZipFile(io.BytesIO(flatbuffer)) as archive:
            starts = [entry.header_offset for entry in archive.infolist()]
    except Exception:  # there is none, or it is corrupt and its reader may raise anything
        return 0
    return len(flatbuffer) - min(starts, default=len(flatbuffer))


def _constants(graphs: list[Graph]) -> Iterator[tuple[int, int, Graph, int, str]]:
    """Every constant of an operator and its kind: first weights, then biases, then all others.

    Each comes as the number of its graph, the index of the operator, the graph, the index of the
    constant, and its kind.
    """
    found: tuple[list, list, list] = ([], [], [])
    for number, graph in enumerate(graphs):
        for index, operator in enumerate(graph.operators):
            name = graph.name(operator)
            for position, tensor in enumerate(graph.inputs_of(operator)):
                weighted = name in DATA
                stored = graph.stored(tensor) if weighted and tensor >= 0 else tensor
                if stored is None or not graph.bytes(stored):
                    continue
                rank, kind = 2, "other_constants"
                if weighted and position == 1:
                    dtype = "binary" if name == BCONV2D else graph.type(stored).lower()
                    rank, kind = 0, f"{dtype}_weights"
                elif weighted and position > DATA[name]:
                    rank, kind = 1, "biases"
                found[rank].append((number, index, graph, stored, kind))
    for some in found:
        yield from some
