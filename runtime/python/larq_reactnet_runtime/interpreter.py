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

__all__ = ["Interpreter"]

MOST_ELEMENTS = 2**27  # of a tensor: 0.5 GB, which corrupt shapes pass and networks do not
_INPUTS, _OUTPUTS = ("float32", "uint8", "int8"), ("float32",)  # types of tensors
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
        model: Path or content of a file of float32 outputs, whose inputs are float32, or bytes.
        num_threads: Number of threads.
        isa: Instruction set, such as `"portable"`; by default the best that the CPU has.
        fuse: See `load_delegate`.
        profile: See `load_delegate`.

    Attributes:
        model: What is in the file.
        claimed: Number of binary operators that the library runs, which are all there are.
        engine: Name and version of the package whose interpreter it is.
        input_shapes: Shapes of the inputs of the model, the batch included.
        input_types: Their NumPy types.
        output_shapes: Shapes of its outputs, the batch included.
        output_types: Their NumPy types.

    Raises:
        ValueError: If the file is truncated or corrupt, or has inputs or outputs of other types.
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
        try:
            self._inputs = [_batch_of(tensor, "input", _INPUTS) for tensor in self.model.inputs]
            self._outputs = [_batch_of(tensor, "output", _OUTPUTS) for tensor in self.model.outputs]
        except ValueError:
            _refuse_foreign(self.model)  # the converter did not know what they give
            raise
        if len({tensor.shape[0] for tensor in self._inputs}) != 1:
            raise ValueError("The inputs of the .tflite have batches of different sizes, or none.")
        self.input_shapes = [tensor.shape for tensor in self._inputs]
        self.input_types = [getattr(np, tensor.dtype) for tensor in self._inputs]
        self.output_shapes = [tensor.shape for tensor in self._outputs]
        self.output_types = [np.float32 for _ in self._outputs]
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
            raise RuntimeError(f"{self.engine} cannot run the .tflite: {_line(error)}") from error
        # A stock interpreter has no binary operators, and has just refused those left to it.
        self.claimed = self.model.binary_operators
        details = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._input_indices, self._output_indices = ([d["index"] for d in side] for side in details)
        self._batch = self._inputs[0].shape[0]
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

    def predict(self, x: np.ndarray | Sequence[np.ndarray]) -> np.ndarray | list[np.ndarray]:
        """The outputs for a batch of any size.

        Args:
            x: Array of shape `(n, *input_shape)` and of the type in `input_types`: float32,
                normalized as the model wants it, or bytes. For several inputs, a list of arrays.

        Returns:
            float32 array of shape `(n, *output_shape)`; a list of arrays if there are several
            outputs.

        Raises:
            ValueError: If the inputs have another type or shape, or numbers that are not finite.
            RuntimeError: If the interpreter fails.
        """
        given = [x] if isinstance(x, np.ndarray) else [*x]
        if len(given) != len(self._inputs):
            count = len(self._inputs)
            raise ValueError(
                f"The .tflite takes {count} input{'s' * (count != 1)}, but these are {len(given)}."
            )
        arrays = [_checked(array, tensor) for array, tensor in zip(given, self._inputs)]
        total = len(arrays[0])
        if any(len(array) != total for array in arrays):
            raise ValueError("The inputs must have the same number of rows.")
        outputs = [np.empty((total, *tensor.shape[1:]), np.float32) for tensor in self._outputs]
        with self._lock:
            done = 0
            while done < total:
                # Batches of almost the same size: at most two sizes, as changing it takes time.
                left = total - done
                size = self._resize(math.ceil(left / math.ceil(left / BATCH)))
                for array, index in zip(arrays, self._input_indices):
                    batch = array[done : done + size]
                    if len(batch) < size:
                        batch = np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), 0)])
                    self._interpreter.set_tensor(index, batch)
                self._interpreter.invoke()
                for output, index in zip(outputs, self._output_indices):
                    rows = self._interpreter.get_tensor(index)
                    output[done : done + size] = rows[: total - done]
                done += size
        return outputs[0] if len(outputs) == 1 else outputs

    def _resize(self, size: int) -> int:
        """Make the batch `size`, or what the file says if its graph allows no other."""
        if self._batch == size or (self._fixed and self._batch):
            return self._batch
        try:
            self._set_batch(size)
            shapes = [tuple(d["shape"]) for d in self._interpreter.get_output_details()]
            self._fixed = shapes != [(size, *tensor.shape[1:]) for tensor in self._outputs]
        except (RuntimeError, ValueError):  # such as a reshape to a constant shape
            self._fixed = True
        if self._fixed:
            self._set_batch(self._inputs[0].shape[0])
        return self._batch

    def _set_batch(self, size: int) -> None:
        self._batch = 0  # unknown, if one of these fails
        for tensor, index in zip(self._inputs, self._input_indices):
            self._interpreter.resize_tensor_input(index, [size, *tensor.shape[1:]])
        self._interpreter.allocate_tensors()
        self._batch = size


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
    """`array`, if it is a batch of what `tensor` takes."""
    if not isinstance(array, np.ndarray):
        raise ValueError(f"`x` must be a NumPy array, got {type(array).__name__}.")
    shape, wanted = tensor.shape[1:], ", ".join(map(str, ("n", *tensor.shape[1:])))
    if array.dtype != tensor.dtype:
        how = ", and normalize as the model wants it" if tensor.dtype == "float32" else ""
        raise ValueError(
            f"`x` must be {tensor.dtype} of shape ({wanted}), got {array.dtype.name}: use "
            f".astype(numpy.{tensor.dtype}){how}."
        )
    if array.ndim != len(shape) + 1 or array.shape[1:] != shape:
        one = " Of one image, give images[None]." if array.shape == shape else ""
        raise ValueError(f"`x` must have the shape ({wanted}), got {array.shape}.{one}")
    if not np.isfinite(array).all():
        raise ValueError("`x` holds NaN or infinite values.")
    return np.ascontiguousarray(array)


def _batch_of(tensor: Tensor, kind: str, types: tuple[str, ...]) -> Tensor:
    """`tensor`, if it has a batch of one of the types."""
    if tensor.dtype not in types or not tensor.shape or 0 in tensor.shape:
        raise ValueError(
            f"The {kind} of the .tflite is {tensor.dtype} of shape {tensor.shape}: a batch of "
            f"{' or '.join(types)} is supported. Use `load_delegate` with an interpreter of your "
            "own."
        )
    return tensor


def _line(error: Exception) -> str:
    """The message of an interpreter, in one line."""
    lines = (line.strip() for line in str(error).splitlines())
    return "; ".join(line for line in lines if line) or type(error).__name__
