"""The `.tflite` against the Keras model: both are run on the same inputs and compared."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from larq_reactnet.converters._keras.calls import float64_errors, rebuild
from larq_reactnet.converters.interpreter import TITLES, Interpreter, engines
from larq_reactnet.distillation import ends_in_softmax

import numpy as np
import tensorflow as tf
from tqdm import tqdm

__all__ = ["Agreement", "predict_tflite", "verify", "verify_in_float64"]

BATCH = 64
FEW = 8  # inputs that are also run with LCE's default kernel, the slowest on x86
SMALLEST_PROBABILITY = 1e-30  # below it, the logarithm would compare noise


@dataclass(frozen=True)
class Agreement:
    """How the outputs of two models compare.

    Attributes:
        images: Number of inputs.
        same_class: Share of inputs with the same arg-max, 0 to 1. With a single output, which has
            no arg-max, the share of those that differ by less than 1 %.
        mean_distance: Mean absolute difference of the logits. Of a model that ends in a softmax,
            logits are the logarithms of its outputs, centered.
        max_distance: Largest absolute difference of the logits.
        engine: What ran the file.
        second: How the file in larq-reactnet-runtime compares with the file in `engine`, if that is
            LCE's interpreter and both are installed.
        refusal: Why larq-reactnet-runtime did not run the file, if it is installed and did not.
    """

    images: int
    same_class: float
    mean_distance: float
    max_distance: float
    engine: str = TITLES["lce"]
    second: "Agreement | None" = None
    refusal: str = ""

    @property
    def engines(self) -> tuple[str, ...]:
        """What ran the file, the first of which is compared with Keras."""
        return (self.engine, *(self.second.engines if self.second else ()))


def verify(
    model: tf.keras.Model, flatbuffer: bytes, inputs: np.ndarray, *, progress: bool = True
) -> Agreement:
    """Run the Keras model and the `.tflite` on `inputs` and compare.

    The `.tflite` runs in LCE's own interpreter, one input at a time, as on a device: all inputs
    with the indirect kernel, the first few also with the default one. Where larq-reactnet-runtime
    is installed, all inputs run in it too, and are compared with those of LCE: `Agreement.second`.
    Where LCE is not, they run in larq-reactnet-runtime alone.

    Args:
        model: Keras model of one input and one output.
        flatbuffer: What LCE made of it.
        inputs: Array of shape `(n, height, width, channels)`.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: If an output is not finite or has another shape, LCE's two kernels do not agree,
            or the file is corrupt.
        ImportError: If neither LCE nor larq-reactnet-runtime is installed.
    """
    outputs = [np.asarray(model.predict_on_batch(batch)) for batch in _batches(inputs)]
    expected = np.concatenate(outputs)
    softmax = ends_in_softmax(model)
    *others, engine = engines()  # LCE, where it is installed, is the last
    found = predict_tflite(flatbuffer, inputs, engine=engine, progress=progress)
    agreement = _compare(TITLES[engine], found, "Keras model", expected, softmax)
    if engine == "lce":
        few = predict_tflite(flatbuffer, inputs[:FEW], progress=False, default_kernel=True)
        if not np.allclose(few, found[:FEW], rtol=1e-4, atol=1e-4):
            raise ValueError("LCE's default and indirect kernels give different outputs.")
    for other in others:
        # Of the same bits, its binary operators give what LCE's give. The float operators are those
        # of a newer TensorFlow Lite, with XNNPACK, and round in another way. Of 1,000 test images
        # of a trained ReActNet, 999 get logits within 1e-4 of LCE's; one gets a sign the other way,
        # and logits 0.2 apart. With dense layers in int8, whose inputs it rounds in another way
        # too, they are 0.02 apart on average. So it is classes that must be the same, as with
        # Keras, and how far apart the logits are is only said.
        try:
            interpreter = Interpreter(flatbuffer, engine=other)
        except ValueError as error:
            return replace(agreement, refusal=str(error))
        with interpreter:
            there = _run(interpreter, inputs, progress)
        second = _compare(TITLES[other], there, TITLES[engine], found, softmax)
        agreement = replace(agreement, second=second)
    return agreement


def verify_in_float64(
    model: tf.keras.Model, deploy: Callable[[tf.keras.Model], tf.keras.Model], inputs: np.ndarray
) -> float:
    """Compare `model` and what `deploy` makes of it where rounding decides nothing.

    In float32, two networks of the same function give other logits as soon as one sign falls the
    other way. In float64, no number of a real network is that close to a threshold.

    Args:
        model: Functional or sequential model, without models in it.
        deploy: Function from a model to another of the same function, such as `fold`.
        inputs: Array of shape `(n, height, width, channels)`.

    Returns:
        The largest difference of their outputs, relative to the largest output if that is not 0.

    Raises:
        ValueError: If the model cannot be copied, or does not run in float64.
    """
    with float64_errors(model):
        exact = rebuild(model, dtype="float64")
        deployed = deploy(exact)
        outputs = [
            np.concatenate([np.asarray(m(image[None].astype(np.float64))) for image in inputs])
            for m in (exact, deployed)
        ]
    size = np.abs(outputs[0]).max() or 1.0
    return float(np.abs(outputs[1] - outputs[0]).max() / size)


def predict_tflite(
    flatbuffer: bytes,
    inputs: np.ndarray,
    *,
    engine: str = "auto",
    progress: bool = True,
    default_kernel: bool = False,
) -> np.ndarray:
    """The outputs of a `.tflite`.

    Args:
        flatbuffer: The content of the file.
        inputs: Array of shape `(n, height, width, channels)`.
        engine: `"lce"`, `"runtime"`, or `"auto"`: larq-reactnet-runtime if it is installed and runs
            the file, else LCE.
        progress: Whether to show a progress bar.
        default_kernel: Use LCE, and its default kernel in place of the indirect one, which is
            several times faster on x86.

    Returns:
        Array of the outputs, the first axis of which is that of `inputs`.

    Raises:
        ValueError: If the inputs do not fit the model, or it is corrupt.
        ImportError: If the engine is not installed.
    """
    kernel = "indirect"
    if default_kernel:
        if engine == "runtime":
            raise ValueError("`default_kernel` is LCE's: the engine must not be 'runtime'.")
        engine, kernel = "lce", "default"
    with Interpreter(flatbuffer, engine=engine, kernel=kernel) as interpreter:
        return _run(interpreter, inputs, progress)


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


def _run(interpreter: Interpreter, inputs: np.ndarray, progress: bool) -> np.ndarray:
    """The outputs for each of `inputs`, as on a device one at a time."""
    if inputs.shape[1:] != interpreter.input_shapes[0][1:]:
        raise ValueError(
            f"The .tflite takes inputs of shape {interpreter.input_shapes[0][1:]}, but these are "
            f"{inputs.shape[1:]}."
        )
    what = f"Running the .tflite in {TITLES[interpreter.engine]}"
    rows = tqdm(inputs, what, unit="image", leave=False, disable=not progress)
    return np.concatenate([interpreter.run(row[None])[0] for row in rows])


def _compare(
    engine: str, found: np.ndarray, other: str, expected: np.ndarray, softmax: bool
) -> Agreement:
    """How the outputs of the file in an engine compare with other ones."""
    if found.shape != expected.shape:
        raise ValueError(
            f"The .tflite gives {found.shape} in {engine}, and the {other} {expected.shape}."
        )
    for name, values in ((other, expected), (f".tflite in {engine}", found)):
        if not np.isfinite(values).all():
            raise ValueError(f"The {name} gives NaN or infinite values on the given inputs.")
    if expected.shape[-1] > 1:
        same = expected.argmax(-1) == found.argmax(-1)
    else:
        same = np.isclose(found, expected, rtol=1e-2, atol=1e-6)
    if softmax:
        expected, found = _logits(expected), _logits(found)
    distances = np.abs(expected - found)
    return Agreement(
        len(found), float(same.mean()), float(distances.mean()), float(distances.max()), engine
    )


def _rows(data: tf.data.Dataset, limit: int) -> Iterator[np.ndarray]:
    """The inputs of batches of (inputs, labels, ...) or inputs, until there are `limit`."""
    count = 0
    for element in data.as_numpy_iterator():
        batch = element[0] if isinstance(element, tuple) else element
        yield batch
        count += len(batch)
        if count >= limit:
            return


def _batches(inputs: np.ndarray) -> Iterator[np.ndarray]:
    return (inputs[start : start + BATCH] for start in range(0, len(inputs), BATCH))


def _logits(probabilities: np.ndarray) -> np.ndarray:
    logits = np.log(np.maximum(probabilities, SMALLEST_PROBABILITY))
    return logits - logits.mean(-1, keepdims=True)
