"""The C files of a network: NAME.h, NAME.c, NAME_weights.h and NAME_weights.c."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from larq_reactnet._shared.metadata import Metadata
from larq_reactnet._version import __version__
from larq_reactnet.converters._c.code import WITH_MATH, Code, kernel_sources
from larq_reactnet.converters._c.fixed import with_int16
from larq_reactnet.converters._c.fixed_code import FixedCode
from larq_reactnet.converters._c.fixed_rows import AT_THE_END
from larq_reactnet.converters._c.graph import Graph, Node, read_graph
from larq_reactnet.converters._c.integers import with_integers
from larq_reactnet.converters._c.planning import Plan, plan
from larq_reactnet.converters._c.stages import Stage, stages
from larq_reactnet.converters._c.thresholds import with_thresholds
from larq_reactnet.converters._c.weights import weights_header, weights_source
from larq_reactnet.converters._lce import BCONV2D

import numpy as np

__all__ = ["Network", "network", "network_of"]


@dataclass(frozen=True)
class Network:
    """A network in C.

    Attributes:
        name: The prefix of all names.
        graph: The graph of the `.tflite`.
        stages: What is computed in one loop each.
        plan: Its memory.
        input_type: What it is given: `"uint8"`, `"int8"` or `"float32"`.
        labels: Names of its classes.
        constants: For each array in C, its values and its layer.
        files: The text of each file, by its name.
        thresholds: The binary layers that give signs in C, and numbers in the file.
        first: What the first layer computes in; empty where the C takes float32.
        arithmetic: What numbers are computed in: `"float32"` or `"int16"`.
        behind: Bits behind the point of a number in front of a sign, in int16.
        share: The largest error of a number in front of a sign, as a share of its range.
        errors: How far fixed point may be from the exact result, for the same signs: for each
            tensor of signs the numbers before, of the output the scores, and what a softmax or
            sigmoid at the end is given.
    """

    name: str
    graph: Graph
    stages: tuple[Stage, ...]
    plan: Plan
    input_type: str
    labels: tuple[str, ...]
    constants: dict[str, tuple[np.ndarray, str]]
    files: dict[str, str]
    thresholds: tuple[str, ...]
    first: str
    arithmetic: str = "float32"
    behind: int = 0
    share: float = 0.0
    errors: Mapping[int, np.ndarray] = field(default_factory=dict)

    @property
    def needs_math(self) -> bool:
        """Whether it calls `expf`."""
        return "expf" in self.files[f"{self.name}.c"]

    @property
    def threshold(self) -> float:
        """Above it, the one score of two classes is for the second."""
        return 0.5 if self._last.kind == "LOGISTIC" else 0.0

    @property
    def _last(self) -> Node:
        """What gives the scores."""
        return self.stages[-1].nodes[-1]

    def integers(self) -> Iterator[tuple[str, str]]:
        """What is computed in integers, as rows of a table."""
        if self.first:
            yield "first layer", self.first
        binary = [stage.source for stage in self.stages if stage.source.kind == BCONV2D]
        signs = sum(node.output.is_bits for node in binary)
        text = f"{signs} of {len(binary)} give signs, by comparing integers"
        if self.thresholds:
            text += (
                f"; of {len(self.thresholds)} the .tflite has numbers, whose signs are the same "
                "for every count of every channel"
            )
        yield "binary layers", text
        if self.arithmetic == "int16":
            yield "arithmetic", self._fixed_point()

    @property
    def logit_bound(self) -> float:
        """How far fixed point may move a logarithm of what a softmax at the end gives, centered."""
        error = float(np.max(self.errors.get(self._last.tensors[0].index, 0.0)))
        # Twice that for a logarithm: its number and that of all others move. The mean of all
        # logarithms, which is subtracted, moves as far again.
        return 4 * abs(float(self._last.options.get("beta", 1.0))) * error

    def _fixed_point(self) -> str:
        """What is in fixed point, and how far it is from exact numbers."""
        worst = {tensor: float(error.max()) for tensor, error in self.errors.items()}
        scores = f"scores {worst.pop(self.graph.output.index):.2g}"
        if self._last.kind in AT_THE_END:
            given = worst.pop(self._last.tensors[0].index)
            scores = f"what the {self._last.kind.lower()} is given {given:.2g}, {scores}"
        text = f"int16: maps in 16 bits, rows in 32 with {self.behind} behind the point; "
        if worst:
            text += (
                "with the same signs before them, numbers in front of signs are at most "
                f"{max(worst.values()):.2g} from exact ones ({self.share:.1g} of the largest), and "
            )
        return f"{text}{scores}"

    @property
    def constant_bytes(self) -> int:
        """Bytes of all weights, as they lie in flash."""
        return sum(values.nbytes for values, _ in self.constants.values())


def network(
    content: bytes,
    name: str,
    input_type: str,
    metadata: Metadata | None,
    arithmetic: str = "float32",
) -> Network:
    """Write a `.tflite` as C.

    Raises:
        ValueError: If it is corrupt, or something in it has no C form.
    """
    graph = read_graph(content)
    if graph.input_type != "FLOAT32":
        raise ValueError(
            f"The .tflite takes {graph.input_type.lower()}; C is written of one that takes "
            "float32, and reads bytes itself: export it with the input type float32."
        )
    return network_of(graph, name, input_type, metadata, arithmetic)


def network_of(
    graph: Graph,
    name: str,
    input_type: str,
    metadata: Metadata | None,
    arithmetic: str = "float32",
) -> Network:
    """Write a graph as C.

    Raises:
        ValueError: If something in it has no C form.
    """
    computed, thresholds = with_thresholds(graph)
    is_bytes, is_fixed = input_type != "float32", arithmetic == "int16"
    table, first = np.zeros(0, np.float32), ""
    if is_bytes:
        mean, std = _normalization(metadata)
        table = _table(graph, input_type, mean, std)
        if not is_fixed:
            computed, first = with_integers(computed, mean, std)
    elif is_fixed:
        raise ValueError(
            "C in int16 takes the bytes of a picture: give --input-type uint8 or int8 "
            "(input_type='uint8')."
        )
    if is_fixed:
        computed = with_int16(computed)
    found = stages(computed, is_bytes=is_bytes)
    memory = plan(computed, found)
    code: Code
    if is_fixed:
        code, written = _settled(name, computed, memory, input_type, (mean, std), found)
    else:
        code = Code(name, computed, memory, input_type, table)
        written = [code.stage(number, stage) for number, stage in enumerate(found)]
    labels = () if metadata is None else metadata.labels
    files = {
        f"{name}.h": _header(name, graph, memory, code, labels),
        f"{name}.c": _source(name, code, found, written, labels),
        f"{name}_weights.h": weights_header(name, code),
        f"{name}_weights.c": weights_source(name, code),
    }
    return Network(
        name,
        graph,
        tuple(found),
        memory,
        input_type,
        labels,
        code.constants,
        files,
        thresholds,
        first,
        arithmetic,
        code.behind,
        code.share,
        code.errors,
    )


def _settled(
    name: str,
    graph: Graph,
    memory: Plan,
    input_type: str,
    statistics: tuple[Sequence[float], Sequence[float]],
    found: Sequence[Stage],
) -> tuple[FixedCode, list[tuple[str, str]]]:
    """Code in fixed point, written until all numbers fit into their bits."""
    mean, std = (np.broadcast_to(np.array(v, float), graph.input.channels) for v in statistics)
    code: FixedCode | None = None
    for _ in range(8):
        code = FixedCode(name, graph, memory, input_type, mean, std, code)
        written = [code.stage(number, stage) for number, stage in enumerate(found)]
        if code.is_settled:
            return code, written
    raise ValueError("The numbers of the network are too large for int16: write it in float32.")


def _normalization(metadata: Metadata | None) -> tuple[Sequence[float], Sequence[float]]:
    """What is subtracted from pixels, and what they are divided by."""
    if metadata is None or not metadata.mean:
        raise ValueError(
            "The .tflite does not say how pixels are normalized, so C cannot take bytes: give "
            "its metadata `mean` and `std`, or write C that takes float32 (--input-type float32)."
        )
    return metadata.mean, metadata.std


def _table(
    graph: Graph, input_type: str, mean: Sequence[float], std: Sequence[float]
) -> np.ndarray:
    """The number that each byte becomes, for each channel."""
    channels = graph.input.channels
    means, deviations = (
        np.broadcast_to(np.array(values, np.float32), channels)[:, None] for values in (mean, std)
    )
    table = (np.arange(256, dtype=np.float32)[None] - means) / deviations
    # An int8 is a pixel minus 128; as an unsigned byte, its upper half comes first.
    return np.asarray(table if input_type == "uint8" else np.roll(table, 128, axis=1))


def _header(name: str, graph: Graph, memory: Plan, code: Code, labels: tuple[str, ...]) -> str:
    upper = name.upper()
    given, gives = graph.input, graph.output
    bytes_ = {
        "uint8": "pixels from 0 to 255, as they are in a picture: the network normalizes them",
        "int8": "pixels from 0 to 255, minus 128: the network normalizes them",
        "float32": "numbers, normalized as they were in training",
    }[code.input_type]
    names = f"\nextern const char *const {name}_labels[{len(labels)}];\n" if labels else ""
    return f"""/* {name}: a binary neural network in C99. Written by larq-reactnet {__version__}. */
#ifndef {upper}_H
#define {upper}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

#define {upper}_INPUT_HEIGHT {given.height}
#define {upper}_INPUT_WIDTH {given.width}
#define {upper}_INPUT_CHANNELS {given.channels}
#define {upper}_SCORES {gives.pixels * gives.channels}
#define {upper}_ARENA_BYTES {memory.bytes}

/* Computes the scores of an image.

   image: {bytes_}; row by row, all channels of a pixel side by side.
   scores: {upper}_SCORES numbers, which are written.
   arena: {upper}_ARENA_BYTES bytes to work in, at an address that is a multiple of 4. What is in
     them before does not matter. Calls at the same time need arenas of their own.

   Gives 0, or -1 if a pointer is null or the arena is not aligned; nothing is written then. */
int {name}_run(const {code.image_type} *image, float *scores, void *arena);
{names}
#ifdef __cplusplus
}}
#endif

#endif
"""


def _source(
    name: str,
    code: Code,
    found: Sequence[Stage],
    written: Sequence[tuple[str, str]],
    labels: tuple[str, ...],
) -> str:
    math = "#include <math.h>\n" if set(WITH_MATH) & set(code.kernels) else ""
    texts = [
        f"/* {name}: what is computed. The weights are in {name}_weights.c. */\n"
        "/* A multiplication and an addition are rounded one by one, on every processor. */\n"
        "#if defined(__clang__)\n#pragma STDC FP_CONTRACT OFF\n#elif defined(__GNUC__)\n"
        '#pragma GCC optimize("fp-contract=off")\n#endif\n\n'
        f'#include "{name}.h"\n\n{math}#include <string.h>\n\n#include "{name}_weights.h"\n\n'
        "/* Define this to look at the tensors while they are computed: their number in the\n"
        "   .tflite, where they are, and how many bytes they have. */\n"
        f"#ifndef {name.upper()}_LOOK\n#define {name.upper()}_LOOK(tensor, data, bytes)\n#endif\n"
        "/* And this to look at the numbers of each pixel before their signs are taken. */\n"
        f"#ifndef {name.upper()}_LOOK_SIGNED\n"
        f"#define {name.upper()}_LOOK_SIGNED(tensor, row, bytes)\n#endif\n",
        kernel_sources(code.kernels, name, code.arithmetic),
    ]
    calls = []
    for (text, call), stage in zip(written, found, strict=True):
        texts.append(text)
        calls.append(call)
        for tensor in stage.stored:
            code.params = set()
            where = code.pointer(tensor)
            calls.append(
                f"  {name.upper()}_LOOK({tensor.index}, {where.removesuffix(' ')}, {tensor.bytes});"
            )
    body = "\n".join(calls)
    texts.append(
        f"int {name}_run(const {code.image_type} *image, float *scores, void *memory) {{\n"
        "  unsigned char *arena = (unsigned char *)memory;\n"
        "  if (image == 0 || scores == 0 || memory == 0) return -1;\n"
        "  if (((uintptr_t)memory & 3u) != 0) return -1;\n"
        f"{body}\n  return 0;\n}}\n"
    )
    if labels:
        lines = "".join(f"    {_string(label)},\n" for label in labels)
        texts.append(f"const char *const {name}_labels[{len(labels)}] = {{\n{lines}}};\n")
    return "\n".join(texts)


def _string(text: str) -> str:
    """A string in C, whatever is in it."""
    safe = "".join(
        chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in text.encode()
    )
    return f'"{safe}"'
