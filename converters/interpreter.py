"""Interpreters of `.tflite` files, each in a process of its own.

There are two: that of Larq Compute Engine (LCE), and larq-reactnet-runtime, which is several times
as fast and also runs on aarch64, where LCE has no package.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from larq_reactnet._shared import model as files
from larq_reactnet._shared.quantizing import as_taken, dequantize
from larq_reactnet._shared.sizing import fits
from larq_reactnet.converters._engine.process import ENGINES, TITLES, EngineProcess, engines
from larq_reactnet.converters._engine.reuse import take, take_back
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
        engine: `"lce"`, `"runtime"`, or `"auto"`: the runtime if it is installed and runs the file,
            else LCE.
        kernel: LCE's kernel of binary convolutions: `"indirect"`, several times faster on x86 than
            `"default"`, or `"reference"`. The runtime has its own.
        xnnpack: Use XNNPACK for float operators in LCE. Stock TensorFlow Lite and the runtime
            always do.
        limit: Seconds to wait for an answer before the process is ended.

    Attributes:
        engine: The engine that runs the file, `"lce"` or `"runtime"`.
        input_shapes: Shapes of the inputs of the model, the batch included.
        input_signatures: The same with -1 for sizes that may be any, such as those of images.
        input_types: Their NumPy types. The words of LCE, which hold the signs of 32 channels each,
            are `int32`.
        input_scales: How they are quantized: an integer `q` stands for
            `scale * (q - zero_point)`. None if they are not.
        input_zero_points: See `input_scales`.
        output_shapes: Shapes of the outputs of the model, the batch included.
        output_types: Their NumPy types.
        output_scales: See `input_scales`.
        output_zero_points: See `input_scales`.

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
        tflite.read(content)  # which checks more than the other reader
        found = files.read(content)
        self._inputs, self._outputs = found.inputs, found.outputs
        self.input_types, self.output_types = _types(found.inputs), _types(found.outputs)
        self.input_signatures = [tensor.signature for tensor in found.inputs]
        self.output_shapes = [tensor.shape for tensor in found.outputs]
        self.input_scales = [tensor.scale for tensor in found.inputs]
        self.input_zero_points = [tensor.zero_point for tensor in found.inputs]
        self.output_scales = [tensor.scale for tensor in found.outputs]
        self.output_zero_points = [tensor.zero_point for tensor in found.outputs]
        if self._process is None:
            self._process = take(self.engine)
        self._content = content
        try:
            self._start(content)
        except ValueError as error:
            raise self._named(error, content) from error
        self.input_shapes = self._shapes

    def predict(
        self,
        x: np.ndarray | Sequence[np.ndarray],
        *,
        dequantize: bool = False,
        progress: bool = False,
    ) -> np.ndarray | list[np.ndarray]:
        """The outputs for a batch of any size, which runs one input at a time as on a device.

        Where the file has a batch of another size, that many are run at a time.

        Args:
            x: Array whose first axis is that of the batch; if the model has several inputs, a list
                of them. One of the type in `input_types` goes in as it is; floats that are given to
                a quantized input are quantized by its scale and zero point.
            dequantize: Whether quantized outputs are given as the float32 numbers that they stand
                for.
            progress: Whether to show a progress bar.

        Returns:
            An array with the same first axis; if the model has several outputs, a list of them.

        Raises:
            ValueError: If the inputs do not have the shapes and types of the model, or it is
                corrupt.
        """
        given = self._given([x] if isinstance(x, np.ndarray) else [*x])
        outputs = [self._run(*row) for row in self._rows(given, progress)]
        whole = [np.concatenate(batches) for batches in zip(*outputs, strict=True)]
        joined = self._taken([array[: len(given[0])] for array in whole], dequantize)
        return joined[0] if len(joined) == 1 else joined

    def run(self, *inputs: np.ndarray, dequantize: bool = False) -> list[np.ndarray]:
        """The outputs of one run, for inputs of the shapes in the file or others that it allows.

        Args:
            *inputs: As those of `predict`, of the shapes in `input_signatures`.
            dequantize: See `predict`.

        Raises:
            ValueError: If the inputs do not have its shapes and types, or it is corrupt.
        """
        given = self._given(inputs)
        self._fit(given)
        return self._taken(self._run(*given), dequantize)

    def seconds(self, *inputs: np.ndarray, runs: int = 1) -> np.ndarray:
        """How long the model takes for `inputs`, without the time to send data to its process.

        One run before those that count wakes up the threads.

        Returns:
            Array `(runs,)` of seconds.

        Raises:
            ValueError: If the inputs do not have its shapes and types, or it is corrupt.
        """
        given = self._given(inputs)
        self._fit(given)
        self._resize([array.shape for array in given])
        (times,) = self._ask(b"T", *given, np.array(runs))
        return times

    def close(self) -> None:
        """Let go of the process, which ends unless another interpreter can have it."""
        process, self._process = self._process, None
        if process is not None:
            take_back(process)

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

    def _start(self, content: bytes) -> None:
        """Load a file, and note which shapes it takes now."""
        self._shapes: list[tuple[int, ...]] = []
        shapes = self._ask(b"M", np.frombuffer(content, np.uint8), self._options)
        self._shapes = [tuple(int(size) for size in shape) for shape in shapes]

    def _resize(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Load the file for inputs of other shapes. LCE's interpreter itself cannot change them."""
        if self._shapes == [*shapes]:
            return
        file = tflite.read(self._content)
        graph = file.subgraphs[0]
        for index, shape in zip(graph.inputs, shapes, strict=True):
            graph.tensors[index].shape = np.array(shape, np.int32)
        self._start(tflite.write(file))

    def _run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        self._resize([array.shape for array in inputs])
        return self._ask(b"P", *inputs)

    def _rows(self, given: list[np.ndarray], progress: bool) -> Iterator[list[np.ndarray]]:
        """The inputs of each run. The last ones are repeated to fill a batch."""
        sides = {tensor.shape[0] if tensor.shape else 0 for tensor in self._inputs}
        if len(sides) != 1 or 0 in sides:
            raise ValueError(
                "The inputs of the .tflite have batches of different sizes, or none: use "
                "`Interpreter.run`."
            )
        (side,) = sides
        for array, tensor in zip(given, self._inputs, strict=True):
            rows = [len(array), len(given[0])] if array.ndim else [0, 0]
            if not fits(array.shape[1:], tensor.signature[1:]) or rows[0] != rows[1] or not rows[0]:
                raise ValueError(
                    f"The .tflite takes inputs of shape {tensor.signature[1:]}, but {rows[0]} of "
                    f"shape {array.shape[1:]} were given."
                )
        count = len(given[0])
        title = f"Running the .tflite in {TITLES[self.engine]}"
        bar = tqdm(total=count, desc=title, unit="image", leave=False, disable=not progress)
        with bar:
            for start in range(0, count, side):
                places = np.arange(start, start + side).clip(max=count - 1)
                yield [array[places] for array in given]
                bar.update(side)

    def _given(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """`inputs`, of the types of the model."""
        if self._process is None or not self.input_shapes:
            raise ValueError("This interpreter has no model.")
        if len(inputs) != len(self._inputs):
            raise ValueError(
                f"The .tflite takes {len(self._inputs)} inputs, but {len(inputs)} were given."
            )
        return [
            as_taken(array, t.dtype, t.scale, t.zero_point, f" of shape {t.signature}")
            for array, t in zip(inputs, self._inputs, strict=True)
        ]

    def _fit(self, inputs: Sequence[np.ndarray]) -> None:
        for value, tensor in zip(inputs, self._inputs, strict=True):
            if not fits(value.shape, tensor.signature):
                raise ValueError(
                    f"The .tflite takes {tensor.dtype} inputs of shape {tensor.signature}, but one "
                    f"of shape {value.shape} was given."
                )

    def _taken(self, outputs: list[np.ndarray], as_floats: bool) -> list[np.ndarray]:
        if not as_floats:
            return outputs
        return [
            array if tensor.scale is None else dequantize(array, tensor.scale, tensor.zero_point)
            for array, tensor in zip(outputs, self._outputs, strict=True)
        ]

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


def _types(tensors: Sequence[files.Tensor]) -> list[Any]:
    """The NumPy types of inputs or outputs."""
    if any(tensor.dtype.startswith("type ") for tensor in tensors):  # which `read` has no name for
        raise ValueError("This .tflite has inputs or outputs that are not numbers.")
    return [np.dtype(tensor.dtype).type for tensor in tensors]
