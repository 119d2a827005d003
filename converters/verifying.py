"""The `.tflite` against the Keras model: both are run on the same inputs and compared."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from larq_reactnet.converters._keras.calls import float64_errors, rebuild
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters.interpreter import TITLES, Interpreter, engines
from larq_reactnet.converters.judging import Agreement, compare, rounding_of
from larq_reactnet.distillation import ends_in_softmax

import numpy as np
import tensorflow as tf

__all__ = ["Runner", "as_inputs", "predict_tflite", "verify", "verify_in_float64"]

_BATCH = 64
_FEW = 8  # inputs that are also run with LCE's default kernel, the slowest on x86

# A function from the content of a file to its outputs in the reference engine, which is LCE's
# interpreter, or larq-reactnet-runtime where LCE is not installed.
Runner = Callable[[bytes], np.ndarray]


def verify(
    model: tf.keras.Model,
    flatbuffer: tflite.File,
    inputs: np.ndarray,
    *,
    stored: np.ndarray | float = 0.0,
    run: Runner | None = None,
    progress: bool = True,
) -> Agreement:
    """Run the Keras model and the `.tflite` on `inputs` and compare.

    The `.tflite` runs in LCE's own interpreter, one input at a time, as on a device: all inputs
    with the indirect kernel, the first few also with the default one. Where larq-reactnet-runtime
    is installed, all inputs run in it too, and its outputs are compared with those of LCE's
    interpreter: `Agreement.second`. Where LCE is not installed, the file runs in
    larq-reactnet-runtime alone.

    Args:
        model: Keras model of one input and one output.
        flatbuffer: What LCE made of it: the path of a file, or its content.
        inputs: Array of shape `(n, height, width, channels)`.
        stored: How far a logit may move because weights are stored in a smaller type than float32:
            a number for each input, or one for all.
        run: Function that gives the outputs of the reference engine, if there is one that knows
            them already.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: If an output is not finite or has another shape, LCE's two kernels do not agree,
            or the file is corrupt.
        OSError: If there is no such file.
        ImportError: If neither LCE nor larq-reactnet-runtime is installed.
    """
    content = tflite.content_of(flatbuffer)
    run = run or runner(inputs, progress=progress)
    *others, engine = engines()  # LCE, where it is installed, is the last
    outputs = [np.asarray(model.predict_on_batch(batch)) for batch in _batches(inputs)]
    expected, found = np.concatenate(outputs), run(content)
    _check_outputs("Keras model", expected, f".tflite in {TITLES[engine]}", found)
    rules: dict[str, Any] = {"softmax": ends_in_softmax(model), "rounding": rounding_of(model)}
    agreement = compare(found, expected, stored=stored, engine=TITLES[engine], **rules)
    if engine == "lce":
        few = predict_tflite(content, inputs[:_FEW], progress=False, default_kernel=True)
        if not np.allclose(few, found[:_FEW], rtol=1e-4, atol=1e-4):
            raise ValueError("LCE's default and indirect kernels give different outputs.")
    for other in others:
        # Given the same bits, its binary operators give exactly what those of LCE give. Its float
        # operators are those of a newer TensorFlow Lite with XNNPACK, which round in another way.
        try:
            with Interpreter(content, engine=other) as interpreter:
                there = np.asarray(interpreter.predict(inputs, progress=progress))
        except ValueError as error:
            return replace(agreement, refusal=str(error))
        titles = [f".tflite in {TITLES[name]}" for name in (engine, other)]
        _check_outputs(titles[0], found, titles[1], there)
        second = compare(there, found, engine=TITLES[other], **rules)
        agreement = replace(agreement, second=second)
    return agreement


def verify_in_float64(
    model: tf.keras.Model, deploy: Callable[[tf.keras.Model], tf.keras.Model], inputs: np.ndarray
) -> float:
    """Compare `model` with what `deploy` makes of it in float64, where rounding decides nothing.

    In float32, two networks that compute the same function give different logits as soon as
    rounding flips one sign. In float64, no number of a real network is close enough to a threshold
    for that.

    Args:
        model: Functional or sequential model, without models in it.
        deploy: Function from a model to another that computes the same, such as `fold`.
        inputs: Array of shape `(n, height, width, channels)`.

    Returns:
        The largest difference between their outputs, relative to the largest output if that is not
        0.

    Raises:
        ValueError: If the model cannot be copied, or does not run in float64.
    """
    with float64_errors(model):
        exact = rebuild(model, dtype="float64")
        deployed = deploy(exact)
        outputs = [
            np.concatenate(
                [np.asarray(m(image[None].astype(np.float64), training=False)) for image in inputs]
            )
            for m in (exact, deployed)
        ]
    size = np.abs(outputs[0]).max() or 1.0
    return float(np.abs(outputs[1] - outputs[0]).max() / size)


def predict_tflite(
    flatbuffer: tflite.File,
    inputs: np.ndarray,
    *,
    engine: str = "auto",
    progress: bool = True,
    default_kernel: bool = False,
) -> np.ndarray:
    """The outputs of a `.tflite`, which runs one input at a time as on a device.

    Args:
        flatbuffer: The path of the file, or its content.
        inputs: Array of shape `(n, height, width, channels)`.
        engine: `"lce"`, `"runtime"`, or `"auto"`: larq-reactnet-runtime if it is installed and runs
            the file, else LCE.
        progress: Whether to show a progress bar.
        default_kernel: Use LCE with its default kernel. On x86 it is several times slower than the
            indirect kernel, which is used otherwise.

    Returns:
        Array of the outputs, with the same first axis as `inputs`.

    Raises:
        ValueError: If the inputs do not fit the model, or it is corrupt.
        OSError: If there is no such file.
        ImportError: If the engine is not installed.
    """
    kernel = "indirect"
    if default_kernel:
        if engine == "runtime":
            raise ValueError("`default_kernel` is LCE's: the engine must not be 'runtime'.")
        engine, kernel = "lce", "default"
    with Interpreter(flatbuffer, engine=engine, kernel=kernel) as interpreter:
        outputs = interpreter.predict(inputs, progress=progress)
    return outputs if isinstance(outputs, np.ndarray) else outputs[0]


def runner(inputs: np.ndarray, *, progress: bool = True) -> Runner:
    """A function that runs files on `inputs` in the reference engine, each file only once."""
    *_, engine = engines()
    return functools.cache(
        lambda content: predict_tflite(content, inputs, engine=engine, progress=progress)
    )


def as_inputs(data: Any, shape: tuple[int, ...], limit: int) -> np.ndarray:
    """The first `limit` inputs in `data`, as a float32 array.

    Raises:
        ValueError: If there are none, or they do not have `shape`.
    """
    if isinstance(data, tuple):  # (inputs, labels)
        data = data[0]
    if isinstance(data, tf.data.Dataset):
        inputs = np.concatenate([*_rows(data, limit)] or [np.zeros((0, *shape))])[:limit]
    else:
        inputs = np.asarray(data)
    if inputs.dtype.kind not in "fiub" or not inputs.ndim:
        raise ValueError("`verify_with` must be an array of numbers or a tf.data.Dataset.")
    inputs = inputs[:limit].astype(np.float32)
    if inputs.shape[1:] != shape or not len(inputs):
        raise ValueError(
            f"`verify_with` must hold inputs of shape {shape}, but it is {inputs.shape}; give a "
            "batch, without labels, or a tf.data.Dataset of batches."
        )
    if not np.isfinite(inputs).all():
        raise ValueError("`verify_with` holds NaN or infinite values.")
    return inputs


def _check_outputs(one: str, ours: np.ndarray, other: str, theirs: np.ndarray) -> None:
    """Raise ValueError if outputs cannot be compared."""
    if ours.shape != theirs.shape:
        raise ValueError(
            f"The {one} gives outputs of shape {ours.shape}, and the {other} of shape "
            f"{theirs.shape}."
        )
    for name, values in ((one, ours), (other, theirs)):
        if not np.isfinite(values).all():
            raise ValueError(f"The {name} gives NaN or infinite values for the given inputs.")


def _rows(data: tf.data.Dataset, limit: int) -> Iterator[np.ndarray]:
    """The inputs of each batch, until there are `limit` of them.

    A batch is an array of inputs, or a tuple that begins with one: `(inputs, labels, ...)`.
    """
    count = 0
    for element in data.as_numpy_iterator():
        batch = element[0] if isinstance(element, tuple) else element
        yield batch
        count += len(batch)
        if count >= limit:
            return


def _batches(inputs: np.ndarray) -> Iterator[np.ndarray]:
    return (inputs[start : start + _BATCH] for start in range(0, len(inputs), _BATCH))
