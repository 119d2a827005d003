"""Interpreters of `.tflite` files, each in a process of its own.

There are two: that of Larq Compute Engine (LCE), and larq-reactnet-runtime, which is several times
as fast and also runs on aarch64, where there is no LCE. Both trust their file: one that is corrupt
may crash the process, or keep it busy for good. So they run in another process, which starts in a
fraction of a second because it needs no TensorFlow.
"""

import atexit
import contextlib
import importlib.util
import os
import struct
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from larq_reactnet._process import start
from larq_reactnet.converters._engine import worker
from larq_reactnet.converters._tflite.file import numpy_types, read

import numpy as np

__all__ = ["ENGINES", "TITLES", "Interpreter", "engines"]

ENGINES = ("auto", "lce", "runtime")
TITLES = {"lce": "LCE's interpreter", "runtime": "larq-reactnet-runtime"}
_PACKAGES = {"lce": "larq_compute_engine", "runtime": "larq_reactnet_runtime"}
_MISSING = {
    "auto": "Running a .tflite needs larq-reactnet-runtime, or larq-compute-engine where there are "
    "wheels of it: pip install 'larq-reactnet[runtime]'.",
    "lce": "The engine 'lce' needs larq-compute-engine, which has wheels for Python 3.10 to 3.12 "
    "on x86-64 Linux, macOS and Windows. Elsewhere the engine 'runtime' runs the same files: pip "
    "install 'larq-reactnet[runtime]'.",
    "runtime": "The engine 'runtime' needs larq-reactnet-runtime: pip install "
    "'larq-reactnet[runtime]'.",
}
_KERNELS = {"default": (0, 0), "reference": (1, 0), "indirect": (0, 1)}

# A process of the runtime for the next file, by the process that it belongs to: without LiteRT, it
# has to import TensorFlow, which takes seconds.
_spare: dict[int, "subprocess.Popen[bytes]"] = {}


def engines(engine: str = "auto") -> list[str]:
    """The engines that are installed and stand for `engine`, the fastest first.

    Args:
        engine: `"lce"`, `"runtime"`, or `"auto"` for both.

    Raises:
        ValueError: If there is no such engine.
        ImportError: If none is installed.
    """
    if engine not in ENGINES:
        raise ValueError(f"`engine` must be one of {[*ENGINES]}, got {engine!r}.")
    asked = ("runtime", "lce") if engine == "auto" else (engine,)
    found = [one for one in asked if _folder(one) is not None]
    if not found:
        raise ImportError(_MISSING[engine])
    return found


class Interpreter:
    """Runs `.tflite` files of LCE, and plain ones.

    !!! example
        ```python
        with lr.converters.Interpreter(Path("model.tflite").read_bytes()) as interpreter:
            (probabilities,) = interpreter.run(image[None])
        ```

    Args:
        flatbuffer: The content of a file.
        engine: `"lce"`; `"runtime"`, which runs files of one float32 input and one float32 output;
            or `"auto"`: the runtime if it is installed and runs the file, else LCE.
        kernel: LCE's kernel of binary convolutions: `"indirect"`, several times faster on x86 than
            `"default"`, or `"reference"`. The runtime has its own.
        threads: Number of threads.
        xnnpack: Use XNNPACK for float operators, as stock TensorFlow Lite does, and the runtime.
        limit: Seconds after which an answer is not waited for any longer.

    Attributes:
        engine: Which one it is, `"lce"` or `"runtime"`.
        input_shapes: Shapes of the inputs of the model.
        input_types: Their NumPy types.

    Raises:
        ValueError: If the file is corrupt, or the interpreter cannot run it.
        ImportError: If the engine is not installed.
    """

    def __init__(
        self,
        flatbuffer: bytes,
        *,
        engine: str = "lce",
        kernel: str = "indirect",
        threads: int = 1,
        xnnpack: bool = False,
        limit: float = 120.0,
    ):
        if kernel not in _KERNELS:
            raise ValueError(f"`kernel` must be one of {[*_KERNELS]}, got {kernel!r}.")
        self._options = np.array([threads, *_KERNELS[kernel], xnnpack], np.int64)
        self._limit = limit
        self._process: subprocess.Popen[bytes] | None = None
        *others, last = engines(engine)
        for self.engine in others:
            with contextlib.suppress(ValueError):
                self._open(flatbuffer)
                return
        self.engine = last
        self._open(flatbuffer)

    def load(self, flatbuffer: bytes) -> None:
        """Take another file, in the same process if that is still alive.

        Raises:
            ValueError: If the file is corrupt, or the interpreter cannot run it.
        """
        self.input_shapes: list[tuple[int, ...]] = []
        self._check(flatbuffer)
        if self._process is None:
            self._process = self._start()
        content = np.frombuffer(flatbuffer, np.uint8)
        shapes = self._ask(b"M", content, self._options)
        self.input_shapes = [tuple(int(size) for size in shape) for shape in shapes]

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """The outputs for one batch of each input of the model.

        Raises:
            ValueError: If the inputs do not have its shapes and types, or it is corrupt.
        """
        self._fit(inputs)
        return self._ask(b"P", *inputs)

    def seconds(self, *inputs: np.ndarray, runs: int = 1) -> np.ndarray:
        """How long the model takes for `inputs`, without their way to the process and back.

        Before the runs that count there is one that does not, which wakes threads up.

        Returns:
            Array `(runs,)` of seconds.

        Raises:
            ValueError: If the inputs do not have its shapes and types, or it is corrupt.
        """
        self._fit(inputs)
        (times,) = self._ask(b"T", *inputs, np.array(runs))
        return times

    def close(self) -> None:
        """End the process, or keep it for the next file if it takes long to start."""
        process = self._process
        slow = self.engine == "runtime"
        if process and slow and _spare.setdefault(os.getpid(), process) is process:
            self._process = None
        self._stop()

    def __enter__(self) -> "Interpreter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, flatbuffer: bytes) -> None:
        try:
            self.load(flatbuffer)
        except BaseException:
            self.close()
            raise

    def _check(self, flatbuffer: bytes) -> None:
        model = read(flatbuffer)
        graph = model.subgraphs[0]
        types = [graph.tensors[index].type for index in graph.inputs]
        known = numpy_types()
        if any(kind not in known for kind in types):
            raise ValueError("This .tflite has inputs that are no numbers.")
        self.input_types = [known[kind] for kind in types]

    def _fit(self, inputs: Sequence[np.ndarray]) -> None:
        if self._process is None or not self.input_shapes:
            raise ValueError("This interpreter has no model.")
        if len(inputs) != len(self.input_shapes):
            raise ValueError(
                f"The .tflite takes {len(self.input_shapes)} inputs, but these are {len(inputs)}."
            )
        for value, shape, dtype in zip(inputs, self.input_shapes, self.input_types, strict=True):
            if value.shape != shape or value.dtype != dtype:
                raise ValueError(
                    f"The .tflite takes {np.dtype(dtype).name} inputs of shape {shape}, but this "
                    f"is {value.dtype.name} of {value.shape}."
                )

    def _start(self) -> "subprocess.Popen[bytes]":
        arguments = []
        if self.engine == "lce":
            folder = _folder("lce")
            if folder is None:
                raise ImportError(_MISSING["lce"])
            arguments = [str(next((folder / "tflite/python").glob("interpreter_wrapper_lite.*")))]
        elif (spare := _spare.pop(os.getpid(), None)) is not None and spare.poll() is None:
            return spare
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        return start(worker.__file__, arguments, stdin=pipe, stdout=pipe, stderr=nowhere)

    def _stop(self) -> int | None:
        """End the process, if there is one, and return its exit code."""
        process, self._process = self._process, None
        return None if process is None else _end(process)

    def _ask(self, kind: bytes, *arrays: np.ndarray) -> list[np.ndarray]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise ValueError("This interpreter has no model.")
        title = TITLES[self.engine]
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._limit, end)
        timer.start()
        try:
            worker.send(process.stdin, kind, arrays)
            answer, values = worker.receive(process.stdout)
        except (EOFError, OSError, ValueError, struct.error, MemoryError, OverflowError) as error:
            how = f"stopped with code {self._stop()}"
            if late.is_set():
                how = f"gave no answer for {self._limit:g} seconds"
            raise ValueError(f"{title} {how}: this .tflite is corrupt.") from error
        except BaseException:  # or the answer would be taken for that to the next request
            self._stop()
            raise
        finally:
            timer.cancel()
        if answer == b"E":
            reason = values[0].tobytes().decode(errors="replace").strip().split("\n")[-1]
            raise ValueError(f"{title} refuses the .tflite: {reason}")
        return values


def _folder(engine: str) -> Path | None:
    """Where the package of an engine is installed."""
    try:
        found = importlib.util.find_spec(_PACKAGES[engine])
    except ValueError:  # set to None in sys.modules
        found = None
    return None if found is None or found.origin is None else Path(found.origin).parent


def _end(process: "subprocess.Popen[bytes]") -> int:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):  # a request that it did not live to read
                stream.close()
    return process.returncode


@atexit.register
def _end_spare() -> None:
    spare = _spare.pop(os.getpid(), None)
    if spare is not None:
        _end(spare)
