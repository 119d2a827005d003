"""Blocks of models as graphs: what `_figures` draws, taken from the Keras models of the zoo."""

import functools
from dataclasses import dataclass, field
from typing import Any

import larq_reactnet as lr

import numpy as np
import tensorflow as tf

__all__ = ["BINARY", "END", "OTHER", "REAL", "SIGN", "START", "Block", "block_of", "small_model"]

START = "the block before"

BINARY, SIGN, REAL, OTHER, END = "binary", "sign", "real", "other", "end"


@dataclass
class Block:
    """The graph of a block.

    Attributes:
        lines: Label of each box, in the order of the model.
        kinds: What each box is.
        edges: From which box to which; the first box is `START`.
    """

    lines: dict[str, list[str]] = field(default_factory=lambda: {START: [START]})
    kinds: dict[str, str] = field(default_factory=lambda: {START: END})
    edges: list[tuple[str, str]] = field(default_factory=list)

    def add(self, name: str, kind: str, lines: list[str], sources: list[str]) -> None:
        """A box, behind those that it follows."""
        self.lines[name], self.kinds[name] = lines, kind
        self.edges += [(source, name) for source in dict.fromkeys(sources)]


@functools.cache
def small_model(name: str, *, folded: bool = False) -> tf.keras.Model:
    """The small version of a model, with layers that are named as in a new session.

    Args:
        name: Name in the registry.
        folded: Whether to fold it, with weights of which none is 0 as after training.
    """
    tf.keras.backend.clear_session()
    entry = lr.zoo.get(name)
    shape = (entry.small_size, entry.small_size, 3)
    model = lr.zoo.create(name, input_shape=shape, **entry.small)
    if not folded:
        return model
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.1, 1, value.shape) for value in model.get_weights()])
    return lr.converters.fold(model)


def block_of(model: tf.keras.Model, first: str, last: str) -> Block:
    """The layers of `model` from the one after `first` up to `last`.

    Raises:
        ValueError: If `last` can also be reached without `first`.
    """
    found = set()
    open_ends = [model.get_layer(last)]
    while open_ends:
        layer = open_ends.pop()
        if layer.name == first or layer.name in found:
            continue
        found.add(layer.name)
        sources = _sources(layer)
        if not sources:
            raise ValueError(f"{last} can be reached without {first}, from {layer.name}.")
        open_ends += sources
    block = Block()
    if isinstance(model.get_layer(first), tf.keras.layers.InputLayer):
        block.lines[START] = ["images"]
    for layer in model.layers:
        if layer.name not in found:
            continue
        sources = [START if source.name == first else source.name for source in _sources(layer)]
        kind = _kind(layer)
        quantizer = getattr(layer, "input_quantizer", None)
        if quantizer is not None:
            block.add(f"{layer.name}/input", SIGN, [_class_name(quantizer)], sources)
            sources = [f"{layer.name}/input"]
        block.add(layer.name, kind, _label(layer, kind, sources), sources)
    return block


def _sources(layer: tf.keras.layers.Layer) -> list[tf.keras.layers.Layer]:
    return list(tf.nest.flatten(layer.inbound_nodes[0].inbound_layers))


def _kind(layer: tf.keras.layers.Layer) -> str:
    if lr.profiling.is_binary(layer):
        return BINARY
    return REAL if hasattr(layer, "kernel") or hasattr(layer, "depthwise_kernel") else OTHER


def _class_name(quantizer: Any) -> str:
    return type(quantizer).__name__.replace("BNNPlusSwishSign", "SwishSign")


def _label(layer: tf.keras.layers.Layer, kind: str, sources: list[str]) -> list[str]:
    """What is written in the box of `layer`."""
    name = type(layer).__name__
    if kind in (BINARY, REAL) and hasattr(layer, "kernel_size"):
        if getattr(layer, "kernel_quantizer", None) is None:
            name = name.removeprefix("Quant")  # Larq's class, used as Keras's
        lines = [f"{name} {_by(layer.kernel_size)}{_strides(layer)}"]
        if layer.groups > 1 and "Depthwise" not in name:
            lines.append(f"in {layer.groups} groups")
        if getattr(layer, "kernel_quantizer", None) is not None:
            lines.append(f"weights: {_class_name(layer.kernel_quantizer)}")
        return lines
    if "Pooling2D" in name and hasattr(layer, "pool_size"):
        short = name.replace("AveragePooling2D", "AvgPool").replace("MaxPooling2D", "MaxPool")
        if layer.pool_size == layer.input_shape[1:3]:
            return [f"global {short}"]
        return [f"{short} {_by(layer.pool_size)}{_strides(layer)}"]
    if name == "SlicingOpLambda":
        channels = layer.inbound_nodes[0].call_args[1][-1]
        start, stop = channels["start"], channels["stop"]
        return [f"last {-start} channels" if start else f"all but the last {-stop}"]
    if name == "TFOpLambda":  # "tf.__operators__.add_1"
        return [layer.name.rpartition(".")[2].rstrip("_0123456789").capitalize()]
    if name == "Activation":
        function = layer.activation.__name__
        return [{"relu": "ReLU", "linear": "identity"}.get(function, function)]
    if name == "Concatenate" and len(sources) == 2 and len(set(sources)) == 1:
        return ["Concat of two copies"]
    return [{"BatchNormalization": "BatchNorm", "Concatenate": "Concat"}.get(name, name)]


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _strides(layer: tf.keras.layers.Layer) -> str:
    return f" / {layer.strides[0]}" if layer.strides[0] > 1 else ""
