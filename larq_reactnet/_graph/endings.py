"""What the last layers of a model do: the activation behind which each output comes."""

from typing import Any

from larq_reactnet._graph.calls import KerasTensor
from larq_reactnet._graph.graph import Graph

import tensorflow as tf

__all__ = ["endings"]


def endings(model: tf.keras.Model) -> list[str]:
    """For each output of a functional or sequential model, the name of its activation.

    Such as `"softmax"`, `"sigmoid"`, or `"linear"` where there is none.
    """
    return [_ending(model, tensor) for tensor in model.outputs]


def _ending(model: tf.keras.Model, tensor: KerasTensor) -> str:
    """The name of the activation that gives `tensor`, also if it is in an inner model."""
    graph = Graph(model)
    tensor, call = graph.origin(tensor), graph.source(tensor)
    layer: Any = call.layer
    if isinstance(layer, tf.keras.Model) and layer.inputs:
        place = [id(output) for output in call.outputs].index(id(tensor))
        return _ending(layer, layer.outputs[place])
    if isinstance(layer, tf.keras.layers.Softmax):
        return "softmax"
    # A function such as `tf.nn.softmax` is a layer too, and knows its name.
    symbol = str(getattr(layer, "symbol", None) or "linear").rsplit(".", maxsplit=1)[-1]
    return str(getattr(getattr(layer, "activation", None), "__name__", symbol))
