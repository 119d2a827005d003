"""The `.tflite` against the Keras model: both are run on the same inputs and compared."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from larq_reactnet._graph.calls import float64_errors, rebuild
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters.agreement import Agreement
from larq_reactnet.converters.feeding import Inputs, batches, listed, of_types
from larq_reactnet.converters.interpreter import TITLES, Interpreter, engines
from larq_reactnet.converters.judging import compare, rounding_of
from larq_reactnet.converters.tasks import Output, outputs_of

import numpy as np
import tensorflow as tf

__all__ = ["Runner", "outputs_in_keras", "predict_tflite", "runner", "verify", "verify_in_float64"]

_BATCH = 64
_FEW = 8  # inputs that are also run with LCE's default kernel, the slowest on x86

# A function from the content of a file to each of its outputs in the reference engine, which is
# LCE's interpreter, or larq-reactnet-runtime where LCE is not installed.
Runner: TypeAlias = Callable[[bytes], list[np.ndarray]]


def verify(
    model: tf.keras.Model,
    flatbuffer: tflite.File,
    inputs: Inputs,
    *,
    task: str | Sequence[Output] = "auto",
    stored: np.ndarray | float | Sequence[np.ndarray] = 0.0,
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
        model: Functional or sequential Keras model.
        flatbuffer: What LCE made of it: the path of a file, or its content.
        inputs: Array of shape `(n, height, width, channels)`, or a list of arrays if the model has
            several inputs.
        task: What the outputs are: `"classify"`, `"regress"`, or `"auto"`, as in `export`; or how
            each output is judged.
        stored: How far a score may move because weights are stored in a smaller type than float32:
            a number for each input, or one for all; or for each output of the model an array of
            its shape.
        run: Function that gives the outputs of the reference engine, if there is one that knows
            them already.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: If an output is not finite or has another shape, LCE's two kernels do not agree,
            or the file is corrupt.
        OSError: If there is no such file.
        ImportError: If neither LCE nor larq-reactnet-runtime is installed.
    """
    content, inputs = tflite.content_of(flatbuffer), listed(inputs)
    outputs = outputs_of(model, task) if isinstance(task, str) else tuple(task)
    run = run or runner(inputs, progress=progress)
    *others, engine = engines()  # LCE, where it is installed, is the last
    expected, found = outputs_in_keras(model, inputs), run(content)
    _check_outputs("Keras model", expected, f".tflite in {TITLES[engine]}", found)
    moved: list[Any] = [stored] * len(outputs)
    if isinstance(stored, list | tuple):
        moved = [*stored]
    rounding = rounding_of(model)

    def compared(
        ours: list[np.ndarray],
        theirs: list[np.ndarray],
        name: str,
        stored: Sequence[np.ndarray | float],
    ) -> Agreement:
        first, *rest = (
            compare(one, other, output=output, rounding=rounding, stored=off, engine=TITLES[name])
            for one, other, output, off in zip(ours, theirs, outputs, stored, strict=True)
        )
        return replace(first, others=tuple(rest))

    agreement = compared(found, expected, engine, moved)
    if engine == "lce":
        few = [array[:_FEW] for array in inputs]
        with Interpreter(content, kernel="default") as interpreter:
            there = _run_all(interpreter, few, progress=False)
        for ours, theirs in zip(there, found, strict=True):
            if not np.allclose(ours, theirs[:_FEW], rtol=1e-4, atol=1e-4):
                raise ValueError("LCE's default and indirect kernels give different outputs.")
    for other in others:
        # Given the same bits, its binary operators give exactly what those of LCE give. Its float
        # operators are those of a newer TensorFlow Lite with XNNPACK, which round in another way.
        try:
            with Interpreter(content, engine=other) as interpreter:
                there = _run_all(interpreter, inputs, progress=progress)
        except ValueError as error:
            return replace(agreement, refusal=str(error))
        titles = [f".tflite in {TITLES[name]}" for name in (engine, other)]
        _check_outputs(titles[0], found, titles[1], there)
        agreement = replace(agreement, second=compared(there, found, other, [0.0] * len(outputs)))
    return agreement


def outputs_in_keras(model: tf.keras.Model, inputs: Inputs) -> list[np.ndarray]:
    """Each output of a Keras model for `inputs`, as its layers compute in inference.

    A model that belongs to a `tf.distribute.Strategy` has a copy of itself on each device, and the
    copies have moving averages of their own. So it is called outside of its strategy, which
    computes with the averages over all copies, as conversion does. Layers of augmentation are
    active unless they are told otherwise, so `training=False` is given to all of them.
    """

    def compute(*batch: tf.Tensor) -> list[tf.Tensor]:
        given = batch[0] if len(batch) == 1 else [*batch]
        return [*tf.nest.flatten(model(given, training=False))]

    specs = [tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in listed(inputs)]
    traced = tf.function(compute).get_concrete_function(*specs)
    computed = [
        [output.numpy() for output in traced(*(tf.constant(array) for array in batch))]
        for batch in batches(inputs, _BATCH)
    ]
    return [np.concatenate(parts) for parts in zip(*computed, strict=True)]


def verify_in_float64(
    model: tf.keras.Model, deploy: Callable[[tf.keras.Model], tf.keras.Model], inputs: Inputs
) -> float:
    """Compare `model` with what `deploy` makes of it in float64, where rounding decides nothing.

    In float32, two networks that compute the same function give different logits as soon as
    rounding flips one sign. In float64, no number of a real network is close enough to a threshold
    for that.

    Args:
        model: Functional or sequential model, without models in it.
        deploy: Function from a model to another that computes the same, such as `fold`.
        inputs: Array of shape `(n, height, width, channels)`, or a list of arrays if the model has
            several inputs.

    Returns:
        The largest difference between their outputs, relative to the largest number of the same
        output if that is not 0.

    Raises:
        ValueError: If the model cannot be copied, or does not run in float64.
    """
    with float64_errors(model):
        exact = rebuild(model, dtype="float64")
        deployed = deploy(exact)
        outputs = [
            [
                np.concatenate(parts)
                for parts in zip(
                    *(_one_in_float64(m, row) for row in batches(inputs)),
                    strict=True,
                )
            ]
            for m in (exact, deployed)
        ]
    differences = [
        np.abs(theirs - ours).max() / (np.abs(ours).max() or 1.0)
        for ours, theirs in zip(*outputs, strict=True)
    ]
    return float(np.max(differences))


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
        inputs: Array of shape `(n, height, width, channels)`. For a file that takes bytes, they are
            whole numbers in the range of its type.
        engine: `"lce"`, `"runtime"`, or `"auto"`: larq-reactnet-runtime if it is installed and runs
            the file, else LCE.
        progress: Whether to show a progress bar.
        default_kernel: Use LCE with its default kernel. On x86 it is several times slower than the
            indirect kernel, which is used otherwise.

    Returns:
        Array of the outputs, with the same first axis as `inputs`; of several outputs, the first.
        For several inputs and outputs there is `Interpreter`.

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
        return _run_all(interpreter, [inputs], progress=progress)[0]


def runner(inputs: Inputs, *, progress: bool = True) -> Runner:
    """A function that runs files on `inputs` in the reference engine, each file only once."""
    *_, engine = engines()

    @functools.cache
    def run(content: bytes) -> list[np.ndarray]:
        with Interpreter(content, engine=engine) as interpreter:
            return _run_all(interpreter, listed(inputs), progress=progress)

    return run


def _run_all(
    interpreter: Interpreter, inputs: Sequence[np.ndarray], *, progress: bool
) -> list[np.ndarray]:
    """Each output of the file in an interpreter."""
    if len(inputs) == len(interpreter.input_types):
        inputs = [
            # The interpreter quantizes floats, where it knows how.
            array if scale is not None else of_types([array], [dtype])[0]
            for array, dtype, scale in zip(
                inputs, interpreter.input_types, interpreter.input_scales, strict=True
            )
        ]
    return listed(interpreter.predict(inputs, dequantize=True, progress=progress))


def _one_in_float64(model: tf.keras.Model, row: Sequence[np.ndarray]) -> list[np.ndarray]:
    arrays = [array.astype(np.float64) for array in row]
    outputs = model(arrays[0] if len(arrays) == 1 else arrays, training=False)
    return [np.asarray(output) for output in tf.nest.flatten(outputs)]


def _check_outputs(
    one: str, ours: Sequence[np.ndarray], other: str, theirs: Sequence[np.ndarray]
) -> None:
    """Raise ValueError if outputs cannot be compared."""
    shapes = [[array.shape for array in arrays] for arrays in (ours, theirs)]
    if shapes[0] != shapes[1]:
        described = [" and ".join(map(str, found)) for found in shapes]
        raise ValueError(
            f"The {one} gives outputs of shape {described[0]}, and the {other} of shape "
            f"{described[1]}."
        )
    for name, values in ((one, ours), (other, theirs)):
        if not all(np.isfinite(array).all() for array in values):
            raise ValueError(f"The {name} gives NaN or infinite values for the given inputs.")
