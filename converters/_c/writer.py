"""The C files of a network: NAME.h, NAME.c, NAME_weights.h and NAME_weights.c."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from larq_reactnet._shared.metadata import Metadata
from larq_reactnet._version import __version__
from larq_reactnet.converters._c.code import WITH_MATH, Code, kernel_sources
from larq_reactnet.converters._c.graph import Graph, read_graph
from larq_reactnet.converters._c.integers import with_integers
from larq_reactnet.converters._c.planning import Plan, plan
from larq_reactnet.converters._c.stages import Stage, stages
from larq_reactnet.converters._c.thresholds import with_thresholds
from larq_reactnet.converters._lce import BCONV2D

import numpy as np

__all__ = ["Network", "network", "network_of"]

_CTYPES = {
    "float32": "float",
    "float16": "uint16_t",
    "int8": "int8_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
}


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

    @property
    def needs_math(self) -> bool:
        """Whether it calls `expf`."""
        return "expf" in self.files[f"{self.name}.c"]

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

    @property
    def constant_bytes(self) -> int:
        """Bytes of all weights, as they lie in flash."""
        return sum(values.nbytes for values, _ in self.constants.values())


def network(content: bytes, name: str, input_type: str, metadata: Metadata | None) -> Network:
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
    return network_of(graph, name, input_type, metadata)


def network_of(graph: Graph, name: str, input_type: str, metadata: Metadata | None) -> Network:
    """Write a graph as C.

    Raises:
        ValueError: If something in it has no C form.
    """
    computed, thresholds = with_thresholds(graph)
    table, first = np.zeros(0, np.float32), ""
    if input_type != "float32":
        mean, std = _normalization(metadata)
        table = _table(graph, input_type, mean, std)
        computed, first = with_integers(computed, mean, std)
    found = stages(computed, is_bytes=input_type != "float32")
    memory = plan(computed, found)
    code = Code(name, computed, memory, input_type, table)
    written = [code.stage(number, stage) for number, stage in enumerate(found)]
    labels = () if metadata is None else metadata.labels
    files = {
        f"{name}.h": _header(name, graph, memory, code, labels),
        f"{name}.c": _source(name, code, found, written, labels),
        f"{name}_weights.h": _weights_header(name, code),
        f"{name}_weights.c": _weights(name, code),
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
    )


def _normalization(metadata: Metadata | None) -> tuple[Sequence[float], Sequence[float]]:
    """What is subtracted from pixels, and what they are divided by."""
    if metadata is None or not metadata.mean:
        raise ValueError(
            "The .tflite does not say how pixels are normalized, so C cannot take bytes: give "
            "its metadata `mean` and `std`, or write C that takes float32."
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
        kernel_sources(code.kernels, name),
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


def _declaration(name: str, values: np.ndarray) -> str:
    return f"const {_CTYPES[str(values.dtype)]} {name}[{values.size}]"


def _weights_header(name: str, code: Code) -> str:
    upper = name.upper()
    texts = [
        f"/* {name}: its weights. */\n#ifndef {upper}_WEIGHTS_H\n#define {upper}_WEIGHTS_H\n\n"
        "#include <stdint.h>\n\n"
        "/* Whether an instruction counts the bits of a word. With 2, for a proof, both ways are\n"
        "   taken and must be equal. */\n"
        f"#ifndef {name}_POPCOUNT\n"
        "#if defined(__GNUC__) && (defined(__riscv_zbb) || defined(__POPCNT__) || "
        "defined(__aarch64__))\n"
        f"#define {name}_POPCOUNT 1\n#else\n#define {name}_POPCOUNT 0\n#endif\n#endif\n"
        f"#if {name}_POPCOUNT != 1\n#define {name}_FOR_PLANES(constant) constant\n"
        f"#else\n#define {name}_FOR_PLANES(constant) 0\n#endif\n"
        f"#if {name}_POPCOUNT != 0\n#define {name}_FOR_POPCOUNT(constant) constant\n"
        f"#else\n#define {name}_FOR_POPCOUNT(constant) 0\n#endif\n\n"
        '#ifdef __cplusplus\nextern "C" {\n#endif\n'
    ]
    for which, constants in _by_processor(name, code):
        lines = (f"extern {_declaration(c, v)};\n" for c, (v, _) in constants.items())
        texts.append(_under(which, "".join(lines)))
    texts.append("#ifdef __cplusplus\n}\n#endif\n\n#endif\n")
    return "\n".join(texts)


def _weights(name: str, code: Code) -> str:
    texts = [f'/* {name}: its weights. */\n#include "{name}_weights.h"\n']
    for which, constants in _by_processor(name, code):
        parts, layer = [], None
        for constant, (values, of) in constants.items():
            if of and of != layer:
                parts.append(f"/* {of} */\n".replace("*/ ", ""))
            layer = of
            parts.append(f"{_declaration(constant, values)} = {{\n{_numbers(values)}}};\n")
        texts.append(_under(which, "".join(parts)))
    return "\n".join(texts)


def _by_processor(name: str, code: Code) -> Iterator[tuple[str, dict[str, tuple[np.ndarray, str]]]]:
    """The constants that all processors need, and those of each kind, with the condition."""
    all_ = {c: v for c, v in code.constants.items() if c not in code.sideways}
    sideways = {c: v for c, v in code.constants.items() if c in code.sideways}
    yield "", all_
    yield f"{name}_POPCOUNT != 1", sideways
    yield f"{name}_POPCOUNT != 0", code.popcounted


def _under(condition: str, text: str) -> str:
    return f"#if {condition}\n{text}#endif\n" if condition and text else text


def _numbers(values: np.ndarray) -> str:
    flat = values.ravel()
    if values.dtype == np.uint32:
        texts = [f"0x{value:08x}u" for value in flat.tolist()]
        each = 8
    elif values.dtype == np.float16:
        texts, each = [str(value) for value in flat.view(np.uint16).tolist()], 14
    elif values.dtype in (np.int8, np.int32):
        texts, each = [str(value) for value in flat.tolist()], 20
    else:
        texts, each = [_float_text(value) for value in flat], 6
    lines = [", ".join(texts[i : i + each]) for i in range(0, len(texts), each)]
    return "".join(f"    {line},\n" for line in lines)


def _float_text(value: np.float32) -> str:
    """The shortest decimal that is this float32."""
    return f"{value!s}f"
