"""What a training does that makes a real network binary: its images, its copy, its teacher."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from larq_reactnet import zoo
from larq_reactnet._files import replacing
from larq_reactnet._workers import is_chief
from larq_reactnet.training.runs import Run
from larq_reactnet.zoo.binarized import real_network
from larq_reactnet.zoo.datasets import Dataset
from larq_reactnet.zoo.recipes import Recipe

import tensorflow as tf

__all__ = ["check_real", "from_folder", "keep", "real_teacher", "with_its_images"]

BINARIZED = "binarized"  # the name of `zoo.binarized.Binarized`


def check_real(recipe: Recipe) -> None:
    """Raise ValueError if `float_model` and the other values do not go together."""
    if recipe.float_model is None and recipe.model == BINARIZED:
        raise ValueError("A binarized network is one of a `float_model`: give it (--float-model).")
    if recipe.float_model is None:
        return
    if recipe.model != BINARIZED:
        raise ValueError(
            f"`float_model` is made binary itself, so {recipe.model} cannot be trained with it: "
            'give `model="binarized"` (--float-model without a name of a model).'
        )
    if recipe.weights is not None:
        raise ValueError(
            f"`weights` are {recipe.weights!r}, but the network starts from those of `float_model` "
            f"({recipe.float_model}): leave one of them out."
        )


def with_its_images(recipe: Recipe, run: Run) -> Recipe:
    """The recipe with the images that its real network knows, where it does not say others.

    They have the size that the network takes, and are normalized as in its run. A run that goes on
    has the values that it was begun with.
    """
    if recipe.float_model is None:
        return recipe
    path = Path(recipe.float_model).expanduser().resolve()
    names = ("image_size", "normalization")
    if run.exists():
        begun = run.read()["arguments"]
        found = {name: begun.get(name) for name in names}
    else:
        shape = real_network(path).input_shape
        is_image = isinstance(shape, tuple) and len(shape) == 4
        found = {"image_size": shape[1] if is_image else None, "normalization": _known(path)}
        if found["normalization"] == recipe.dataset:
            found["normalization"] = None
    changes = {name: value for name, value in found.items() if getattr(recipe, name) is None}
    return replace(recipe, float_model=str(path), **changes)


def _known(path: Path) -> str | None:
    """The data set as which the images of a run are normalized; None for other files."""
    if not Run(path).exists():
        return None
    arguments = Run(path).read()["arguments"]
    return str(arguments.get("normalization") or arguments["dataset"])


def from_folder(recipe: Recipe, run: Run) -> Recipe:
    """The recipe with the copy of its real network that is kept in the folder, if it is there."""
    return replace(recipe, float_model=str(run.float_model)) if run.float_model.exists() else recipe


def keep(recipe: Recipe, run: Run) -> None:
    """Keep a copy of the real network in the folder, without which it would not be whole."""
    if recipe.float_model is None or run.float_model.exists():
        return
    with replacing(run.float_model) as temporary:
        real_network(recipe.float_model).save(temporary)


def real_teacher(
    recipe: Recipe,
    run: Run,
    content: dict[str, Any],
    data: Dataset,
    strategy: tf.distribute.Strategy,
    verbose: int,
) -> tf.keras.Model:
    """The real network, which ends in logits; how good it is, is said and kept in `run.json`.

    Args:
        recipe: A recipe with a `float_model`.
        run: Its run.
        content: What is in `run.json`.
        data: Its data.
        strategy: Where it is trained.
        verbose: Whether to say it.
    """
    if is_chief(strategy) and "float_accuracy" not in content:
        # Not the teacher itself: a part of its weights can only be read by all workers together.
        content["float_accuracy"] = _accuracy_of(_real_network(recipe, data), data)
        run.write(content)
    if verbose:
        print(f"The real network knows {content['float_accuracy']:.2%} of the test images.")
    with strategy.scope():
        return _real_network(recipe, data)


def _real_network(recipe: Recipe, data: Dataset) -> tf.keras.Model:
    return zoo.create(
        BINARIZED,
        source=recipe.float_model,
        real=True,
        classifier_activation=None,
        input_shape=data.image_shape,
        num_classes=data.num_classes,
    )


def _accuracy_of(network: tf.keras.Model, data: Dataset) -> float:
    """The share of test images of which a network that ends in logits knows the class."""
    metric = tf.keras.metrics.SparseCategoricalAccuracy()
    run = tf.function(lambda images: network(images, training=False))
    for images, labels in data.test:
        metric.update_state(labels, run(images))
    return float(metric.result())
