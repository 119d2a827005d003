"""The model that `export` works on: of float32 and of fixed size, or a reason why there is none."""

from collections.abc import Sequence
from typing import Any

from larq_reactnet._graph.calls import call_again, flattened, model_of, new_inputs
from larq_reactnet._graph.float32 import in_float32, other_policies
from larq_reactnet._graph.parts import hidden_parts, is_functional
from larq_reactnet._latent import latent
from larq_reactnet.converters._faults.finding import Finding
from larq_reactnet.converters.converting import ExportError

import numpy as np
import tensorflow as tf

__all__ = ["Shapes", "prepare", "unsupported"]

# The shape of the inputs of a model without the axis of the batch; of several inputs, one for each.
Shapes = Sequence[int] | Sequence[Sequence[int]]


def prepare(model: Any, input_shape: Shapes | None = None) -> tuple[tf.keras.Model, str]:
    """A model of float32 and of fixed size that computes what `model` computes.

    Args:
        model: Keras model. It is not changed.
        input_shape: For a model of any size, the shape of its inputs; of several, one for each.

    Returns:
        `model` itself if it is such a model, or a copy with the same weights; and what was changed,
        or an empty string.

    Raises:
        ExportError: If there is no such model, with the reason.
    """
    if not isinstance(model, tf.keras.Model):
        raise ExportError(
            f"`model` must be a Keras 2 model (`tf.keras.Model`, not that of `import keras`), got "
            f"{type(model).__name__} of {type(model).__module__}."
        )
    changed = []
    if input_shape is not None and is_functional(model):
        model = _of_shape(model, input_shape)
        changed.append(f"with inputs of shape {_listed(model)}")
    reasons = [finding for finding in unsupported(model) if finding.kind == "unsupported"]
    refused = [finding for finding in reasons if finding.blocks]
    if refused:
        raise ExportError(f"{model.name!r} cannot be exported: {refused[0]}")
    for weight in model.weights:
        if not np.isfinite(latent(weight).numpy()).all():
            raise ExportError(f"The weight {weight.name} has NaN or infinite values.")
    policies = other_policies(model)
    if policies or any(tensor.dtype != tf.float32 for tensor in model.inputs):
        why = f"because layers have the dtype policy {', '.join(policies)}" if policies else ""
        changed.append(f"in float32, {why or 'because it takes inputs of another precision'}")
        try:
            model = in_float32(model)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise ExportError(
                f"{model.name!r} cannot be built again in float32: {error} Build it under the "
                "policy 'float32' and copy the weights with `set_weights`."
            ) from error
    return model, "; ".join(changed)


def unsupported(model: tf.keras.Model) -> list[Finding]:
    """Why `export` does not take a model as it is, apart from what LCE makes of its layers.

    Args:
        model: Keras model.

    Returns:
        Findings of the kinds `"unsupported"` and `"hidden"`.
    """
    name = model.name
    if not is_functional(model):
        subclassed = type(model).__name__
        if isinstance(model, tf.keras.Sequential):
            problem, cure = "it is not built", "begin it with an `Input`, or call `build`"
        else:
            problem = (
                f"it is a subclassed model ({subclassed}), whose layers are called in a way that "
                "is not known"
            )
            cure = "call the same layers in a functional or sequential model"
        return [Finding(name, problem, cure, "unsupported")]
    found = []
    for tensor in model.inputs:
        source = tensor.node.layer.name
        if tensor.dtype not in (tf.float32, tf.float16, tf.bfloat16, tf.float64):
            found.append(
                Finding(
                    source,
                    f"it takes {tensor.dtype.name} inputs",
                    "build the model with float32 inputs; `input_type` (--input-type) of `export` "
                    "then makes a file that takes the bytes of a picture",
                    "unsupported",
                )
            )
        if None in tensor.shape[1:]:
            found.append(
                Finding(
                    source,
                    f"it takes inputs of any size {tuple(tensor.shape[1:])}",
                    "give `export` the `input_shape` (--input-shape) for which the file is meant",
                    "unsupported",
                )
            )
    for part, kind, layers in hidden_parts(model):
        found.append(
            Finding(
                part,
                f"it is a subclassed part ({kind}): the calls of its layers {', '.join(layers)} "
                "are not in the graph of the model, so they can be neither checked nor proved",
                "call these layers in the model itself, or in a functional model in its place",
                "hidden",
            )
        )
    policies = other_policies(model)
    if policies:
        found.append(
            Finding(
                name,
                f"it has layers of the dtype policy {', '.join(policies)}",
                "`export` builds it again in float32, with the same weights",
                "unsupported",
                applied=True,
            )
        )
    return found


def _of_shape(model: tf.keras.Model, input_shape: Shapes) -> tf.keras.Model:
    """A copy of `model` whose inputs have this shape."""
    several = len(input_shape) > 0 and not isinstance(input_shape[0], int | np.integer)
    shapes: list[Any] = [*input_shape] if several else [input_shape]
    wanted = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    if len(shapes) != len(wanted) or not all(map(_fits, shapes, wanted)):
        raise ExportError(
            f"`input_shape` is {input_shape}, and {model.name!r} takes {_listed(model)}: give a "
            "size of at least 1 for each None, and the same sizes otherwise."
        )
    inputs = new_inputs(model, shapes=[tuple(map(int, shape)) for shape in shapes])
    whole = flattened(model)
    try:
        tensors = call_again(whole, inputs)
    except ValueError as error:
        raise ExportError(
            f"{model.name!r} cannot be built for inputs of shape {input_shape}: {error}"
        ) from error
    return model_of(inputs, [tensors[id(tensor)] for tensor in whole.outputs], model.name)


def _fits(shape: Sequence[int], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        int(size) >= 1 and known in (None, int(size))
        for size, known in zip(shape, wanted, strict=True)
    )


def _listed(model: tf.keras.Model) -> str:
    return " and ".join(str(tuple(tensor.shape[1:])) for tensor in model.inputs)
