"""A network in C as a library of this machine, called through ctypes."""

import ctypes
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from larq_reactnet.converters._c.writer import Network
from larq_reactnet.converters._lce import QUANTIZE

import numpy as np

__all__ = ["Compiled", "NoCompilerError", "Seen", "compiled", "find_compiler"]

_FLAGS = ("-std=c99", "-O2", "-fPIC", "-shared", "-ffp-contract=off")
_LIMIT = 300  # seconds

# The network, with a function that is told of each tensor, and places for the numbers in front of
# signs, by their tensors.
_LOOKING = """
#include <stdint.h>
#ifdef __GNUC__
#define {name}_POPCOUNT 2
#endif
typedef void (*look_function)(int32_t tensor, const void *data, int32_t bytes);
static look_function look_;
#define {upper}_LOOK(tensor, data, bytes) \\
  do {{ if (look_ != 0) look_(tensor, data, bytes); }} while (0)
static unsigned char **numbers_;
#define {upper}_LOOK_SIGNED(tensor, row, bytes) \\
  do {{ \\
    if (numbers_ != 0) {{ \\
      memcpy(numbers_[tensor], row, bytes); \\
      numbers_[tensor] += bytes; \\
    }} \\
  }} while (0)
#include "{name}.c"
#include "{name}_weights.c"
void {name}_look(look_function function, unsigned char **numbers) {{
  look_ = function;
  numbers_ = numbers;
}}
"""
_Look = ctypes.CFUNCTYPE(None, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32)
_SILENT = _Look()


class Seen(NamedTuple):
    """What is computed of an image.

    Attributes:
        scores: The scores.
        words: The words of each tensor that is in memory on the way, by its index.
        numbers: The numbers that signs were taken of, by the index of the tensor of signs.
    """

    scores: np.ndarray
    words: dict[int, np.ndarray]
    numbers: dict[int, np.ndarray]


class NoCompilerError(OSError):
    """There is no C compiler on this machine."""


def find_compiler() -> list[str]:
    """The command of the C compiler: what `CC` says, which may have options, or `cc`.

    Raises:
        NoCompilerError: If there is none.
        ValueError: If `CC` is no command.
    """
    command = os.environ.get("CC", "")
    try:
        words = shlex.split(command) or ["cc"]
    except ValueError as error:
        raise ValueError(f"CC is {command!r}, in which a quotation does not end.") from error
    if shutil.which(words[0]) is None:
        raise NoCompilerError(
            f"There is no C compiler {words[0]!r} to prove the C with: install one (Debian: gcc), "
            "or write it unproved with verify=False (--no-verify)."
        )
    return words


class Compiled:
    """A network in C that runs on this machine."""

    def __init__(self, library: Path, network: Network):
        self._network = network
        self._library = ctypes.CDLL(str(library))
        self._run = getattr(self._library, f"{network.name}_run")
        self._set_look = getattr(self._library, f"{network.name}_look")
        self._arena = np.zeros(network.plan.bytes // 4 + 1, np.uint32)
        self._type = np.dtype(network.input_type)
        self._scores = network.graph.output.pixels * network.graph.output.channels

    def run(self, image: np.ndarray) -> np.ndarray:
        """The scores of an image."""
        image = np.ascontiguousarray(image, self._type)
        if image.size != self._network.graph.input.pixels * self._network.graph.input.channels:
            raise ValueError(f"The network does not take an image of the shape {image.shape}.")
        scores = np.full(self._scores, np.nan, np.float32)
        pointers = (array.ctypes.data_as(ctypes.c_void_p) for array in (image, scores, self._arena))
        if self._run(*pointers) != 0:
            raise ValueError("The network in C refuses its arguments.")
        return scores.reshape(self._network.graph.output.shape)

    def look(self, image: np.ndarray) -> Seen:
        """Look at all that is computed of an image."""
        words: dict[int, np.ndarray] = {}
        is_fixed = self._network.arithmetic == "int16"
        dtype = np.int32 if is_fixed else np.float32
        numbers = {
            node.output.index: np.zeros(node.output.shape, dtype)
            for stage in self._network.stages
            for node in stage.steps
            if node.kind == QUANTIZE
        }
        places = (ctypes.c_void_p * (max(numbers, default=0) + 1))()
        for tensor, array in numbers.items():
            places[tensor] = array.ctypes.data

        def see(tensor: int, data: int, size: int) -> None:
            words[tensor] = np.frombuffer(ctypes.string_at(data, size), np.uint32)

        function = _Look(see)
        self._set_look(function, places)
        try:
            scores = self.run(image)
            if is_fixed:
                step = 2.0**-self._network.behind
                numbers = {tensor: array * step for tensor, array in numbers.items()}
            return Seen(scores, words, numbers)
        finally:
            self._set_look(_SILENT, None)


@contextmanager
def compiled(network: Network) -> Iterator[Compiled]:
    """Compile a network for this machine.

    Raises:
        NoCompilerError: If there is no compiler.
        ValueError: If it fails; the message has its first error.
    """
    compiler = find_compiler()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, text in network.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        source = folder / "looking.c"
        source.write_text(_LOOKING.format(name=network.name, upper=network.name.upper()))
        library = folder / "looking.so"
        program, *options = compiler  # which may undo what is in the flags
        _compile([program, *_FLAGS, *options, str(source), "-o", str(library), "-lm"])
        try:
            made = Compiled(library, network)
        except OSError as error:
            raise ValueError(
                f"What {compiler[0]} makes of the C does not run on this machine: {error}. Let CC "
                "name a compiler for it."
            ) from error
        yield made


def _compile(command: list[str]) -> None:
    """Run a compiler.

    Raises:
        ValueError: If it fails; the message has its first error.
    """
    english = {**os.environ, "LC_ALL": "C"}  # so that an error says "error"
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_LIMIT, check=False, env=english
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"{command[0]} took more than {_LIMIT} s to compile the C.") from error
    if done.returncode != 0:
        raise ValueError(f"{command[0]} does not compile the C: {_first_error(done.stderr)}")


def _first_error(text: str) -> str:
    lines = text.strip().splitlines()
    return next((line for line in lines if "error" in line), lines[0] if lines else "no message")
