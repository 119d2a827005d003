"""What runs each operator of a file: a kernel of the library, or the stock interpreter."""

from __future__ import annotations

import csv
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from larq_reactnet_runtime._shared.model import File, Node, content_of
from larq_reactnet_runtime._shared.sizing import random_inputs, sized
from larq_reactnet_runtime.interpreter import Interpreter

__all__ = ["Place", "places", "summary"]

SIDE = 32  # of images that may be of any size


@dataclass(frozen=True)
class Place:
    """An operator, and what runs it.

    Attributes:
        number: Its place in the file.
        name: Its name.
        kernel: The kernel of the library that runs it, such as `"neon"`; empty if the stock
            interpreter does.
        inside: The number of the operator in whose loop it runs, if it is joined to another one.
        by_xnnpack: Whether the stock interpreter has XNNPACK run it.
    """

    number: int
    name: str
    kernel: str = ""
    inside: int | None = None
    by_xnnpack: bool = False

    @property
    def runs_in(self) -> str:
        """The same in words."""
        if self.kernel:
            return self.kernel if self.inside is None else f"{self.kernel}, within {self.inside}"
        return "the interpreter, XNNPACK" if self.by_xnnpack else "the interpreter"


def places(model: File, *, isa: str | None = None) -> list[Place]:
    """What runs each operator of a file on this machine, found by running it once.

    Args:
        model: Path or content of a file.
        isa: See `Interpreter`.

    Raises:
        ValueError: If the file is truncated or corrupt.
        RuntimeError: If it does not run here.
        OSError: If there is no such file.
        ImportError: If no TensorFlow Lite interpreter is installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "profile.csv"
        interpreter = Interpreter(content_of(model), isa=isa, profile=path)
        signatures = [
            (shape[0], *sized(row[1:], [SIDE] * sum(size < 0 for size in row[1:]))) if row else ()
            for shape, row in zip(interpreter.input_shapes, interpreter.input_signatures)
        ]
        types = interpreter.input_types
        interpreter.run(*random_inputs(signatures, signatures, types, None))
        nodes = interpreter.model.nodes
        delegated = _delegated(interpreter, nodes)
        del interpreter  # which writes the profile
        with path.open() as file:
            rows = [*csv.DictReader(file)]
    kernels: dict[int, tuple[str, int]] = {}
    for row in rows:
        for number in map(int, row["nodes"].split()):
            kernels[number] = row["kernel"], int(row["node"])
    found = []
    for number, node in enumerate(nodes):
        kernel, first = kernels.get(number, ("", number))
        inside = None if first == number else first
        found.append(Place(number, node.name, kernel, inside, not kernel and number in delegated))
    return found


def summary(found: Sequence[Place]) -> list[tuple[str, str]]:
    """How many operators of each name run where: a row for each place that has any."""
    rows: dict[str, Counter[str]] = {}
    for place in found:
        if place.kernel:
            title = "kernel" if place.inside is None else "joined"
            text = f"{place.name} in {place.kernel}" if place.inside is None else place.name
        else:
            title, text = ("XNNPACK" if place.by_xnnpack else "interpreter"), place.name
        rows.setdefault(title, Counter())[text] += 1
    return [
        (title, ", ".join(f"{count} {text}" for text, count in rows[title].most_common()))
        for title in ("kernel", "joined", "XNNPACK", "interpreter")
        if title in rows
    ]


def _delegated(interpreter: Interpreter, nodes: Sequence[Node]) -> set[int]:
    """The operators that some delegate runs. Interpreters that do not tell give none."""
    details: Any = getattr(interpreter._interpreter, "_get_ops_details", list)()
    writers = {tensor: number for number, node in enumerate(nodes) for tensor in node.outputs}
    found: set[int] = set()
    for detail in details:
        if detail["op_name"] != "DELEGATE":
            continue
        # What is in it lies between its inputs and its outputs.
        given, wanted = {*map(int, detail["inputs"])}, [*map(int, detail["outputs"])]
        while wanted:
            number = writers.get(tensor := wanted.pop())
            if number is None or tensor in given or number in found:
                continue
            found.add(number)
            wanted += nodes[number].inputs
    return found
