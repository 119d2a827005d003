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
        model: Path or content of a file of one float32 input, and of float32 outputs.
        num_threads: Number of threads.
        isa: Instruction set, such as `"portable"`; by default the best that the CPU has.
        fuse: See `load_delegate`.
        profile: See `load_delegate`.

    Attributes:
        model: What is in the file.
        claimed: Number of binary operators that the library runs, which are all there are.
        engine: Name and version of the package whose interpreter it is.
        input_shapes: Shapes of the inputs of the model, the batch included; there is one.
        input_types: Their NumPy types.
        output_shapes: Shapes of its outputs, the batch included.
        output_types: Their NumPy types.

    Raises:
        ValueError: If the file is truncated, corrupt, or no model of one input and one output.
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
        if len(self.model.inputs) != 1:
            raise ValueError(
                f"The .tflite has {len(self.model.inputs)} inputs: one is supported. Use "
                "`load_delegate` with an interpreter of your own."
            )
        try:
            self._input = _batch_of_floats(self.model.inputs[0], "input")
            self._outputs = [_batch_of_floats(tensor, "output") for tensor in self.model.outputs]
        except ValueError:
            _refuse_foreign(self.model)  # the converter did not know what they give
            raise
        self.input_shapes = [self._input.shape]
        self.input_types = [np.float32]
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
        self._input_index = self._interpreter.get_input_details()[0]["index"]
        details = self._interpreter.get_output_details()
        self._output_indices = [output["index"] for output in details]
        self._batch = self._input.shape[0]
        self._fixed = False  # whether the graph allows no other batch
        self._lock = threading.Lock()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, without the axis of the batch."""
        return self._input.shape[1:]

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
            x: float32 array of shape `(n, *input_shape)`, normalized as the model wants it; or a
                list of this one array, as interpreters of several inputs take it.

        Returns:
            float32 array of shape `(n, *output_shape)`; a list of arrays if there are several
            outputs.

        Raises:
            ValueError: If the inputs have another type or shape, or numbers that are not finite.
            RuntimeError: If the interpreter fails.
        """
        given = [x] if isinstance(x, np.ndarray) else [*x]
        if len(given) != 1:
            raise ValueError(f"The .tflite takes 1 input, but these are {len(given)}.")
        images = self._checked(given[0])
        outputs = [
            np.empty((len(images), *tensor.shape[1:]), np.float32) for tensor in self._outputs
        ]
        with self._lock:
            done = 0
            while done < len(images):
                # Batches of almost the same size: at most two sizes, as changing it takes time.
                left = len(images) - done
                size = self._resize(math.ceil(left / math.ceil(left / BATCH)))
                batch = images[done : done + size]
                if len(batch) < size:
                    batch = np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), 0)])
                self._interpreter.set_tensor(self._input_index, batch)
                self._interpreter.invoke()
                for output, index in zip(outputs, self._output_indices):
                    rows = self._interpreter.get_tensor(index)
                    output[done : done + size] = rows[: len(images) - done]
                done += size
        return outputs[0] if len(outputs) == 1 else outputs

    def _checked(self, images: np.ndarray) -> np.ndarray:
        if not isinstance(images, np.ndarray):
            raise ValueError(f"`x` must be a NumPy array, got {type(images).__name__}.")
        wanted = ", ".join(map(str, ("n", *self.input_shape)))
        if images.dtype != np.float32:
            raise ValueError(
                f"`x` must be float32 of shape ({wanted}), got {images.dtype.name}: use "
                ".astype(numpy.float32), and normalize as the model wants it."
            )
        if images.ndim != len(self.input_shape) + 1 or images.shape[1:] != self.input_shape:
            one = " Of one image, give images[None]." if images.shape == self.input_shape else ""
            raise ValueError(f"`x` must have the shape ({wanted}), got {images.shape}.{one}")
        if not np.isfinite(images).all():
            raise ValueError("`x` holds NaN or infinite values.")
        return np.ascontiguousarray(images)

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
            self._set_batch(self._input.shape[0])
        return self._batch

    def _set_batch(self, size: int) -> None:
        self._batch = 0  # unknown, if one of these fails
        self._interpreter.resize_tensor_input(self._input_index, [size, *self.input_shape])
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


def _batch_of_floats(tensor: Tensor, kind: str) -> Tensor:
    """`tensor`, if it has a batch of float32."""
    if tensor.dtype != "float32" or not tensor.shape or 0 in tensor.shape:
        raise ValueError(
            f"The {kind} of the .tflite is {tensor.dtype} of shape {tensor.shape}: a batch of "
            "float32 is supported. Use `load_delegate` with an interpreter of your own."
        )
    return tensor


def _line(error: Exception) -> str:
    """The message of an interpreter, in one line."""
    lines = (line.strip() for line in str(error).splitlines())
    return "; ".join(line for line in lines if line) or type(error).__name__
