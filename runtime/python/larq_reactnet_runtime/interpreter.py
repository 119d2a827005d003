"""Binary `.tflite` files in a stock TensorFlow Lite interpreter."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from larq_reactnet_runtime import _engine
from larq_reactnet_runtime._shared.metadata import Metadata, metadata_of
from larq_reactnet_runtime._shared.model import File, Model, Tensor, content_of, read
from larq_reactnet_runtime._shared.quantizing import as_taken, dequantize, finite
from larq_reactnet_runtime._shared.sizing import fits, shown

__all__ = ["Interpreter"]

MOST_ELEMENTS = 2**27  # of a tensor: 0.5 GB, which corrupt shapes pass and networks do not
BATCH = 8  # images that are run at once: more need more memory, and are no faster


class Interpreter:
    """Runs `.tflite` files of Larq Compute Engine (LCE), and plain ones.

    Names are those of LCE's own interpreter, and of the one in larq-reactnet.

    !!! example
        ```python
        from larq_reactnet_runtime import Interpreter

        interpreter = Interpreter("model.tflite", num_threads=4)
        probabilities = interpreter.predict(images)  # float32 (n, h, w, c) -> (n, classes)
        ```

    The interpreter is that of LiteRT, tflite-runtime or TensorFlow, whichever is installed; the
    library of this package computes the binary operators in it.

    Args:
        model: Path or content of a file. Its inputs and outputs may be of any type of numbers:
            floats, integers, quantized or not, or the words of LCE, which are `int32` and hold the
            signs of 32 channels each.
        num_threads: Number of threads.
        isa: Instruction set, such as `"portable"`; by default the best that the CPU has.
        fuse: See `load_delegate`.
        profile: See `load_delegate`.

    Attributes:
        model: What is in the file.
        claimed: Number of binary operators that the library runs, which are all there are.
        engine: Name and version of the package whose interpreter it is.
        input_shapes: Shapes of the inputs of the model, the batch included.
        input_signatures: The same with -1 for sizes that may be any, such as those of images.
        input_types: Their NumPy types.
        input_scales: How they are quantized: an integer `q` stands for
            `scale * (q - zero_point)`. None if they are not.
        input_zero_points: See `input_scales`.
        output_shapes: Shapes of its outputs, the batch included.
        output_types: Their NumPy types.
        output_scales: See `input_scales`.
        output_zero_points: See `input_scales`.

    Raises:
        ValueError: If the file is truncated or corrupt, or has inputs or outputs that are not
            numbers.
        RuntimeError: If the interpreter cannot run it, with the reason.
        OSError: If there is no such file.
        ImportError: If no TensorFlow Lite interpreter is installed.
    """

    def __init__(
        self,
        model: File,
        num_threads: int = 1,
        *,
        isa: str | None = None,
        fuse: bool = True,
        profile: str | os.PathLike[str] | None = None,
    ):
        self._content = content_of(model)
        self.model = read(self._content)
        if self.model.largest > MOST_ELEMENTS:
            raise ValueError(
                "This TensorFlow Lite model is truncated or corrupt: a tensor has "
                f"{self.model.largest:,} elements."
            )
        self._inputs, self._outputs = self.model.inputs, self.model.outputs
        try:
            self.input_types = [_type_of(tensor, "input") for tensor in self._inputs]
            self.output_types = [_type_of(tensor, "output") for tensor in self._outputs]
        except ValueError:
            _refuse_foreign(self.model)  # the converter did not know what they give
            raise
        self.input_shapes = [tensor.shape for tensor in self._inputs]
        self.input_signatures = [tensor.signature for tensor in self._inputs]
        self.input_scales = [tensor.scale for tensor in self._inputs]
        self.input_zero_points = [tensor.zero_point for tensor in self._inputs]
        self.output_shapes = [tensor.shape for tensor in self._outputs]
        self.output_scales = [tensor.scale for tensor in self._outputs]
        self.output_zero_points = [tensor.zero_point for tensor in self._outputs]
        delegate = _engine.load_delegate(num_threads, isa, fuse=fuse, profile=profile)
        engine = _engine.find()
        self.engine = engine.name
        try:
            self._interpreter: Any = engine.interpreter(
                model_content=self._content,
                num_threads=num_threads,
                experimental_delegates=[delegate],
            )
            self._interpreter.allocate_tensors()
        except ValueError as error:
            raise ValueError(f"{self.engine} refuses the .tflite: {_line(error)}") from error
        except (MemoryError, RuntimeError) as error:
            _refuse_foreign(self.model)
            raise RuntimeError(f"{self.engine} cannot run the .tflite: {_line(error)}") from error
        # A stock interpreter has no binary operators, and has just refused those left to it.
        self.claimed = self.model.binary_operators
        details = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._input_indices, self._output_indices = ([d["index"] for d in side] for side in details)
        self._shapes: list[tuple[int, ...]] = self.input_shapes  # which it has memory for
        self._fixed = False  # whether the graph allows no other batch
        self._lock = threading.Lock()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the first input, without the axis of the batch."""
        return self._inputs[0].shape[1:]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the first output, without the axis of the batch."""
        return self._outputs[0].shape[1:]

    @property
    def metadata(self) -> Metadata:
        """What the file says of itself; without metadata, nothing.

        Raises:
            ValueError: If it is corrupt.
        """
        return metadata_of(self.model, self._content) or Metadata()

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, if the file has them.

        Raises:
            ValueError: If its metadata are corrupt.
        """
        return self.metadata.labels

    def predict(
        self, x: np.ndarray | Sequence[np.ndarray], *, dequantize: bool = False
    ) -> np.ndarray | list[np.ndarray]:
        """The outputs for a batch of any size.

        Args:
            x: Array of shape `(n, *input_shape)`. One of the type in `input_types` goes in as it
                is; floats that are given to a quantized input are quantized by its scale and zero
                point. For several inputs, a list of arrays.
            dequantize: Whether quantized outputs are given as the float32 numbers that they stand
                for.

        Returns:
            Array of shape `(n, *output_shape)` and of the type in `output_types`; a list of arrays
            if there are several outputs.

        Raises:
            ValueError: If the inputs have another type or shape, or numbers that are not finite;
                or if the model has inputs or outputs without a batch, for which there is `run`.
            RuntimeError: If the interpreter fails.
        """
        given = self._given([x] if isinstance(x, np.ndarray) else [*x])
        sides = {tensor.shape[0] if tensor.shape else 0 for tensor in self._inputs}
        if len(sides) != 1 or 0 in sides:
            raise ValueError(
                "The inputs of the .tflite have batches of different sizes, or none: use "
                "`Interpreter.run`."
            )
        total = len(given[0])
        if any(len(array) != total for array in given):
            raise ValueError("The inputs must have the same number of rows.")
        parts: list[list[np.ndarray]] = []
        with self._lock:
            done = 0
            while done < total:
                # Batches of almost the same size: at most two sizes, as changing it takes time.
                left = total - done
                size = self._resize(given, math.ceil(left / math.ceil(left / BATCH)))
                batch = [array[done : done + size] for array in given]
                if len(batch[0]) < size:  # the last row again, as often as it needs
                    batch = [_padded(array, size) for array in batch]
                found = self._invoke(batch)
                if any(array.shape[:1] != (size,) for array in found):
                    raise ValueError(
                        f"The .tflite gives outputs of shape {[a.shape for a in found]} for "
                        f"{size} rows, which are no batch: use `Interpreter.run`."
                    )
                parts.append([array[:left] for array in found])
                done += size
        if not parts:
            parts = [[np.empty((0, *t.shape[1:]), t.dtype) for t in self._outputs]]
        return self._taken([np.concatenate(rows) for rows in zip(*parts)], dequantize)

    def run(self, *inputs: np.ndarray, dequantize: bool = False) -> list[np.ndarray]:
        """The outputs of one run, for inputs as they are, with a batch or without.

        Args:
            *inputs: As those of `predict`, of the shapes in `input_signatures`; a batch may be of
                another size than in the file.
            dequantize: See `predict`.

        Raises:
            ValueError: If the inputs do not fit.
            RuntimeError: If the interpreter fails, or does not take this shape.
        """
        given = self._given(inputs)
        with self._lock:
            self._set_shapes([array.shape for array in given])
            found = self._invoke(given)
        taken = self._taken(found, dequantize)
        return taken if isinstance(taken, list) else [taken]

    def _given(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """`inputs`, of the types and shapes that the model takes."""
        count = len(self._inputs)
        if len(inputs) != count:
            raise ValueError(
                f"The .tflite takes {count} input{'s' * (count != 1)}, but these are {len(inputs)}."
            )
        return [_checked(array, tensor) for array, tensor in zip(inputs, self._inputs)]

    def _taken(self, outputs: list[np.ndarray], as_floats: bool) -> np.ndarray | list[np.ndarray]:
        if as_floats:
            outputs = [
                array if t.scale is None else dequantize(array, t.scale, t.zero_point)
                for array, t in zip(outputs, self._outputs)
            ]
        return outputs[0] if len(outputs) == 1 else outputs

    def _invoke(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        for array, index in zip(inputs, self._input_indices):
            self._interpreter.set_tensor(index, array)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._output_indices]

    def _resize(self, given: Sequence[np.ndarray], size: int) -> int:
        """Make the batch `size`, or what the file says if its graph allows no other."""
        own = self._inputs[0].shape[0]
        rows = [array.shape[1:] for array in given]
        size = own if self._fixed else size
        if not self._fixed and self._shapes != [(size, *shape) for shape in rows]:
            try:
                self._set_shapes([(size, *shape) for shape in rows])
                details = self._interpreter.get_output_details()
                # The others are known once it has run.
                self._fixed = any(tuple(d["shape"])[:1] != (size,) for d in details)
            except RuntimeError:  # such as a reshape to a constant shape
                self._fixed = True
            size = own if self._fixed else size
        self._set_shapes([(size, *shape) for shape in rows])
        return size

    def _set_shapes(self, shapes: Sequence[tuple[int, ...]]) -> None:
        shapes = [*shapes]
        if self._shapes == shapes:
            return
        self._shapes = []  # unknown, if one of these fails
        try:
            for shape, index in zip(shapes, self._input_indices):
                self._interpreter.resize_tensor_input(index, shape)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise RuntimeError(
                f"{self.engine} cannot run the .tflite for inputs of shape "
                f"{' and '.join(map(str, shapes))}: {_line(error)}"
            ) from error
        self._shapes = shapes


def _refuse_foreign(model: Model) -> None:
    """Raise ValueError if a file has operators of neither TensorFlow Lite nor LCE."""
    known = ("Lce", "operator ")  # the latter is what `read` calls those that it has no name for
    foreign = [n for n in model.operators if not n.isupper() and not n.startswith(known)]
    if foreign:
        raise ValueError(
            f"The .tflite has the operator {' and '.join(foreign)}, which is neither one of "
            "TensorFlow Lite nor one of Larq Compute Engine."
        )


def _checked(array: np.ndarray, tensor: Tensor) -> np.ndarray:
    """`array`, if it is what `tensor` takes, in a batch of any size."""
    sizes = tensor.signature
    text = ", ".join(["n", *([shown(sizes[1:])] if sizes[1:] else [])]) if sizes else ""
    array = as_taken(array, tensor.dtype, tensor.scale, tensor.zero_point, f" of shape ({text})")
    if array.ndim != len(sizes) or not fits(array.shape[1:], sizes[1:]):
        one = " Of one image, give images[None]." if fits(array.shape, sizes[1:]) else ""
        raise ValueError(f"`x` must have the shape ({text}), got {array.shape}.{one}")
    return np.ascontiguousarray(finite(array)).reshape(array.shape)  # which makes arrays of scalars


def _padded(array: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate([array, np.repeat(array[-1:], size - len(array), 0)])


def _type_of(tensor: Tensor, kind: str) -> Any:
    """The NumPy type of a tensor, if it is one of numbers."""
    if tensor.dtype.startswith("type "):  # as `read` calls those that it has no name for
        raise ValueError(
            f"The {kind} of the .tflite is {tensor.dtype} of shape {tensor.shape}: numbers are "
            "supported. Use `load_delegate` with an interpreter of your own."
        )
    if 0 in tensor.shape:
        raise ValueError(f"The {kind} of the .tflite has the shape {tensor.shape}, of no numbers.")
    return np.dtype(tensor.dtype).type


def _line(error: Exception) -> str:
    """The message of an interpreter, in one line."""
    lines = (line.strip() for line in str(error).splitlines())
    return "; ".join(line for line in lines if line) or type(error).__name__
