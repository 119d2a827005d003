"""One call from a Keras model to a verified one-bit `.tflite`."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from larq_reactnet._files import check_writable, replacing
from larq_reactnet._graph.calls import flattened
from larq_reactnet._shared.proofs import path_beside
from larq_reactnet.converters._engine.reuse import reused_processes
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.match import match
from larq_reactnet.converters.checking import Finding, binary_convolutions, check
from larq_reactnet.converters.converting import ExportError, convert
from larq_reactnet.converters.curing import cure
from larq_reactnet.converters.enclosing import add_proof, make_proof
from larq_reactnet.converters.feeding import as_inputs, input_names, noise
from larq_reactnet.converters.folding import fold
from larq_reactnet.converters.inspecting import count_operators
from larq_reactnet.converters.metadata import Metadata, add_metadata, check_metadata
from larq_reactnet.converters.preparing import Shapes, prepare
from larq_reactnet.converters.proving import prove, refuse_unproved
from larq_reactnet.converters.report import Report
from larq_reactnet.converters.rescaling import (
    INPUT_TYPES,
    for_bytes,
    normalized_inside,
    pixels_of,
    random_pixels,
)
from larq_reactnet.converters.storing import store_heads
from larq_reactnet.converters.tasks import outputs_of
from larq_reactnet.converters.verifying import runner, verify_in_float64
from larq_reactnet.distillation import Distiller
from larq_reactnet.profiling import ops

import numpy as np
import tensorflow as tf

__all__ = ["export"]

_EXACT = 1e-9  # folding may change outputs by this much in float64, relative to the largest
_FEWER = 2  # number of inputs that are run in float64


def export(
    model: tf.keras.Model,
    path: str | Path,
    *,
    verify_with: Any = None,
    verify_limit: int = 1000,
    min_agreement: float = 0.99,
    allow_float: bool = False,
    storage: str | None = None,
    task: str = "auto",
    input_type: str = "float32",
    input_shape: Shapes | None = None,
    thorough: bool = False,
    metadata: Metadata | None = None,
    proof: int = 0,
    proof_beside: bool = False,
    progress: bool = True,
) -> Report:
    """Write `model` as a one-bit `.tflite`, after proving that the file computes the same.

    Each finding of `check` is cured if that is possible, and refused otherwise. Shifts (constants
    that are added to channels) are folded into biases, and a run in float64 shows that this changes
    nothing. Larq Compute Engine (LCE) converts the result, and the last dense layers are stored in
    the smallest type that hardly changes the outputs. Then the file runs on real inputs in every
    engine that is installed: LCE's interpreter, and larq-reactnet-runtime. Each sign that an engine
    computes must be that of the Keras model in float64, and the outputs must be those of the Keras
    model; only differences that rounding explains are allowed.

    !!! example
        ```python
        report = lr.converters.export(model, "model.tflite", verify_with=test_images)
        print(report)
        ```

    Args:
        model: Trained functional or sequential Keras model (or a `Distiller`, which stands for its
            student). One of mixed precision is built again in float32.
        path: The `.tflite`; an existing file is replaced only if all goes well.
        verify_with: Real inputs on which the file must agree with the Keras model: an array
            `(n, height, width, channels)`, a pair of it and labels, or a `tf.data.Dataset` of
            batches. For a model of several inputs, it is a list of arrays in place of the array, or
            a dict by the names of the inputs. Without it, noise is used, which proves less: a
            network is far less sure of its answers there.
        verify_limit: Use at most this many inputs.
        min_agreement: How well the outputs must agree, 0 to 1. Where they are classes, it is the
            share of inputs that must get the same class as in Keras. Near ties do not count: other
            classes that rounding and `storage` explain. The file is refused only if there are more
            of the remaining other classes than chance explains. Where they are numbers, it is the
            share of the variance of each number that the file must give: 0.99 allows an error (root
            mean square over the inputs) of 10 % of the standard deviation of that number.
        allow_float: Write the file even if `check` finds layers that stay in float.
        storage: How to store the last dense layers: `"int8"`, `"float16"` or `"float32"`. By
            default it is the smallest type with which the error of no output (root mean square over
            the inputs) exceeds 2 % of the standard deviation of this output; int8 only if it makes
            the file at least 5 % smaller than float16 does.
        task: What the outputs are: `"classify"`, `"regress"`, or `"auto"`, with which they are
            classes if they come out of a softmax, if the model was compiled with a cross-entropy or
            is a `Distiller`, or if `metadata` has a label for each of them. A single number out of
            a sigmoid is judged both as a class and as a number. All others are numbers.
        input_type: Type of the inputs of the file. With `"uint8"` it takes the bytes of a picture,
            and with `"int8"` these minus 128. The normalization, which `metadata` must say, is then
            part of the file, and its metadata say so. `verify_with` is still what `model` takes.
        input_shape: For a model that takes inputs of any size, the shape for which the file is
            meant, such as `(224, 224, 3)`; for several inputs, one for each.
        thorough: Also compare each binary convolution of the file with its layer in Keras, both
            given the same input bits.
        metadata: Labels and normalization of the inputs, which the file then carries.
        proof: How many of the inputs to put into the file with their outputs, which
            `larq-reactnet-runtime verify` runs on a device. Each takes at most about as many bytes
            as it has numbers.
        proof_beside: Whether they are in a file beside it, `model.proof.npz` of `model.tflite`.
        progress: Whether to print the steps that take long, and show progress bars.

    Returns:
        A report of what was written and how it was proved.

    Raises:
        ExportError: If the model cannot be converted or the result does not agree with it.
        ValueError: If `min_agreement`, `verify_limit` or `proof` is out of range, or there is no
            such `task` or `input_type`.
        TypeError: If `metadata` is not a `Metadata`.
        OSError: If the file cannot be written.
    """
    _check_arguments(min_agreement, verify_limit, input_type, metadata, proof)
    whole = model.student if isinstance(model, Distiller) else model
    prepared, rebuilt = prepare(whole, input_shape)
    outputs = outputs_of(model, task, () if metadata is None else metadata.labels)
    names, model = input_names(whole), prepared
    path = check_writable(path)
    with _export_errors(), reused_processes():
        findings = check(model)
        _refuse_findings(model, findings, allow_float)
        operations = ops(model)
        inputs, verified_with = _inputs(model, names, verify_with, verify_limit)
        if input_type != "float32":
            model, inputs, metadata = _for_bytes(model, inputs, input_type, metadata, verify_with)
        fewer = [array[:_FEWER] for array in inputs]
        deployed, folding_error, not_folded = _deploy(model, fewer, progress)

        _say(f"Converting {model.name} with Larq Compute Engine ...", progress)
        flatbuffer = convert(deployed, input_type=input_type)
        _refuse_missing(deployed, flatbuffer, allow_float)

        def finished(content: bytes) -> bytes:
            return content if metadata is None else add_metadata(content, metadata)

        run = runner(inputs, progress=progress)
        stored = store_heads(flatbuffer, run, finished, outputs=outputs, storage=storage)
        proved = prove(
            model,
            deployed,
            stored.content,
            inputs,
            task=outputs,
            moved=stored.moved,
            run=run,
            thorough=thorough,
            progress=progress,
        )
        refuse_unproved(proved, min_agreement, verified_with)
        content, enclosed = stored.content, b""
        if proof:
            enclosed = make_proof(model, content, inputs, proof)
        if proof and not proof_beside:
            content = finished(add_proof(content, enclosed))

    if proof and proof_beside:
        with replacing(path_beside(path)) as temporary:
            temporary.write_bytes(enclosed)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return Report(
        path=path,
        bytes=len(content),
        float_bytes=4 * model.count_params(),
        ops=operations,
        operators=dict(count_operators(content).most_common()),
        binary_convolutions=len(binary_convolutions(deployed)),
        proof=proved,
        verified_with=verified_with,
        storage=stored.storage,
        storage_reason=stored.reason,
        rebuilt=rebuilt,
        input_type=input_type,
        proof_bytes=len(enclosed),
        folding_error=folding_error,
        not_folded=not_folded,
        left_in_float=tuple(str(finding) for finding in findings if finding.blocks),
        cured=tuple(str(finding) for finding in findings if finding.applied),
    )


@contextlib.contextmanager
def _export_errors() -> Iterator[None]:
    """Turn each ValueError about the model, or the file made from it, into an ExportError."""
    try:
        yield
    except ExportError:
        raise
    except ValueError as error:
        raise ExportError(str(error)) from error


def _check_arguments(
    min_agreement: float, verify_limit: int, input_type: str, metadata: Any, proof: int
) -> None:
    if not 0 <= min_agreement <= 1 or verify_limit < 1:
        raise ValueError("`min_agreement` must be in 0 to 1, and `verify_limit` at least 1.")
    if proof < 0:
        raise ValueError(f"`proof` must be a number of inputs, 0 for none, got {proof}.")
    if input_type not in INPUT_TYPES:
        raise ValueError(f"`input_type` must be one of {[*INPUT_TYPES]}, got {input_type!r}.")
    if metadata is not None:
        check_metadata(metadata)


def _inputs(
    model: tf.keras.Model, names: Sequence[str], given: Any, limit: int
) -> tuple[list[np.ndarray], str]:
    """The inputs to verify with, an array for each input of the model, and what they are called."""
    if given is None:
        return [array[:limit] for array in noise(model)], "random inputs"
    return as_inputs(given, model, limit, names), "given inputs"


def _for_bytes(
    model: tf.keras.Model,
    inputs: list[np.ndarray],
    input_type: str,
    metadata: Metadata | None,
    given: Any,
) -> tuple[tf.keras.Model, list[np.ndarray], Metadata | None]:
    """The model that normalizes bytes itself, inputs for it, and what its file says of them."""
    model = for_bytes(model, input_type, metadata)
    assert metadata is not None  # as `for_bytes` has checked
    if given is None:
        pixels = random_pixels(inputs[0].shape, input_type)
    else:
        pixels = pixels_of(inputs[0], input_type, metadata.mean, metadata.std)
    return model, [pixels], normalized_inside(metadata, input_type)


def _deploy(
    model: tf.keras.Model, inputs: list[np.ndarray], progress: bool
) -> tuple[tf.keras.Model, float | None, str]:
    """Cure and fold `model`, and measure in float64 whether that changes its outputs.

    Returns:
        The new model; by how much its outputs differ, relative to the largest, or None if there
        was nothing to compare; and why nothing could be folded, or an empty string.
    """
    try:
        whole = flattened(model)
        cured = cure(whole)
        deployed = fold(cured)
        if _is_same(whole, deployed):
            return deployed, None, ""
        _say(f"Proving {model.name} equal after folding, in float64 ...", progress)
        difference = verify_in_float64(whole, lambda exact: fold(cure(exact)), inputs)
    except ValueError as error:  # a layer cannot be copied, or computes in float32 only
        return cure(model), None, str(error)
    if not difference <= _EXACT:
        raise ExportError(
            f"Folding {model.name!r} changes its outputs in float64, by {difference:.2g} of the "
            f"largest (at most {_EXACT:g} is allowed): nothing was written. Either one of its "
            "layers gives other outputs each time it is called, or this is an error in "
            "larq_reactnet."
        )
    return deployed, difference, ""


def _is_same(model: tf.keras.Model, other: tf.keras.Model) -> bool:
    weights = model.get_weights(), other.get_weights()
    return model.get_config() == other.get_config() and all(map(np.array_equal, *weights))


def _refuse_findings(model: tf.keras.Model, findings: Sequence[Finding], allow_float: bool) -> None:
    """Raise an ExportError if LCE would compute a layer wrongly, or leave one in float unasked."""
    refused = [f for f in findings if f.blocks and (not allow_float or f.kind == "wrong")]
    if refused:
        listing = "\n".join(f"  {finding}" for finding in refused)
        raise ExportError(
            f"{model.name!r} has layers that would not be binary in the file, or would be computed "
            f"wrongly (pass allow_float=True to accept float ones):\n{listing}"
        )


def _refuse_missing(deployed: tf.keras.Model, flatbuffer: bytes, allow_float: bool) -> None:
    """Raise an ExportError if a binary convolution of the model is not binary in the file."""
    expected = binary_convolutions(deployed)
    became = match(expected, tflite.read(flatbuffer))
    missing = [layer.name for layer, op in zip(expected, became, strict=True) if op is None]
    if missing and not allow_float:
        raise ExportError(
            f"{len(missing)} of {len(expected)} binary convolutions did not become LceBconv2d: "
            f"{', '.join(missing)}. The forward pass of their quantizers must be "
            "`larq.math.sign`; pass allow_float=True to accept float convolutions."
        )


def _say(what: str, progress: bool) -> None:
    if progress:
        print(what, flush=True)
