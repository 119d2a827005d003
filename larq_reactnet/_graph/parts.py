"""Parts of a model whose layers are not in its graph: subclassed models, and layers in layers."""

from typing import Any

from larq_reactnet._graph.calls import calls_in
from larq_reactnet.profiling import KERNELS

import larq as lq
import tensorflow as tf

__all__ = ["hidden_parts", "is_functional"]


def is_functional(model: Any) -> bool:
    """Whether `model` is a functional or sequential Keras model that is built.

    Its graph of calls is known. What the `call` of a subclassed model does is not.
    """
    return (
        isinstance(model, tf.keras.Model)
        and bool(model.inputs)
        and all(hasattr(tensor, "node") for tensor in model.inputs)
    )


def hidden_parts(model: tf.keras.Model) -> list[tuple[str, str, list[str]]]:
    """The parts of a functional model that hold layers which are not in its graph.

    These are subclassed models, and other layers with binary layers inside.

    Returns:
        For each, its name, its class, and the names of these layers.
    """
    found = []
    for layer in dict.fromkeys(call.layer for call in calls_in(model)):
        if is_functional(layer):
            found += hidden_parts(layer)
            continue
        parts = [part for part in layer.submodules if isinstance(part, tf.keras.layers.Layer)]
        inside = [part for part in parts if _is_binary(part)]
        if isinstance(layer, tf.keras.Model):
            inside = [part for part in parts if part.weights]
        names = [part.name for part in inside if part is not layer]
        if names:
            found.append((layer.name, type(layer).__name__, names))
    return found


def _is_binary(part: tf.keras.layers.Layer) -> bool:
    """Whether `part` has a quantizer of its kernel."""
    quantizers = [getattr(part, name, None) for name in KERNELS.values()]
    return any(q is not None and not isinstance(q, lq.quantizers.NoOp) for q in quantizers)
