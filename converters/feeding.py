"""What models and files are fed with: a list of arrays, one for each input of the model."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

__all__ = ["Inputs", "as_inputs", "batches", "input_names", "listed", "noise", "of_types"]

# The inputs of a model: an array, or several, each with the same number of rows.
Inputs: TypeAlias = np.ndarray | Sequence[np.ndarray]


def listed(inputs: Inputs) -> list[np.ndarray]:
    """The arrays of all inputs of a model, also if there is one."""
    return [inputs] if isinstance(inputs, np.ndarray) else [*inputs]


def batches(inputs: Inputs, size: int = 1) -> Iterator[list[np.ndarray]]:
    """That many rows of each input at a time."""
    arrays = listed(inputs)
    for start in range(0, len(arrays[0]), size):
        yield [array[start : start + size] for array in arrays]


def noise(model: tf.keras.Model, count: int = 64) -> list[np.ndarray]:
    """Normally distributed numbers for each input of a model, always the same."""
    rng = np.random.default_rng(0)
    return [
        rng.normal(size=(count, *tensor.shape[1:])).astype(np.float32) for tensor in model.inputs
    ]


def of_types(inputs: Sequence[np.ndarray], types: Sequence[Any]) -> list[np.ndarray]:
    """The same numbers as the integers that a file takes, where it takes integers.

    Raises:
        ValueError: If they are not such integers.
    """
    return [_of_type(array, dtype) for array, dtype in zip(inputs, types, strict=True)]


def input_names(model: tf.keras.Model) -> list[str]:
    """What the inputs of a model are called by those who call it with a dict."""
    return sorted(model.input) if isinstance(model.input, dict) else [*model.input_names]


def as_inputs(
    data: Any, model: tf.keras.Model, limit: int, names: Sequence[str]
) -> list[np.ndarray]:
    """The first `limit` inputs in `data`, as a float32 array for each input of `model`.

    Args:
        data: An array; for several inputs a list of arrays, or a dict by the names of the inputs;
            a pair of that and labels; or a `tf.data.Dataset` of batches of that.
        model: Functional or sequential model of fixed size.
        limit: Use at most this many.
        names: Names of the inputs.

    Raises:
        ValueError: If there are none, or they do not fit the model.
    """
    if isinstance(data, tf.data.Dataset):
        rows = [*_rows(data, names, limit)]
        if not rows:
            raise _empty()
        arrays = [np.concatenate(parts) for parts in zip(*rows, strict=True)]
    else:
        arrays = _by_input(data[0] if isinstance(data, tuple) and data else data, names)
    fitting = [
        _checked(array[:limit] if array.ndim else array, tuple(tensor.shape[1:]), name)
        for array, tensor, name in zip(arrays, model.inputs, names, strict=True)
    ]
    if len({len(array) for array in fitting}) > 1:
        raise ValueError(
            f"`verify_with` must hold as many rows for each input of the model, but it has "
            f"{', '.join(str(len(array)) for array in fitting)}."
        )
    return fitting


def _of_type(array: np.ndarray, dtype: Any) -> np.ndarray:
    if array.dtype == dtype or not np.issubdtype(dtype, np.integer):
        return array
    limits = np.iinfo(dtype)
    if array.min() < limits.min or array.max() > limits.max or (array != np.rint(array)).any():
        raise ValueError(
            f"The .tflite takes {np.dtype(dtype).name}: give it whole numbers from {limits.min} to "
            f"{limits.max}."
        )
    return array.astype(dtype)


def _by_input(data: Any, names: Sequence[str]) -> list[np.ndarray]:
    """An array for each of the inputs."""
    if isinstance(data, Mapping):
        if set(names) - set(data):
            raise _unsuitable(names)
        data = [data[name] for name in names]
    elif len(names) == 1:
        data = [data]
    if not isinstance(data, list | tuple) or len(data) != len(names):
        raise _unsuitable(names)
    arrays = [np.asarray(array) for array in data]
    if any(array.dtype.kind not in "fiub" or not array.ndim for array in arrays):
        raise _unsuitable(names)
    return arrays


def _checked(array: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    if not len(array):
        raise _empty()
    if array.shape[1:] != shape:
        raise ValueError(
            f"`verify_with` must hold inputs of shape {shape} for {name}, but it is {array.shape}; "
            "give a batch, without labels, or a tf.data.Dataset of batches."
        )
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError("`verify_with` holds NaN or infinite values.")
    return array


def _rows(data: tf.data.Dataset, names: Sequence[str], limit: int) -> Iterator[list[np.ndarray]]:
    """The inputs of each batch, until there are `limit` of them.

    A batch is what a model takes, or a tuple that begins with it: `(inputs, labels, ...)`.
    """
    count = 0
    for element in data.as_numpy_iterator():
        batch = _by_input(element[0] if isinstance(element, tuple) else element, names)
        yield batch
        count += len(batch[0])
        if count >= limit:
            return


def _unsuitable(names: Sequence[str]) -> ValueError:
    several = f", for each of the inputs {', '.join(names)}" if len(names) > 1 else ""
    return ValueError(
        f"`verify_with` must be an array of numbers{several}, or a tf.data.Dataset of that."
    )


def _empty() -> ValueError:
    return ValueError(
        "`verify_with` is empty: give at least one input, or leave it out to verify with noise."
    )
