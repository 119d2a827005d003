"""One call from a Keras model to a verified one-bit `.tflite`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from larq_reactnet._files import check_writable, replacing
from larq_reactnet.converters.check import binary_convolutions, check
from larq_reactnet.converters.convert import ExportError, convert
from larq_reactnet.converters.inspect import count_operators
from larq_reactnet.converters.verify import Agreement, as_inputs, verify
from larq_reactnet.distillation import Distiller
from larq_reactnet.profiling import Ops, ops

import larq as lq
import numpy as np
import tensorflow as tf

__all__ = ["Report", "export"]


@dataclass(frozen=True)
class Report:
    """What `export` wrote; printing it gives a table.

    Attributes:
        path: The file.
        bytes: Its size.
        float_bytes: Size of all weights as float32.
        ops: Operations of one inference.
        operators: How often each operator occurs in the file.
        binary_convolutions: Number of binary convolutions in the Keras model; this many
            `LceBconv2d` are in the file.
        agreement: How the file compares with the Keras model.
        verified_with: Where the inputs of the comparison came from.
        left_in_float: What `check` found, if `allow_float=True` was given.
    """

    path: Path
    bytes: int
    float_bytes: int
    ops: Ops
    operators: dict[str, int]
    binary_convolutions: int
    agreement: Agreement
    verified_with: str
    left_in_float: tuple[str, ...] = ()

    def __str__(self) -> str:
        agreement = self.agreement
        became = self.operators.get("LceBconv2d", 0)
        rows = {
            "file": str(self.path),
            "size": f"{self.bytes:,} bytes",
            "as float32": f"{self.float_bytes:,} bytes, {self.float_bytes / self.bytes:.1f} x",
            "binary convolutions": f"{became} of {self.binary_convolutions} are LceBconv2d",
            "binary share of MACs": f"{self.ops.binary_share:.2%}",
            "same class as Keras": f"{agreement.same_class:.2%} of {agreement.images} "
            f"{self.verified_with}",
            "distance of logits": f"{agreement.mean_distance:.2g} on average, "
            f"{agreement.max_distance:.2g} at most",
            "operators": ", ".join(f"{name} {n}" for name, n in self.operators.items()),
        }
        lines = [f"{name:<21} {value}" for name, value in rows.items()]
        lines += [f"{'left in float':<21} {finding}" for finding in self.left_in_float]
        return "\n".join(lines)


def export(
    model: tf.keras.Model,
    path: str | Path,
    *,
    verify_with: Any = None,
    verify_limit: int = 1000,
    min_agreement: float = 0.99,
    allow_float: bool = False,
    progress: bool = True,
) -> Report:
    """Convert `model` with Larq Compute Engine, prove the result equal, then write it.

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
        allow_float: Write the file even if layers that should be binary stay in float.
        progress: Whether to say what takes long, and show a progress bar.

    Returns:
        A report of what was written.

    Raises:
        ExportError: If the model cannot be converted or the result does not agree with it.
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
    if findings and not allow_float:
        listing = "\n".join(f"  {finding}" for finding in findings)
        raise ExportError(
            f"{model.name!r} has layers that would not be binary in the file (pass "
            f"allow_float=True to accept that):\n{listing}"
        )
    expected = binary_convolutions(model)
    try:
        operations = ops(model)
    except ValueError as error:
        raise ExportError(str(error)) from error

    if progress:
        print(f"Converting {model.name} with Larq Compute Engine ...", flush=True)
    flatbuffer = convert(model)
    operators = count_operators(flatbuffer)
    missing = len(expected) - operators["LceBconv2d"]
    if missing > 0 and not allow_float:
        names = [layer.name for layer in dict.fromkeys(expected) if not _converts(layer)]
        raise ExportError(
            f"{missing} of {len(expected)} binary convolutions did not become LceBconv2d: "
            f"{', '.join(names) or 'LCE does not say which'}. Their quantizers must be "
            "`larq.math.sign` forward; pass allow_float=True to accept float convolutions."
        )

    try:
        agreement = verify(model, flatbuffer, inputs, progress=progress)
    except ValueError as error:
        raise ExportError(str(error)) from error
    if agreement.same_class < min_agreement:
        raise ExportError(
            f"The converted model gives the same class as the Keras model on only "
            f"{agreement.same_class:.2%} of {agreement.images} {verified_with} (at least "
            f"{min_agreement:.2%} wanted), with logits up to {agreement.max_distance:.3g} apart: "
            "nothing was written. Verify with real inputs, and with a trained model."
        )
    with replacing(path) as temporary:
        temporary.write_bytes(flatbuffer)
    return Report(
        path=path,
        bytes=len(flatbuffer),
        float_bytes=4 * model.count_params(),
        ops=operations,
        operators=dict(operators.most_common()),
        binary_convolutions=len(expected),
        agreement=agreement,
        verified_with=verified_with,
        left_in_float=tuple(map(str, findings)),
    )


def _converts(layer: tf.keras.layers.Layer) -> bool:
    """Whether LCE makes a binary operator of `layer` alone."""
    inputs = tf.keras.layers.Input(layer.input_shape[1:])
    x = inputs if layer.input_quantizer else lq.quantizers.SteSign()(inputs)
    twin = type(layer).from_config(layer.get_config())
    model = tf.keras.Model(inputs, twin(x))
    twin.set_weights(layer.get_weights())
    return count_operators(convert(model))["LceBconv2d"] > 0


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
