"""The files of a network's weights: NAME_weights.h and NAME_weights.c."""

from collections.abc import Iterator

from larq_reactnet.converters._c.context import Context

import numpy as np

__all__ = ["weights_header", "weights_source"]

_CTYPES = {
    "float32": "float",
    "float16": "uint16_t",
    "int8": "int8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
}


def weights_header(name: str, code: Context) -> str:
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


def weights_source(name: str, code: Context) -> str:
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


def _declaration(name: str, values: np.ndarray) -> str:
    return f"const {_CTYPES[str(values.dtype)]} {name}[{values.size}]"


def _by_processor(
    name: str, code: Context
) -> Iterator[tuple[str, dict[str, tuple[np.ndarray, str]]]]:
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
    elif values.dtype in (np.int8, np.int16, np.int32):
        texts, each = [str(value) for value in flat.tolist()], 20
    else:
        texts, each = [_float_text(value) for value in flat], 6
    lines = [", ".join(texts[i : i + each]) for i in range(0, len(texts), each)]
    return "".join(f"    {line},\n" for line in lines)


def _float_text(value: np.float32) -> str:
    """The shortest decimal that is this float32."""
    return f"{value!s}f"
