"""What is beside the C in its folder: build files, examples and a README."""

import hashlib
import re
from collections.abc import Mapping
from importlib import resources

from larq_reactnet._shared.metadata import Metadata
from larq_reactnet._version import __version__
from larq_reactnet.converters._c.writer import Network

import numpy as np

__all__ = ["layer_rows", "project_files"]

_PLACES = {
    "CMakeLists.txt": "CMakeLists.txt",
    "library.properties": "library.properties",
    "library.json": "library.json",
    "Classify.ino": "examples/Classify/Classify.ino",
    "classify.c": "examples/host/classify.c",
}


def project_files(
    network: Network,
    content: bytes,
    metadata: Metadata | None,
    macs: Mapping[str, tuple[int, bool]],
    proof: str,
) -> dict[str, str]:
    """All files of the folder, by their paths in it.

    Args:
        network: The network.
        content: The `.tflite` that it was made of.
        metadata: How pixels are normalized.
        macs: For each layer, its multiply-accumulates, and whether they are binary.
        proof: What was proved, for the README.
    """
    files = {f"src/{name}": text for name, text in network.files.items()}
    folder = resources.files("larq_reactnet.converters._c") / "project"
    for name, place in _PLACES.items():
        files[place] = _filled((folder / name).read_text(encoding="utf-8"), network, metadata)
    files["README.md"] = _readme(network, content, macs, proof)
    return files


def _filled(text: str, network: Network, metadata: Metadata | None) -> str:
    """A template with the names of this network."""
    name, upper, given = network.name, network.name.upper(), network.graph.input
    score, best = _label(network, "i"), _best(network, "best")
    channel = f"i % {upper}_INPUT_CHANNELS"
    words = {
        "MEANS": _means(network, metadata),
        "CONVERTED": {"uint8": "bytes[i]", "int8": "(int8_t)(bytes[i] - 128)"}.get(
            network.input_type, f"((float)bytes[i] - mean[{channel}]) / std[{channel}]"
        ),
        "LABEL_OF_SCORE": score,
        "LABEL_OF_BEST": best,
        "FORMAT": "s" if network.labels else "d",
        "INPUT_TYPE": {"uint8": "uint8_t", "int8": "int8_t"}.get(network.input_type, "float"),
        "UPPER_WIDTH": str(given.width),
        "UPPER_HEIGHT": str(given.height),
        "UPPER": upper,
        "NAME": name,
    }
    # All in one step: a name may have such a word in it, too.
    return re.sub("|".join(words), lambda found: words[found[0]], text)


def _is_of_two(network: Network) -> bool:
    """Whether one score tells between two classes."""
    scores = network.graph.output
    return scores.pixels * scores.channels == 1 and len(network.labels) == 2


def _label(network: Network, score: str) -> str:
    """In C, what a score is of: a label, or its number."""
    if _is_of_two(network):
        return f"{network.name}_labels[1]"
    return f"{network.name}_labels[{score}]" if network.labels else score


def _best(network: Network, largest: str) -> str:
    """In C, the class that the scores tell: a label, or its number."""
    if _is_of_two(network):
        return f"{network.name}_labels[scores[0] > {network.threshold}f]"
    return _label(network, largest)


def _means(network: Network, metadata: Metadata | None) -> str:
    """Arrays of what the program subtracts and divides by, if the network does not do it."""
    if network.input_type != "float32":
        return ""
    channels = network.graph.input.channels
    mean = metadata.mean if metadata is not None and metadata.mean else (0.0,)
    std = metadata.std if metadata is not None and metadata.std else (1.0,)
    lines = ""
    for name, values in (("mean", mean), ("std", std)):
        numbers = np.broadcast_to(np.array(values, np.float32), channels)
        lines += f"static const float {name}[] = {{{', '.join(f'{x!s}f' for x in numbers)}}};\n"
    return lines


def layer_rows(
    network: Network, macs: Mapping[str, tuple[int, bool]]
) -> list[tuple[str, int, int, bool]]:
    """For each layer: its name, bytes of its constants, multiply-accumulates, and if binary."""
    sizes: dict[str, int] = {}
    for values, layer in network.constants.values():
        sizes[layer] = sizes.get(layer, 0) + values.nbytes
    for layer in macs:
        sizes.setdefault(layer, 0)
    return [(layer, size, *macs.get(layer, (0, False))) for layer, size in sizes.items()]


def _readme(
    network: Network, content: bytes, macs: Mapping[str, tuple[int, bool]], proof: str
) -> str:
    name, upper = network.name, network.name.upper()
    rows = layer_rows(network, macs)
    binary = sum(count for _, _, count, is_binary in rows if is_binary)
    real = sum(count for _, _, count, is_binary in rows if not is_binary)
    table = "\n".join(
        f"| {layer} | {size:,} | {count:,} | {'binary' if is_binary else 'real' if count else ''} |"
        for layer, size, count, is_binary in rows
    )
    integers = "\n".join(f"| {what} | {how} |" for what, how in network.integers())
    math = "`memcpy`, `memset` and `expf`" if network.needs_math else "`memcpy` and `memset`"
    given, gives = network.graph.input, network.graph.output
    answer = f"The largest of `scores` tells the class, `{_label(network, 'best')}`."
    if gives.pixels * gives.channels == 1:
        answer = "The score is a number."
    if _is_of_two(network):
        answer = f"The score tells the class, `{_best(network, '')}`."
    return f"""# {name}

A binary neural network in C99, written by larq-reactnet {__version__}. Nothing in it has to be
changed, and nothing else is needed: of the C library it calls {math}.

| | |
| --- | --- |
| weights, in flash | {network.constant_bytes:,} bytes |
| arena, in RAM | {network.plan.bytes:,} bytes |
| takes | {given.height} x {given.width} x {given.channels}, {network.input_type} |
| gives | {gives.pixels * gives.channels} scores, float |
| multiply-accumulates | {binary:,} binary, {real:,} real |
{integers}
| made of | a .tflite of {len(content):,} bytes, SHA-256 `{hashlib.sha256(content).hexdigest()}` |

The code takes some more flash, and the stack some more RAM: both depend on the processor.

## Proof

{proof}

## Use it

```c
#include "{name}.h"

static uint32_t arena[{upper}_ARENA_BYTES / 4 + 1];
float scores[{upper}_SCORES];

if ({name}_run(image, scores, arena) != 0) return -1;  /* a pointer is null or not aligned */
```

`image` has {given.height} rows of {given.width} pixels of {given.channels} channels.
{answer}
The function keeps nothing between calls: with an arena each, several threads may call it at once.

## Build it

- Any compiler: `cc -std=c99 -O3 -ffp-contract=off -c src/{name}.c src/{name}_weights.c`
- CMake, for this computer: `cmake -B build . && cmake --build build`, and then
  `build/{name}_classify picture.ppm`. In a firmware: `add_subdirectory` and
  `target_link_libraries(firmware {name})`.
- Arduino: copy this folder into `libraries/`, and open the example *Classify*.
- PlatformIO: `lib_deps = symlink://path/of/this/folder`.

With `-ffp-contract=off` all processors give the same bits. Without it, a compiler may round a
multiplication and an addition in one step, and a number next to 0 may get the other sign.

## Layers

| layer | bytes | multiply-accumulates | |
| --- | --- | --- | --- |
{table}
"""
