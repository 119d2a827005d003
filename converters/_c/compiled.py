"""A network in C as a library of this machine, called through ctypes."""

import ctypes
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from larq_reactnet.converters._c.writer import Network

import numpy as np

__all__ = ["Compiled", "NoCompilerError", "compiled", "find_compiler"]

_FLAGS = ("-std=c99", "-O2", "-fPIC", "-shared", "-ffp-contract=off")
_LIMIT = 300  # seconds

# The network, with a function that is told of each tensor.
_LOOKING = """
#include <stdint.h>
typedef void (*look_function)(int32_t tensor, const void *data, int32_t bytes);
static look_function look_;
#define {upper}_LOOK(tensor, data, bytes) \\
  do {{ if (look_ != 0) look_(tensor, data, bytes); }} while (0)
#include "{name}.c"
#include "{name}_weights.c"
void {name}_look(look_function function) {{ look_ = function; }}
"""
_Look = ctypes.CFUNCTYPE(None, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32)
_SILENT = _Look()


class NoCompilerError(OSError):
    """There is no C compiler on this machine."""


def find_compiler() -> list[str]:
    """The command of the C compiler: what `CC` says, which may have options, or `cc`.

    Raises:
        NoCompilerError: If there is none.
    """
    words = shlex.split(os.environ.get("CC", "")) or ["cc"]
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

    def look(self, image: np.ndarray) -> tuple[np.ndarray, Mapping[int, np.ndarray]]:
        """The scores of an image, and the words of each tensor that is in memory on the way."""
        found: dict[int, np.ndarray] = {}

        def see(tensor: int, data: int, size: int) -> None:
            found[tensor] = np.frombuffer(ctypes.string_at(data, size), np.uint32)

        function = _Look(see)
        self._set_look(function)
        try:
            return self.run(image), found
        finally:
            self._set_look(_SILENT)


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
