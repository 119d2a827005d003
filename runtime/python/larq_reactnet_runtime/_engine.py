"""The TensorFlow Lite interpreter that is installed, and our library in it."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Engine", "find", "instruction_sets", "library_path", "load_delegate"]

LIBRARIES = {"darwin": "liblarq_reactnet_runtime.dylib", "win32": "larq_reactnet_runtime.dll"}


@dataclass(frozen=True)
class Engine:
    """A package with an interpreter.

    Attributes:
        name: Name of the package, for people.
        interpreter: Its class `Interpreter`.
        load_delegate: Its function of this name.
    """

    name: str
    interpreter: Any
    load_delegate: Any


def find() -> Engine:
    """The first that is installed of LiteRT, tflite-runtime and TensorFlow.

    Raises:
        ImportError: If none is.
    """
    reasons = []
    for name in ("ai_edge_litert", "tflite_runtime", "tensorflow"):
        try:
            package = importlib.import_module(name)
            if name == "tensorflow":
                load = package.lite.experimental.load_delegate
                return Engine(_title(name, package), package.lite.Interpreter, load)
            module = importlib.import_module(f"{name}.interpreter")
        except ModuleNotFoundError as error:
            if error.name != name:
                reasons.append(f"{name}: {error}")
        except (ImportError, AttributeError) as error:  # such as one built for another NumPy
            reasons.append(f"{name}: {error}")
        else:
            return Engine(_title(name, package), module.Interpreter, module.load_delegate)
    found = f" ({'; '.join(reasons)})" if reasons else ""
    raise ImportError(
        "There is no TensorFlow Lite interpreter: pip install ai-edge-litert, or tflite-runtime "
        f"where there is none of it{found}."
    )


def library_path() -> Path:
    """The shared library in this package, for C, C++ and Android programs that load it themselves.

    Raises:
        FileNotFoundError: If this package was installed without it.
    """
    path = Path(__file__).with_name(LIBRARIES.get(sys.platform, "liblarq_reactnet_runtime.so"))
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path}: install larq-reactnet-runtime again.")
    return path


def load_delegate(
    num_threads: int = 1,
    isa: str | None = None,
    *,
    fuse: bool = True,
    profile: str | os.PathLike[str] | None = None,
) -> Any:
    """The delegate that runs binary operators, for an interpreter of your own.

    !!! example
        ```python
        from ai_edge_litert.interpreter import Interpreter
        from larq_reactnet_runtime import load_delegate

        interpreter = Interpreter("model.tflite", experimental_delegates=[load_delegate(4)])
        ```

    Each interpreter needs a delegate of its own.

    Args:
        num_threads: Number of threads of the binary operators.
        isa: Instruction set, such as `"portable"`; by default the best that the CPU has.
        fuse: Whether float operators that follow a binary convolution run in its epilogue, with
            the same results.
        profile: File that gets a CSV row for each operator of the library, with the number of its
            runs and the nanoseconds they took, when the interpreter is deleted.

    Raises:
        ValueError: If there is no such instruction set.
        ImportError: If no TensorFlow Lite interpreter is installed.
        FileNotFoundError: If this package was installed without its library.
        RuntimeError: If the library is that of another version.
    """
    if isinstance(num_threads, bool) or not isinstance(num_threads, int) or num_threads < 1:
        raise ValueError(f"`num_threads` must be at least 1, got {num_threads!r}.")
    options = {"num_threads": str(num_threads), "fuse": "1" if fuse else "0"}
    options |= {} if isa is None else {"isa": isa}
    options |= {} if profile is None else {"profile": os.fspath(profile)}
    path = library_path()
    _loaded()  # which refuses a library of another version
    try:
        return find().load_delegate(str(path), options)
    except ValueError as error:
        reason = str(error).replace(f"Failed to load delegate from {path}", "").strip()
        raise ValueError(
            f"The library takes no {options}: {reason or 'it gives no reason'}"
        ) from error


def instruction_sets() -> tuple[str, ...]:
    """The instruction sets of this CPU that the library has code for, best first.

    Each may be given as `isa`; the last one is `"portable"`.

    Raises:
        FileNotFoundError: If this package was installed without its library.
        RuntimeError: If the library is that of another version.
    """
    function = _loaded().larq_reactnet_runtime_instruction_sets
    function.restype = ctypes.c_char_p
    names: bytes | None = function()
    if names is None:
        raise MemoryError("The library has no memory for the names of its instruction sets.")
    return tuple(names.decode().split(","))


def _loaded() -> ctypes.CDLL:
    """The library, once it has said that it is of the version of this package.

    Raises:
        FileNotFoundError: If this package was installed without its library.
        RuntimeError: If it is of another version, or cannot be loaded.
    """
    from larq_reactnet_runtime import __version__

    path = library_path()
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:  # such as one for another processor
        raise RuntimeError(
            f"{path} cannot be loaded: {error}. Install larq-reactnet-runtime again, for this "
            "machine."
        ) from error
    found = "older"
    with contextlib.suppress(AttributeError):  # of a library that does not tell
        library.larq_reactnet_runtime_version.restype = ctypes.c_char_p
        found = library.larq_reactnet_runtime_version().decode()
    if found != __version__:
        raise RuntimeError(
            f"{path} is of version {found}, and the package larq_reactnet_runtime of version "
            f"{__version__}: install larq-reactnet-runtime again."
        )
    return library


def _title(name: str, package: Any) -> str:
    return f"{name} {getattr(package, '__version__', '')}".strip()
