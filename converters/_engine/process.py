"""The process in which an interpreter runs, and the pipe to it.

An interpreter trusts its file: one that is corrupt may crash the process, or keep it busy for ever.
So it gets a process of its own, which starts in a fraction of a second because it does not import
TensorFlow.
"""

import contextlib
import importlib.util
import struct
import subprocess
import threading
from pathlib import Path

from larq_reactnet._process import start
from larq_reactnet.converters._engine import worker

import numpy as np

__all__ = ["ENGINES", "TITLES", "EngineProcess", "engines"]

ENGINES = ("auto", "lce", "runtime")
TITLES = {"lce": "LCE's interpreter", "runtime": "larq-reactnet-runtime"}
_PACKAGES = {"lce": "larq_compute_engine", "runtime": "larq_reactnet_runtime"}
_INSTALL = "run `pip install ./runtime` in the repository of larq-reactnet."
_MISSING = {
    "auto": "Running a .tflite needs larq-reactnet-runtime, or larq-compute-engine where there are "
    f"wheels of it: {_INSTALL}",
    "lce": "The engine 'lce' needs larq-compute-engine, which has wheels for Python 3.10 to 3.12 "
    f"on x86-64 Linux, macOS and Windows. Elsewhere the engine 'runtime' runs the same files: "
    f"{_INSTALL}",
    "runtime": f"The engine 'runtime' needs larq-reactnet-runtime: {_INSTALL}",
}


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


class EngineProcess:
    """A process with the interpreter of an engine.

    Args:
        engine: `"lce"` or `"runtime"`.

    Raises:
        ImportError: If the engine is not installed.
    """

    def __init__(self, engine: str):
        folder = _folder(engine)
        if folder is None:
            raise ImportError(_MISSING[engine])
        self.engine, self._title = engine, TITLES[engine]
        arguments = []
        if engine == "lce":
            arguments = [str(next((folder / "tflite/python").glob("interpreter_wrapper_lite.*")))]
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        self._process = start(worker.__file__, arguments, stdin=pipe, stdout=pipe, stderr=nowhere)
        self.pid = self._process.pid

    def ask(self, kind: bytes, arrays: "list[np.ndarray]", limit: float) -> list[np.ndarray]:
        """Send a request and wait for the answer.

        Args:
            kind: What is asked for, see `worker.main`.
            arrays: The arrays that belong to the request.
            limit: Seconds after which the process is ended.

        Raises:
            ValueError: If the interpreter refuses the request.
            BrokenPipeError: If the process has ended, or was ended because its answer was late or
                made no sense.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        late = threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(limit, end)
        timer.start()
        try:
            worker.send(stdin, kind, arrays)
            answer, values = worker.receive(stdout)
        except (EOFError, OSError, ValueError, struct.error, MemoryError, OverflowError) as error:
            how = f"stopped with code {self.end()}"
            if late.is_set():
                how = f"gave no answer for {limit:g} seconds"
            reason = f"{self._title} {how}: this .tflite is corrupt."
            raise BrokenPipeError(reason) from error
        except BaseException:  # else this answer would be taken for that to the next request
            self.end()
            raise
        finally:
            timer.cancel()
        if answer == b"E":
            reason = values[0].tobytes().decode(errors="replace").strip().split("\n")[-1]
            raise ValueError(f"{self._title} refuses the .tflite: {reason}")
        return values

    def answers(self, limit: float = 60.0) -> bool:
        """Whether the process still answers. One that does not has ended, or is ended here.

        The system is not asked instead: it may call a process alive for a moment after the signal
        that ends it was sent.
        """
        try:
            self.ask(b"A", [], limit)
        except BrokenPipeError:
            return False
        return True

    def end(self) -> int:
        """End the process, and return its exit code."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # it ended before it had read all of a request
                    stream.close()
        return self._process.returncode


def _folder(engine: str) -> Path | None:
    """Where the package of an engine is installed."""
    try:
        found = importlib.util.find_spec(_PACKAGES[engine])
    except ValueError:  # raised for a package that is None in sys.modules
        found = None
    return None if found is None or found.origin is None else Path(found.origin).parent
