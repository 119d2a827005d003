"""Weights in HDF5 files of Keras, layer by layer and in the order of the model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from larq_reactnet._fitting import Slot, fitting
from larq_reactnet._latent import latent

import h5py
import tensorflow as tf

__all__ = ["read_into"]


def read_into(model: tf.keras.Model, path: Path, other_head: bool) -> str:
    """Load the weights in `path` into `model`; all of them, or those in front of another head.

    Returns:
        Half a sentence that says what was left out, empty if nothing was.

    Raises:
        ValueError: If they are of another model; nothing is loaded then.
    """
    with h5py.File(path) as file:
        group = file if "layer_names" in file.attrs else file.get("model_weights", file)
        theirs = [
            (Slot(layer, _last(name), tuple(data.shape)), data)
            for layer, name, data in _weights(group)
        ]
        ours = [
            (Slot(layer.name, _last(variable.name), tuple(variable.shape)), variable)
            for layer in model.layers
            for variable in (*layer.trainable_weights, *layer.non_trainable_weights)
        ]
        count, left_out = fitting(
            [slot for slot, _ in theirs], [slot for slot, _ in ours], model, other_head
        )
        if left_out:
            pairs = zip(theirs[:count], ours[:count], strict=True)
            values = [(latent(variable), data[()]) for (_, data), (_, variable) in pairs]
            for variable, value in values:
                variable.assign(value)
    if not left_out:
        model.load_weights(str(path))
    return left_out


def _weights(group: Any) -> Iterator[tuple[str, str, h5py.Dataset]]:
    """The names of layer and weight, and the data, of each weight in a file."""
    for layer in _names(group, "layer_names"):
        for name in _names(group[layer], "weight_names"):
            yield layer, name, group[layer][name]


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names, which Keras cuts into several attributes if it is long."""
    keys = [attribute] if attribute in group.attrs else []
    if not keys:
        keys = [
            key
            for index in range(len(group.attrs))
            if (key := f"{attribute}{index}") in group.attrs
        ]
    if not keys:
        raise ValueError(f"it has no list of {attribute}")
    names = [name for key in keys for name in group.attrs[key]]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _last(name: str) -> str:
    """The last part of the name of a weight, which is the same in every session."""
    return name.split("/")[-1].split(":")[0]
