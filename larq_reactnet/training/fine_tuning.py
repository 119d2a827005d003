"""What a training does that starts from weights: their arguments, their images, frozen layers."""

from pathlib import Path
from typing import Any

from larq_reactnet import zoo
from larq_reactnet._names import did_you_mean
from larq_reactnet.training.runs import Run
from larq_reactnet.zoo.recipes import Recipe

import tensorflow as tf

__all__ = ["freeze", "with_defaults"]

# Data sets that the table of weights has under a shorter name than tensorflow-datasets.
_DATASETS = {"imagenet": "imagenet2012"}


def with_defaults(recipe: Recipe) -> Recipe:
    """The recipe with what follows from its `weights`, where it does not say anything else.

    These are arguments of the constructor such as the width, the size of the images, and how images
    are normalized.

    Raises:
        ValueError: If `weights` is the folder of a run of another model.
    """
    if recipe.weights is None:
        return recipe
    weights = str(recipe.weights)
    if not _rows(recipe.model, weights) and Path(weights).exists():
        weights = str(Path(weights).resolve())
    dataset = _dataset_of(recipe.model, weights)
    options = zoo.pretrained.options_of(recipe.model, weights)
    shape = options.get("input_shape") or zoo.get(recipe.model).arguments["input_shape"]
    own = {name: options[name] for name in options if name not in ("input_shape", "num_classes")}
    changes: dict[str, Any] = {"weights": weights}
    if recipe.image_size is None:
        changes["image_size"] = shape[0] if shape else 224
    if recipe.normalization is None and dataset != recipe.dataset:
        changes["normalization"] = dataset
    return recipe.with_values({**own, **recipe.options, **changes})


def _dataset_of(model: str, weights: str) -> str | None:
    """The data set whose images, normalized as they are, the weights know, if that is known."""
    rows = _rows(model, weights)
    if rows:
        return _DATASETS.get(rows[0], rows[0])
    if Run(Path(weights)).exists():
        arguments = Run(Path(weights)).read()["arguments"]
        return str(arguments.get("normalization") or arguments["dataset"])
    return None


def _rows(model: str, weights: str) -> list[str]:
    """The data sets of the rows in the table that `weights` names."""
    rows = zoo.pretrained.list_weights(model)
    return [row.dataset for row in rows if weights in (row.dataset, row.recipe)]


def freeze(network: tf.keras.Model, until: str) -> int:
    """Keep the weights of a layer, and of all layers before it, as they are.

    Batch normalization that is frozen uses its moving averages, as Keras does.

    Args:
        network: The network, not yet compiled.
        until: Name of the layer.

    Returns:
        The number of layers with weights that are frozen.

    Raises:
        ValueError: If there is no such layer.
    """
    names = [layer.name for layer in network.layers]
    if until not in names:
        raise ValueError(f"{network.name} has no layer {until!r}{did_you_mean(until, names)}")
    frozen = network.layers[: names.index(until) + 1]
    if all(layer in frozen or not layer.weights for layer in network.layers):
        raise ValueError(f"With all layers up to {until!r} frozen, there is nothing to train.")
    for layer in frozen:
        layer.trainable = False
    return sum(bool(layer.weights) for layer in frozen)
