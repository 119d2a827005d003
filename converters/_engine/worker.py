"""An interpreter at the other end of a pipe. Runs in a process of its own, see `process`.

This file is run as a script and must not import TensorFlow, which takes seconds: the interpreter of
Larq Compute Engine (LCE) is an extension that needs NumPy only, and larq-reactnet-runtime imports
TensorFlow only where there is no LiteRT. Requests and answers are a byte that says what they are,
and NumPy arrays without pickled objects. So a process that a hostile file has taken over cannot
make the other one run anything.
"""

import importlib
import importlib.util
import io
import os
import struct
import sys
import time
from collections.abc import Callable, Sequence
from typing import IO, Any

import numpy as np

MOST_MEMORY = 16 << 30  # bytes of address space, so that a corrupt shape cannot take all memory


def send(stream: IO[bytes], kind: bytes, arrays: Sequence[np.ndarray] = ()) -> None:
    """Write a message. Nothing is written if it holds an array that cannot be sent."""
    parts = []
    for array in arrays:
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        parts.append(buffer.getbuffer())
    stream.write(struct.pack("<cI", kind, len(parts)))
    for part in parts:
        stream.write(struct.pack("<Q", len(part)))
        stream.write(part)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[bytes, list[np.ndarray]]:
    """Read a message.

    Raises:
        EOFError: If the other end is gone.
    """
    header = stream.read(5)
    if len(header) < 5:
        raise EOFError
    kind, count = struct.unpack("<cI", header)
    arrays = []
    for _ in range(count):
        (size,) = struct.unpack("<Q", stream.read(8))
        arrays.append(np.load(io.BytesIO(stream.read(size)), allow_pickle=False))
    return kind, arrays


class Runtime:
    """The interpreter of larq-reactnet-runtime, with the members that LCE's has."""

    def __init__(self, content: bytes, threads: int, *_: int):
        package = importlib.import_module("larq_reactnet_runtime")
        self._interpreter = package.Interpreter(content, num_threads=threads)
        self.input_shapes = self._interpreter.input_shapes

    def predict(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [*self._interpreter.run(*inputs)]


def lce(extension: str) -> Callable[..., Any]:
    """A function that loads a model in LCE's interpreter, which is the file `extension`."""
    spec = importlib.util.spec_from_file_location("interpreter_wrapper_lite", extension)
    assert spec is not None
    assert spec.loader is not None
    library = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(library)

    def load(content: bytes, threads: int, *options: int) -> Any:
        return library.LiteInterpreter(content, threads, *map(bool, options))

    return load


def seconds(model: Any, inputs: Sequence[np.ndarray], runs: int) -> np.ndarray:
    """How many seconds each run takes. One run before them wakes up threads, and does not count."""
    model.predict(inputs)
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        model.predict(inputs)
        times.append(time.perf_counter() - began)
    return np.array(times)


def main(load: Callable[..., Any]) -> None:
    """Answer requests until there are no more.

    b"M" loads a model, b"P" runs it, b"T" times it, and b"A" asks whether anybody is there.
    """
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the interpreter prints must not get between the answers
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):  # this system has no such limits
        pass
    model: Any = None
    while True:
        try:
            kind, arrays = receive(requests)
        except EOFError:
            return
        try:
            if kind == b"M":
                flatbuffer, options = arrays
                model = None
                model = load(flatbuffer.tobytes(), *map(int, options))
                found = [np.array(shape, np.int64) for shape in model.input_shapes]
            elif kind == b"T":
                *inputs, runs = arrays
                found = [seconds(model, inputs, int(runs))]
            elif kind == b"A":
                found = []
            else:
                found = model.predict(arrays)
            send(answers, kind, found)
        except Exception as error:
            sys.stderr.flush()
            send(answers, b"E", [np.frombuffer(str(error).encode(), np.uint8)])


if __name__ == "__main__":
    main(lce(sys.argv[1]) if len(sys.argv) > 1 else Runtime)
