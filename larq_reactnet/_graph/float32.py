"""Models of mixed precision as models of float32 with the same weights."""

from typing import Any

from larq_reactnet._graph.calls import Call, Tensors, flattened, rebuild, run_call

import tensorflow as tf

__all__ = ["in_float32", "other_policies"]

_HALF = (tf.float16, tf.bfloat16)


def other_policies(model: tf.keras.Model) -> list[str]:
    """The dtype policies of the layers of `model`, quantizers included, other than float32."""
    policies = (getattr(module, "dtype_policy", None) for module in model.submodules)
    return sorted({policy.name for policy in policies if policy is not None} - {"float32"})


def in_float32(model: tf.keras.Model) -> tf.keras.Model:
    """A copy of `model` that computes in float32, with the same weights.

    Args:
        model: Functional or sequential model. It is not changed.

    Raises:
        ValueError: If a layer cannot be copied.
    """
    return rebuild(flattened(model), _without_casts, dtype="float32")


def _without_casts(call: Call, tensors: Tensors) -> Any:
    """Call a function such as `tf.cast` with float32 in place of a type of half precision."""
    found = [_is_half(value) for value in tf.nest.flatten(call.arguments)]
    if not any(found):
        return None
    args, kwargs = tf.nest.map_structure(
        lambda value: tf.float32 if _is_half(value) else value, call.arguments
    )
    changed = Call(call.layer, call.inputs, call.outputs, (args, kwargs))
    return run_call(changed, call.layer, tensors)


def _is_half(value: Any) -> bool:
    if isinstance(value, str):
        return value in ("float16", "bfloat16")
    return isinstance(value, tf.DType) and value in _HALF
