"""Recurrent layers in a form that LCE converts rightly.

LCE's converter makes one operator of an LSTM, `UNIDIRECTIONAL_SEQUENCE_LSTM`. Its two states, the
output and the cell, both begin with zeros, and LCE, which joins equal constants, makes one tensor
of them. Interpreters then overwrite the one state with the other. They also keep the states from
one input to the next, where Keras begins with zeros each time. A loop over `LSTMCell` computes the
same as the layer, and has neither problem.

One loop is right if only its last output is used. LCE does not know the size of what a loop gives
for all steps: it often cannot convert a second loop that takes it, and if it does, its interpreter
computes other numbers after the first input. Recurrent layers that are unrolled have no loop.
"""

from typing import Any

from larq_reactnet._graph.calls import clone

import tensorflow as tf

__all__ = [
    "as_loop",
    "gives_sequences",
    "is_fused",
    "is_loop",
    "is_stateful",
    "unrolled",
]

layers = tf.keras.layers
_OF_CELL = (
    "units",
    "activation",
    "recurrent_activation",
    "use_bias",
    "kernel_initializer",
    "recurrent_initializer",
    "bias_initializer",
    "unit_forget_bias",
    "implementation",
)
_OF_LOOP = ("return_sequences", "return_state", "go_backwards", "stateful", "time_major")


def is_fused(layer: tf.keras.layers.Layer) -> bool:
    """Whether LCE makes `UNIDIRECTIONAL_SEQUENCE_LSTM` of a layer."""
    if type(layer) is layers.Bidirectional:
        return is_fused(layer.forward_layer) or is_fused(layer.backward_layer)
    if type(layer) is not layers.LSTM or layer.unroll or layer.recurrent_dropout:
        return False
    is_plain = layer.activation is tf.keras.activations.tanh
    is_plain &= layer.recurrent_activation is tf.keras.activations.sigmoid
    return bool(is_plain and layer.use_bias)


_RECURRENT = (layers.RNN, layers.SimpleRNN, layers.GRU, layers.LSTM)


def is_loop(layer: tf.keras.layers.Layer) -> bool:
    """Whether LCE makes a loop of a layer, or `UNIDIRECTIONAL_SEQUENCE_LSTM`."""
    if type(layer) is layers.Bidirectional:
        return is_loop(layer.forward_layer)
    return isinstance(layer, layers.RNN) and not layer.unroll


def is_stateful(layer: tf.keras.layers.Layer) -> bool:
    """Whether a recurrent layer keeps its states from one batch to the next."""
    return bool(getattr(getattr(layer, "forward_layer", layer), "stateful", False))


def gives_sequences(layer: tf.keras.layers.Layer) -> bool:
    """Whether a recurrent layer gives its output for each step."""
    return bool(getattr(layer, "forward_layer", layer).return_sequences)


def unrolled(layer: tf.keras.layers.Layer, name: str) -> tf.keras.layers.Layer | None:
    """A layer without weights yet that computes the same without a loop; None if there is none."""
    if type(layer) is layers.Bidirectional:
        forward = unrolled(layer.forward_layer, layer.forward_layer.name)
        backward = unrolled(layer.backward_layer, layer.backward_layer.name)
        if forward is None or backward is None:
            return None
        return layers.Bidirectional(
            forward,
            merge_mode=layer.merge_mode,
            backward_layer=backward,
            name=name,
            dtype=layer.dtype,
        )
    return clone(layer, name=name, unroll=True) if type(layer) in _RECURRENT else None


def as_loop(layer: tf.keras.layers.Layer, name: str) -> tf.keras.layers.Layer:
    """A layer without weights yet that computes the same by a loop over `LSTMCell`."""
    if type(layer) is layers.Bidirectional:
        return layers.Bidirectional(
            as_loop(layer.forward_layer, layer.forward_layer.name),
            merge_mode=layer.merge_mode,
            backward_layer=as_loop(layer.backward_layer, layer.backward_layer.name),
            name=name,
            dtype=layer.dtype,
        )
    if type(layer) is not layers.LSTM:
        return clone(layer)
    config: dict[str, Any] = clone(layer).get_config()
    cell = layers.LSTMCell(**{key: config[key] for key in _OF_CELL}, dtype=layer.dtype)
    arguments = {key: config[key] for key in _OF_LOOP}
    return layers.RNN(cell, **arguments, name=name, dtype=layer.dtype)
