"""Binary convolutions that are right, but slower or larger than need be."""

from larq_reactnet._graph.calls import Call
from larq_reactnet._graph.graph import Graph
from larq_reactnet._graph.padding import same, sizes_of, window_of
from larq_reactnet.converters._faults.finding import Finding
from larq_reactnet.converters._lce import WORD

import tensorflow as tf

__all__ = ["costs"]

layers = tf.keras.layers


def costs(graph: Graph, call: Call) -> list[Finding]:
    """What makes the binary convolution of `call` slower or larger than need be."""
    found = [_channels(call), _zeros(call), _late_relu(graph, call)]
    return [finding for finding in found if finding is not None]


def _channels(call: Call) -> Finding | None:
    channels = call.inputs[0].shape[-1] // call.layer.groups
    padded = -(-channels // WORD) * WORD
    if channels == padded:
        return None
    return Finding(
        call.layer.name,
        f"its {channels} input channels are stored and computed as {padded}",
        f"use a multiple of {WORD}",
        "cost",
    )


def _zeros(call: Call) -> Finding | None:
    layer, sizes = call.layer, sizes_of(call.inputs[0])
    if layer.padding != "same" or layer.pad_values != 0 or sizes is None:
        return None
    if not any(map(any, same(sizes, window_of(layer)))):
        return None
    return Finding(
        layer.name,
        "its zero padding is corrected for at run time, and keeps a ReLU or a sign after it from "
        "becoming part of it",
        "train it with `pad_values=1.0`",
        "cost",
    )


def _late_relu(graph: Graph, call: Call) -> Finding | None:
    normalization = graph.only_taker(call)
    if normalization is None or type(normalization.layer) is not layers.BatchNormalization:
        return None
    relu = graph.only_taker(normalization)
    if relu is None or not _is_relu(relu.layer):
        return None
    return Finding(
        relu.layer.name,
        f"it comes after {normalization.layer.name}, where it cannot become part of the binary "
        f"convolution {call.layer.name}",
        "put it before the batch normalization, with `pad_values=1.0` or padding='valid' and a "
        "kernel quantizer without a scale",
        "cost",
    )


def _is_relu(layer: tf.keras.layers.Layer) -> bool:
    if type(layer) is layers.Activation:
        return layer.activation in (tf.keras.activations.relu, tf.nn.relu, tf.nn.relu6)
    return type(layer) is layers.ReLU
