"""Interpreters of `.tflite` files, each in a process of its own.

There are two: that of Larq Compute Engine (LCE), and larq-reactnet-runtime, which is several times
as fast and also runs on aarch64, where LCE has no package.
"""

import contextlib
from collections.abc import Iterator, Sequence

from larq_reactnet.converters._engine.process import ENGINES, TITLES, EngineProcess, engines
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.refused import refused_operators

import numpy as np
from tqdm import tqdm

__all__ = ["ENGINES", "TITLES", "Interpreter", "engines"]

_KERNELS = {"default": (0, 0), "reference": (1, 0), "indirect": (0, 1)}


class Interpreter:
    """Runs `.tflite` files of LCE, and plain ones.

    Names are those of LCE's own interpreter. That of larq-reactnet-runtime has them too.

    !!! example
        ```python
        with lr.converters.Interpreter("model.tflite") as interpreter:
            probabilities = interpreter.predict(images)
        ```

    Args:
        model: Path or content of a file.
        num_threads: Number of threads.
        engine: `"lce"`; `"runtime"`, which runs files whose outputs are float32, and whose inputs
            are float32 or bytes; or `"auto"`: the runtime if it is installed and runs the file,
            else LCE.
        kernel: LCE's kernel of binary convolutions: `"indirect"`, several times faster on x86 than
            `"default"`, or `"reference"`. The runtime has its own.
        xnnpack: Use XNNPACK for float operators in LCE. Stock TensorFlow Lite and the runtime
            always do.
        limit: Seconds to wait for an answer before the process is ended.

    Attributes:
        engine: The engine that runs the file, `"lce"` or `"runtime"`.
        input_shapes: Shapes of the inputs of the model, the batch included.
        input_types: Their NumPy types.
        output_shapes: Shapes of the outputs of the model, the batch included.
        output_types: Their NumPy types.

    Raises:
        ValueError: If the file is corrupt, or the interpreter cannot run it.
        OSError: If there is no such file.
        ImportError: If the engine is not installed.
    """

    def __init__(
        self,
        model: tflite.File,
        num_threads: int = 1,
        *,
        engine: str = "lce",
        kernel: str = "indirect",
        xnnpack: bool = False,
        limit: float = 120.0,
    ):
        if kernel not in _KERNELS:
            raise ValueError(f"`kernel` must be one of {[*_KERNELS]}, got {kernel!r}.")
        if num_threads < 1:
            raise ValueError(f"`num_threads` must be at least 1, got {num_threads}.")
        self._options = np.array([num_threads, *_KERNELS[kernel], xnnpack], np.int64)
        self._limit = limit
        self._process: EngineProcess | None = None
        content = tflite.content_of(model)
        *others, last = engines(engine)
        for self.engine in others:
            with contextlib.suppress(ValueError):
                self._open(content)
                return
        self.engine = last
        self._open(content)

    def load(self, model: tflite.File) -> None:
        """Load another file, in the same process if that is still alive.

        Raises:
            ValueError: If the file is corrupt, or the interpreter cannot run it.
        """
        self.input_shapes: list[tuple[int, ...]] = []
        content = tflite.content_of(model)
        graph = tflite.read(content).subgraphs[0]
        _, self.input_types = _tensors(graph, "inputs")
        self.output_shapes, self.output_types = _tensors(graph, "outputs")
        if self._process is None:
            self._process = EngineProcess(self.engine)
        try:
            shapes = self._ask(b"M", np.frombuffer(content, np.uint8), self._options)
        except ValueError as error:
            raise self._named(error, content) from error
        self.input_shapes = [tuple(int(size) for size in shape) for shape in shapes]

    def predict(
        self, x: np.ndarray | Sequence[np.ndarray], *, progress: bool = False
    ) -> np.ndarray | list[np.ndarray]:
        """The outputs for a batch of any size, which runs one input at a time as on a device.

        Args:
            x: Array whose first axis is that of the batch; if the model has several inputs, a list
                of them.
            progress: Whether to show a progress bar.

        Returns:
            An array with the same first axis; if the model has several outputs, a list of them.

        Raises:
            ValueError: If the inputs do not have the shapes and types of the model, or it is
                corrupt.
        """
        given = [x] if isinstance(x, np.ndarray) else [*x]
        outputs = [self.run(*row) for row in self._rows(given, progress)]
        joined = [np.concatenate(batches) for batches in zip(*outputs, strict=True)]
        return joined[0] if len(joined) == 1 else joined

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """The outputs of one run, for inputs of the shapes in the file.

        Raises:
            ValueError: If the inputs do not have its shapes and types, or it is corrupt.
        """
        self._fit(inputs)
        return self._ask(b"P", *inputs)

    def seconds(self, *inputs: np.ndarray, runs: int = 1) -> np.ndarray:
        """How long the model takes for `inputs`, without the time to send data to its process.

        One run before those that count wakes up the threads.

        Returns:
            Array `(runs,)` of seconds.

        Raises:
            ValueError: If the inputs do not have its shapes and types, or it is corrupt.
        """
        self._fit(inputs)
        (times,) = self._ask(b"T", *inputs, np.array(runs))
        return times

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def __enter__(self) -> "Interpreter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, content: bytes) -> None:
        try:
            self.load(content)
        except BaseException:
            self.close()
            raise

    def _named(self, error: ValueError, content: bytes) -> ValueError:
        """The same error, or one that names the operators that the engine refuses."""

        def runs(part: bytes) -> bool:
            with contextlib.suppress(ValueError):
                self._ask(b"M", np.frombuffer(part, np.uint8), self._options)
                return True
            return False

        if self._process is None or self.engine != "lce":  # the runtime names them itself
            return error
        names = refused_operators(content, runs)
        if not names or self._process is None:
            return error
        what = " and ".join(names)
        return ValueError(
            f"{TITLES[self.engine]} refuses the .tflite: it cannot run the operator {what}."
        )

    def _rows(self, given: list[np.ndarray], progress: bool) -> Iterator[list[np.ndarray]]:
        """The inputs of each run."""
        self._check_count(len(given))
        for array, shape in zip(given, self.input_shapes, strict=True):
            if array.shape[1:] != shape[1:] or len(array) != len(given[0]) or not len(array):
                raise ValueError(
                    f"The .tflite takes inputs of shape {shape[1:]}, but {len(array)} of shape "
                    f"{array.shape[1:]} were given."
                )
        title = f"Running the .tflite in {TITLES[self.engine]}"
        rows = range(len(given[0]))
        for row in tqdm(rows, title, unit="image", leave=False, disable=not progress):
            yield [array[row : row + 1] for array in given]

    def _check_count(self, count: int) -> None:
        if self._process is None or not self.input_shapes:
            raise ValueError("This interpreter has no model.")
        if count != len(self.input_shapes):
            raise ValueError(
                f"The .tflite takes {len(self.input_shapes)} inputs, but {count} were given."
            )

    def _fit(self, inputs: Sequence[np.ndarray]) -> None:
        self._check_count(len(inputs))
        for value, shape, dtype in zip(inputs, self.input_shapes, self.input_types, strict=True):
            if value.shape != shape or value.dtype != dtype:
                raise ValueError(
                    f"The .tflite takes {np.dtype(dtype).name} inputs of shape {shape}, but one of "
                    f"type {value.dtype.name} and shape {value.shape} was given."
                )

    def _ask(self, kind: bytes, *arrays: np.ndarray) -> list[np.ndarray]:
        if self._process is None:
            raise ValueError("This interpreter has no model.")
        try:
            return self._process.ask(kind, [*arrays], self._limit)
        except BrokenPipeError as error:
            self._process = None
            raise ValueError(str(error)) from error
        except ValueError:  # a refusal, after which the process goes on
            raise
        except BaseException:
            self._process = None
            raise


def _tensors(
    graph: tflite.SubGraphT, kind: str
) -> tuple[list[tuple[int, ...]], list[type[np.generic]]]:
    """Shapes and types of the `inputs` or `outputs` of a graph, as the file has them."""
    tensors = [graph.tensors[index] for index in getattr(graph, kind)]
    known = tflite.numpy_types()
    if any(tensor.type not in known for tensor in tensors):
        raise ValueError(f"This .tflite has {kind} that are not numbers.")
    shapes = [() if x.shape is None else tuple(map(int, x.shape)) for x in tensors]
    return shapes, [known[tensor.type] for tensor in tensors]
