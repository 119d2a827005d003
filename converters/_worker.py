"""LCE's interpreter at the other end of a pipe. Runs in a process of its own, see `interpreter`.

This file is run as it is and must not import TensorFlow, which takes seconds: the interpreter of
Larq Compute Engine is an extension that needs NumPy only. Requests and answers are a byte that says
what they are, and NumPy arrays: nothing that a process taken over by a hostile file could use to
make the other one do something.
"""

import importlib.util
import io
import os
import struct
import sys
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

MOST_MEMORY = 16 << 30  # bytes of address space, so that a corrupt shape cannot take all there is


def send(stream: IO[bytes], kind: bytes, arrays: Sequence[np.ndarray] = ()) -> None:
    """Write a message, all of it or nothing if it holds an array that cannot be sent."""
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


def main(extension: str) -> None:
    """Answer requests until there are no more: b"M" loads a model, b"P" runs it."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the extension prints
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):  # not on this system
        pass
    spec = importlib.util.spec_from_file_location("interpreter_wrapper_lite", extension)
    assert spec is not None
    assert spec.loader is not None
    library = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(library)
    model: Any = None
    while True:
        try:
            kind, arrays = receive(requests)
        except EOFError:
            return
        try:
            if kind == b"M":
                flatbuffer, options = arrays
                threads, reference, indirect, xnnpack = (int(option) for option in options)
                model = None
                model = library.LiteInterpreter(
                    flatbuffer.tobytes(), threads, bool(reference), bool(indirect), bool(xnnpack)
                )
                shapes = [np.array(shape, np.int64) for shape in model.input_shapes]
                send(answers, b"M", shapes)
            else:
                send(answers, b"P", model.predict(arrays))
        except Exception as error:
            sys.stderr.flush()
            send(answers, b"E", [np.frombuffer(str(error).encode(), np.uint8)])


if __name__ == "__main__":
    main(sys.argv[1])
