"""The graph of a Keras model: which calls come before and after each call."""

from collections.abc import Iterator
from typing import Any

from larq_reactnet._graph.calls import Call, KerasTensor, calls_in, consumers
from larq_reactnet._keras import refuse_keras_3

import tensorflow as tf

__all__ = ["Graph", "graphs"]

layers = tf.keras.layers

# Layers that return their inputs unchanged in inference. Those of augmentation do so only where
# they are told that it is inference: every call in this package has `training=False`.
_IDENTITIES = (
    layers.ActivityRegularization,
    layers.AlphaDropout,
    layers.Dropout,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.RandomBrightness,
    layers.RandomContrast,
    layers.RandomFlip,
    layers.RandomRotation,
    layers.RandomTranslation,
    layers.RandomZoom,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
)

# Layers that scale images, which stay images.
_RESCALING = (layers.Normalization, layers.Rescaling)


class Graph:
    """The calls of a model, and which calls come before and after each.

    Args:
        model: Functional or sequential model.
        images: Those of its inputs that are inputs of the outermost model, which are real numbers.
            The other inputs of an inner model are computed by the model around it.
    """

    def __init__(self, model: tf.keras.Model, images: Any = ()):
        self.calls = calls_in(model)
        self.images = {id(tensor) for tensor in images}
        self._makers = {id(tensor): call for call in self.calls for tensor in call.outputs}
        self._takers = consumers(model)
        self._outputs = {id(tensor) for tensor in model.outputs}

    def source(self, tensor: KerasTensor) -> Call:
        """The call that computes `tensor`, without calls that change nothing."""
        return self._makers[id(self.origin(tensor))]

    def origin(self, tensor: KerasTensor) -> KerasTensor:
        """The tensor that calls which change nothing have made `tensor` of, or `tensor` itself."""
        while _is_identity((call := self._makers[id(tensor)]).layer):
            tensor = call.inputs[0]
        return tensor

    def only_taker(self, call: Call) -> Call | None:
        """The one call that takes the output of `call`; None if there are more, or none."""
        tensor = call.outputs[0]
        takers = self._takers[id(tensor)]
        if len(takers) != 1 or id(tensor) in self._outputs:
            return None
        return self.only_taker(takers[0]) if _is_identity(takers[0].layer) else takers[0]

    def takes_images(self, tensor: KerasTensor) -> bool:
        """Whether `tensor` is one of the `images`, which may have been rescaled."""
        while type((call := self.source(tensor)).layer) in _RESCALING:
            tensor = call.inputs[0]
        return id(call.outputs[0]) in self.images

    def name(self, call: Call) -> str:
        """A name for what replaces `call`, with a number if its layer has several calls."""
        same = [other for other in self.calls if other.layer is call.layer]
        name = str(call.layer.name)
        return name if len(same) == 1 else f"{name}_call{same.index(call) + 1}"


def graphs(model: tf.keras.Model) -> list[Graph]:
    """The graph of `model`, and those of the models in it.

    Raises:
        ValueError: If `model` is not functional or sequential, or not built.
    """
    refuse_keras_3(model)
    if not isinstance(model, tf.keras.Model) or not model.inputs:
        raise ValueError("The model must be a functional or sequential Keras model, and built.")
    seen: set[int] = set()

    def search(model: tf.keras.Model, images: list[Any]) -> Iterator[Graph]:
        graph = Graph(model, images)
        yield graph
        for call in graph.calls:
            inner = call.layer
            if isinstance(inner, tf.keras.Model) and inner.inputs and id(inner) not in seen:
                seen.add(id(inner))
                pairs = zip(inner.inputs, call.inputs, strict=True)
                yield from search(inner, [new for new, old in pairs if graph.takes_images(old)])

    return list(search(model, model.inputs))


def _is_identity(layer: tf.keras.layers.Layer) -> bool:
    if type(layer) is layers.Activation:
        return layer.activation is tf.keras.activations.linear
    return type(layer) in _IDENTITIES
