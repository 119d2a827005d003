"""One call from a Keras model to a verified one-bit `.tflite`."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from larq_reactnet._files import check_writable, replacing
from larq_reactnet.converters._keras.calls import flattened
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.match import match
from larq_reactnet.converters.checking import binary_convolutions, check
from larq_reactnet.converters.compressing import STORAGES, compress
from larq_reactnet.converters.converting import ExportError, convert
from larq_reactnet.converters.curing import cure
from larq_reactnet.converters.folding import fold
from larq_reactnet.converters.inspecting import count_operators
from larq_reactnet.converters.layerwise import Flips, LayerError, count_flips, verify_layers
from larq_reactnet.converters.metadata import Metadata, add_metadata
from larq_reactnet.converters.report import Report
from larq_reactnet.converters.verifying import Agreement, as_inputs, verify, verify_in_float64
from larq_reactnet.distillation import Distiller
from larq_reactnet.profiling import ops

import numpy as np
import tensorflow as tf

__all__ = ["export"]

_EXACT = 1e-9  # largest difference in float64, relative to the largest output
_FEW, _FEWER = 8, 2  # inputs that signs are compared for, and that are run in float64
# Share of inputs that may change their class when dense layers are compressed, and some rounding.
_LOST = 1e-3 + 1e-9


def export(
    model: tf.keras.Model,
    path: str | Path,
    *,
    verify_with: Any = None,
    verify_limit: int = 1000,
    min_agreement: float = 0.99,
    allow_float: bool = False,
    storage: str | None = None,
    thorough: bool = False,
    metadata: Metadata | None = None,
    progress: bool = True,
) -> Report:
    """Cure, fold, convert, compress and prove equal `model`, then write it.

    What `check` finds is cured or refused. Shifts are folded, and float64 shows that it changes
    nothing. Larq Compute Engine converts the result, and its last dense layers are compressed as
    far as agreement allows. Then the file is run on real inputs in LCE's interpreter, and
    compared with `model`. Where larq-reactnet-runtime is installed, the file must get the same
    classes there.

    !!! example
        ```python
        report = lr.converters.export(model, "model.tflite", verify_with=test_images)
        print(report)
        ```

    Args:
        model: Trained Keras model of one input and one output (or a `Distiller`, which stands for
            its student).
        path: The `.tflite`; an existing file is replaced only if all goes well.
        verify_with: Real inputs on which the file must agree with the Keras model: an array
            `(n, height, width, channels)`, a pair of it and labels, or a `tf.data.Dataset` of
            batches. Without it, noise is used: that proves less, and a network is far less sure of
            its answer there.
        verify_limit: Use at most this many inputs.
        min_agreement: Share of inputs that must get the same class, 0 to 1.
        allow_float: Write the file even if `check` finds layers that stay in float.
        storage: How to store the last dense layers: `"int8"`, `"float16"` or `"float32"`. By
            default the first of them with which 99.9 % of the inputs get the class that Keras
            gives, or no more than 0.1 % fewer than with `"float32"`.
        thorough: Also compare each binary convolution of the file, by itself, with its layer.
        metadata: Labels and normalization of the inputs, which the file then carries.
        progress: Whether to say what takes long, and show a progress bar.

    Returns:
        A report of what was written.

    Raises:
        ExportError: If the model cannot be converted or the result does not agree with it.
        ValueError: If `min_agreement` or `verify_limit` is out of range.
        OSError: If the file cannot be written.
    """
    if not 0 <= min_agreement <= 1 or verify_limit < 1:
        raise ValueError("`min_agreement` must be in 0 to 1, and `verify_limit` at least 1.")
    model = model.student if isinstance(model, Distiller) else model
    _refuse_unsuitable(model)
    path = check_writable(path)
    shape = tuple(model.input_shape[1:])
    verified_with = "given inputs"
    if verify_with is None:
        verified_with = "random inputs"
        verify_with = np.random.default_rng(0).normal(size=(64, *shape))
    try:
        inputs = as_inputs(verify_with, shape, verify_limit)
    except ValueError as error:
        raise ExportError(str(error)) from error

    findings = check(model)
    in_the_way = [finding for finding in findings if finding.blocks]
    refused = [f for f in in_the_way if not allow_float or f.kind == "wrong"]
    if refused:
        listing = "\n".join(f"  {finding}" for finding in refused)
        raise ExportError(
            f"{model.name!r} has layers that would not be binary in the file, or wrong (pass "
            f"allow_float=True to accept float ones):\n{listing}"
        )
    try:
        operations = ops(model)
        deployed, folding_error, not_folded = _deploy(model, inputs[:_FEWER], progress)
    except ValueError as error:
        raise ExportError(str(error)) from error

    _say(f"Converting {model.name} with Larq Compute Engine ...", progress)
    flatbuffer = convert(deployed)
    expected = binary_convolutions(deployed)
    became = match(expected, tflite.read(flatbuffer))
    missing = [layer.name for layer, op in zip(expected, became, strict=True) if op is None]
    if missing and not allow_float:
        raise ExportError(
            f"{len(missing)} of {len(expected)} binary convolutions did not become LceBconv2d: "
            f"{', '.join(missing)}. Their quantizers must be `larq.math.sign` forward; pass "
            "allow_float=True to accept float convolutions."
        )

    @functools.cache
    def stored(storage: str) -> bytes:
        small = compress(flatbuffer, storage)
        return small if metadata is None else add_metadata(small, metadata)

    def compared(content: bytes) -> Agreement:
        return verify(model, content, inputs, progress=progress)

    try:
        if storage is None:
            storage, reason, agreement = _choose_storage(stored, compared)
        else:
            reason, agreement = "as asked for", compared(stored(storage))
            if storage != "float32" and compress(flatbuffer, storage) == flatbuffer:
                storage, reason = "float32", "there are none to compress"
        content = stored(storage)
        flips = count_flips(deployed, content, inputs[:_FEW])
        layers = verify_layers(deployed, content, inputs[:_FEWER]) if thorough else []
    except ValueError as error:
        raise ExportError(str(error)) from error
    _refuse_unequal(agreement, min_agreement, verified_with, flips, layers)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return Report(
        path=path,
        bytes=len(content),
        float_bytes=4 * model.count_params(),
        ops=operations,
        operators=dict(count_operators(content).most_common()),
        binary_convolutions=len(expected),
        agreement=agreement,
        verified_with=verified_with,
        flips=tuple(flips),
        storage=storage,
        storage_reason=reason,
        folding_error=folding_error,
        not_folded=not_folded,
        layers=tuple(layers),
        left_in_float=tuple(map(str, in_the_way)),
        cured=tuple(str(finding) for finding in findings if finding.applied),
    )


def _deploy(
    model: tf.keras.Model, inputs: np.ndarray, progress: bool
) -> tuple[tf.keras.Model, float | None, str]:
    """`model` cured and folded, the proof that it is equal, and why it could not be folded."""
    try:
        whole = flattened(model)
        cured = cure(whole)
        deployed = fold(cured)
        if _is_same(whole, deployed):
            return deployed, None, ""
        _say(f"Proving {model.name} equal after folding, in float64 ...", progress)
        difference = verify_in_float64(whole, lambda exact: fold(cure(exact)), inputs)
    except ValueError as error:  # of a layer that cannot be copied, or knows float32 only
        return cure(model), None, str(error)
    if not difference <= _EXACT:
        raise ExportError(
            f"Folding {model.name!r} changes its outputs in float64, by {difference:.2g} of the "
            f"largest (at most {_EXACT:g} wanted): nothing was written. One of its layers may give "
            "other outputs each time it is called; else this is an error in larq_reactnet."
        )
    return deployed, difference, ""


def _is_same(model: tf.keras.Model, other: tf.keras.Model) -> bool:
    weights = model.get_weights(), other.get_weights()
    return model.get_config() == other.get_config() and all(map(np.array_equal, *weights))


def _choose_storage(
    stored: Callable[[str], bytes], compared: Callable[[bytes], Agreement]
) -> tuple[str, str, Agreement]:
    """The smallest storage of dense layers with (nearly) the agreement of float32, and why."""
    plain = stored("float32")
    if stored("int8") == plain:
        return "float32", "there are none to compress", compared(plain)
    best: Agreement | None = None
    others: list[str] = []
    for storage in STORAGES[:-1]:
        try:
            agreement = compared(stored(storage))
        except ValueError as error:  # a weight or output is too large for it
            others.append(f"not {storage}: {error}")
            continue
        if agreement.same_class < 1 - _LOST and best is None:
            best = compared(plain)
        if agreement.same_class >= (1 if best is None else best.same_class) - _LOST:
            if best is not None:
                others.append(f"{best.same_class:.2%} with float32")
            return storage, _reason(agreement, others), agreement
        others.append(f"{agreement.same_class:.2%} with {storage}")
    best = best or compared(plain)
    return "float32", _reason(best, others), best


def _reason(agreement: Agreement, others: list[str]) -> str:
    return ", ".join([f"{agreement.same_class:.2%} get the class that Keras gives", *others])


def _refuse_unequal(
    agreement: Agreement,
    min_agreement: float,
    verified_with: str,
    flips: list[Flips],
    layers: list[LayerError],
) -> None:
    """Raise an ExportError if the file is not equal to the model."""
    wrong = next((layer for layer in layers if not layer.is_equal), None)
    if wrong is not None:
        raise ExportError(
            f"{wrong.layer} gives other outputs in the file, of the same bits: they differ by "
            f"{wrong.error:.3g}, and rounding explains {wrong.tolerance:.1g}. Nothing was written."
        )
    if agreement.same_class >= min_agreement:
        _refuse_other_engine(agreement, min_agreement, verified_with)
        return
    first = next((layer for layer in flips if layer.flipped), None)
    where = "no sign differs in front of any binary convolution"
    if first is not None:
        where = (
            f"the first layer whose signs differ is {first.layer}, {first.flipped:,} of "
            f"{first.signs:,}"
        )
    raise ExportError(
        f"The converted model gives the same class as the Keras model on only "
        f"{agreement.same_class:.2%} of {agreement.images} {verified_with} (at least "
        f"{min_agreement:.2%} wanted), with logits up to {agreement.max_distance:.3g} apart; "
        f"{where}. Nothing was written. Verify with real inputs, and with a trained model."
    )


def _refuse_other_engine(agreement: Agreement, min_agreement: float, verified_with: str) -> None:
    second = agreement.second
    if second is not None and second.same_class < min_agreement:
        raise ExportError(
            f"The file gets the same class in {second.engine} as in {agreement.engine} on only "
            f"{second.same_class:.2%} of {second.images} {verified_with} (at least "
            f"{min_agreement:.2%} wanted), with logits up to {second.max_distance:.3g} apart. "
            "Nothing was written."
        )


def _say(what: str, progress: bool) -> None:
    if progress:
        print(what, flush=True)


def _refuse_unsuitable(model: Any) -> None:
    """Raise an ExportError if `model` is something that LCE cannot take."""
    if not isinstance(model, tf.keras.Model):
        raise ExportError(
            f"`model` must be a Keras 2 model (`tf.keras.Model`), got {type(model).__name__} of "
            f"{type(model).__module__}."
        )
    if not model.built or len(model.inputs or ()) != 1 or len(model.outputs or ()) != 1:
        raise ExportError(
            f"{model.name!r} must be a functional or sequential model, built, with one input and "
            "one output."
        )
    if not isinstance(model.input_shape, tuple) or not isinstance(model.output_shape, tuple):
        raise ExportError(f"{model.name!r} must take and give a tensor, not a dict or list.")
    if model.input.dtype != tf.float32:
        raise ExportError(
            f"{model.name!r} takes {model.input.dtype.name} inputs: build it with float32 inputs."
        )
    if None in model.input_shape[1:]:
        raise ExportError(
            f"{model.name!r} takes inputs of any size {model.input_shape[1:]}: build it with a "
            "fixed `input_shape`."
        )
    for layer in model.submodules:
        policy = getattr(layer, "dtype_policy", None)
        if policy is not None and policy.name != "float32":
            raise ExportError(
                f"{layer.name} has the policy {policy.name!r}: build the model under 'float32' and "
                "copy the weights with `set_weights`."
            )
    for weight in model.weights:
        if not np.isfinite(getattr(weight, "latent_variable", weight).numpy()).all():
            raise ExportError(f"The weight {weight.name} has NaN or infinite values.")
