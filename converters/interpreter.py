"""LCE's interpreter in a process of its own.

The interpreter trusts its file: one that is corrupt may crash the process, or keep it busy for
good. So it runs in another process, which starts in a fraction of a second because it needs no
TensorFlow.
"""

import contextlib
import importlib.util
import struct
import subprocess
import tempfile
import threading
from pathlib import Path

from larq_reactnet._process import start
from larq_reactnet.converters import _worker
from larq_reactnet.converters._flatbuffer import numpy_types, read

import numpy as np

__all__ = ["Interpreter"]

_KERNELS = {"default": (0, 0), "reference": (1, 0), "indirect": (0, 1)}


class Interpreter:
    """Runs `.tflite` files of LCE, and plain ones.

    !!! example
        ```python
        with lr.converters.Interpreter(Path("model.tflite").read_bytes()) as interpreter:
            (probabilities,) = interpreter.run(image[None])
        ```

    Args:
        flatbuffer: The content of a file.
        kernel: LCE's kernel of binary convolutions: `"indirect"`, several times faster on x86 than
            `"default"`, or `"reference"`.
        threads: Number of threads.
        xnnpack: Use XNNPACK for float operators, as stock TensorFlow Lite does.
        limit: Seconds after which an answer is not waited for any longer.

    Attributes:
        input_shapes: Shapes of the inputs of the model.

    Raises:
        ValueError: If the file is corrupt, or the interpreter cannot run it.
        ImportError: If larq-compute-engine is not installed.
    """

    def __init__(
        self,
        flatbuffer: bytes,
        *,
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
        self._log = tempfile.TemporaryFile()  # noqa: SIM115, closed in `close`
        try:
            self.load(flatbuffer)
        except BaseException:
            self.close()
            raise

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
        if self._process is None or not self.input_shapes:
            raise ValueError("This interpreter has no model.")
        if len(inputs) != len(self.input_shapes):
            raise ValueError(
                f"The .tflite takes {len(self.input_shapes)} inputs, but these are {len(inputs)}."
            )
        for value, shape, dtype in zip(inputs, self.input_shapes, self._dtypes, strict=True):
            if value.shape != shape or value.dtype != dtype:
                raise ValueError(
                    f"The .tflite takes {np.dtype(dtype).name} inputs of shape {shape}, but this "
                    f"is {value.dtype.name} of {value.shape}."
                )
        return self._ask(b"P", *inputs)

    def close(self) -> None:
        """End the process."""
        self._stop()
        self._log.close()

    def __enter__(self) -> "Interpreter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self, flatbuffer: bytes) -> None:
        model = read(flatbuffer)
        graph = model.subgraphs[0]
        types = [graph.tensors[index].type for index in graph.inputs]
        known = numpy_types()
        if any(kind not in known for kind in types):
            raise ValueError("This .tflite has inputs that are no numbers.")
        self._dtypes = [known[kind] for kind in types]

    def _start(self) -> "subprocess.Popen[bytes]":
        try:
            found = importlib.util.find_spec("larq_compute_engine")
        except ValueError:  # set to None in sys.modules
            found = None
        if found is None or found.origin is None:
            raise ImportError("Running a .tflite needs larq-compute-engine.")
        folder = Path(found.origin).parent / "tflite" / "python"
        extension = next(folder.glob("interpreter_wrapper_lite.*"))
        return start(
            _worker.__file__,
            [str(extension)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )

    def _stop(self) -> int | None:
        """End the process, if there is one, and return its exit code."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # a request that it did not live to read
                    stream.close()
        return process.returncode

    def _ask(self, kind: bytes, *arrays: np.ndarray) -> list[np.ndarray]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise ValueError("This interpreter has no model.")
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._limit, end)
        timer.start()
        try:
            _worker.send(process.stdin, kind, arrays)
            answer, values = _worker.receive(process.stdout)
        except (EOFError, OSError, ValueError, struct.error, MemoryError, OverflowError) as error:
            how = f"stopped with code {self._stop()}"
            if late.is_set():
                how = f"gave no answer for {self._limit:g} seconds"
            raise ValueError(f"LCE's interpreter {how}: this .tflite is corrupt.") from error
        finally:
            timer.cancel()
        if answer == b"E":
            reason = values[0].tobytes().decode(errors="replace").strip().split("\n")[-1]
            raise ValueError(f"LCE's interpreter refuses the .tflite: {reason}")
        return values
