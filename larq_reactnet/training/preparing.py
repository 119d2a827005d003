"""What a training needs before it begins: a recipe with all its values, and its data."""

from pathlib import Path
from typing import Any

from larq_reactnet import zoo
from larq_reactnet.training.distributing import check_divisible
from larq_reactnet.training.fine_tuning import with_defaults
from larq_reactnet.training.precision import native_policy
from larq_reactnet.training.real_models import check_real, with_its_images
from larq_reactnet.training.runs import Run
from larq_reactnet.zoo.datasets import Dataset
from larq_reactnet.zoo.recipes import Recipe

import numpy as np
import tensorflow as tf

__all__ = ["data_of", "prepared", "shape_of"]

# Arguments of a constructor that follow from the data, the loss and the steps.
_GIVEN = {
    "binary_weights",
    "classifier_activation",
    "include_top",
    "input_shape",
    "input_tensor",
    "num_classes",
    "real",
    "source",
}
# What is done to training images.
_TRAINING_IMAGES = (
    "augmentation",
    "flip",
    "randaugment",
    "randaugment_magnitude",
    "color_jitter",
    "lighting",
    "mixup",
    "cutmix",
)


def prepared(
    recipe: Recipe | str,
    run: Run,
    data_dir: str | Path | None,
    strategy: tf.distribute.Strategy,
    strict: bool,
) -> tuple[Recipe, Dataset, dict[str, Any]]:
    """The recipe with all its values, its data, and what is kept of both in `run.json`."""
    if isinstance(recipe, str):
        recipe = zoo.recipes.load(recipe)
    check_real(recipe)
    recipe = with_its_images(with_defaults(recipe), run)
    if recipe.precision == "auto":
        recipe = recipe.with_values({"precision": _precision_of(run)})
    _check(recipe)
    check_divisible(strategy, recipe.batch_size)
    data = data_of(recipe, data_dir, strict)
    values = recipe.as_dict()
    return (
        recipe,
        data,
        {
            **values,
            "dataset": data.name,
            "options": {**shape_of(data), **values["options"]},
            "data_dir": None if data_dir is None else str(Path(data_dir).expanduser().resolve()),
        },
    )


def data_of(
    recipe: Recipe,
    data_dir: str | Path | None,
    strict: bool,
    beside: np.ndarray | None = None,
) -> Dataset:
    """The data of a recipe, with numbers beside the labels if there are any."""
    normalization = recipe.normalization or recipe.dataset
    mean, std = zoo.datasets.statistics(normalization)
    return zoo.datasets.load(
        recipe.dataset,
        batch_size=recipe.batch_size,
        image_size=recipe.image_size,
        data_dir=data_dir,
        **{name: getattr(recipe, name) for name in _TRAINING_IMAGES},
        holdout=recipe.holdout,
        seed=recipe.seed,
        mean=mean,
        std=std,
        default_size=_own_size(recipe.model),
        strict=strict,
        beside=beside,
    )


def shape_of(data: Dataset) -> dict[str, Any]:
    """The arguments of a constructor that follow from the data."""
    return {"input_shape": list(data.image_shape), "num_classes": data.num_classes}


def _precision_of(run: Run) -> str:
    """The precision with which a run was begun, or that of this machine for a new run."""
    if run.exists():
        return str(run.read()["arguments"].get("precision", "float32"))
    return native_policy()


def _check(recipe: Recipe) -> None:
    """Raise ValueError if the zoo cannot train what `recipe` asks for."""
    arguments = zoo.get(recipe.model).arguments
    for name in _GIVEN & recipe.options.keys():
        raise ValueError(f"`{name}` cannot be set: the training itself gives it to the model.")
    if "binary_weights" not in arguments and any(
        "binary_weights" in step.options for step in recipe.steps
    ):
        raise ValueError(
            f"{recipe.model} has no step 1 with real weights: train it with `step1_epochs=0` "
            "(--step1-epochs 0)."
        )
    if recipe.label_loss_weight and not recipe.has_teacher:
        raise ValueError("`label_loss_weight` is for a recipe with a teacher.")
    if recipe.has_teacher and not recipe.label_loss_weight:
        for number, step in enumerate(recipe.steps, 1):
            if step.label_smoothing:
                raise ValueError(
                    f"`step{number}.label_smoothing` is {step.label_smoothing}, but nothing is "
                    "learned from labels: the teacher has all of the loss. Set "
                    "`label_loss_weight`, too."
                )


def _own_size(model: str) -> int:
    """Height and width of the images that a network of the zoo is made for."""
    shape = zoo.get(model).arguments.get("input_shape")
    return int(shape[0]) if shape else 224
