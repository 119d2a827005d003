"""A whole training of a zoo model in a folder: all steps of a recipe, resumable."""

import datetime
import importlib.metadata
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from larq_reactnet import zoo
from larq_reactnet._files import replacing
from larq_reactnet._types import Logs
from larq_reactnet._version import __version__
from larq_reactnet.callbacks import RunHistory
from larq_reactnet.packed import save_packed
from larq_reactnet.training.compiling import compiled
from larq_reactnet.training.fine_tuning import freeze, with_defaults
from larq_reactnet.training.precision import native_policy, trained_in
from larq_reactnet.training.provenance import commit, hardware
from larq_reactnet.training.resuming import continued
from larq_reactnet.training.runs import Run
from larq_reactnet.training.watching import check_finite, insights
from larq_reactnet.two_step import carry_over
from larq_reactnet.weights_files import load_weights
from larq_reactnet.zoo.datasets import Dataset
from larq_reactnet.zoo.recipes import Recipe, Step

import tensorflow as tf

__all__ = ["network_of", "train"]

# Arguments of a constructor that follow from the data, the loss and the steps.
_GIVEN = {
    "binary_weights",
    "classifier_activation",
    "include_top",
    "input_shape",
    "input_tensor",
    "num_classes",
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
_PACKAGES = ("tensorflow", "tf-keras", "larq", "larq-zoo", "numpy")


def train(
    recipe: Recipe | str,
    output: str | Path,
    *,
    data_dir: str | Path | None = None,
    teacher: str | Path | None = None,
    strict: bool = False,
    verbose: int = 1,
) -> tf.keras.Model:
    """Train as a recipe says, and keep everything in the folder `output`.

    Each step starts from the weights of the one before. If the process is killed, the same call
    goes on after the last complete epoch, with the same batches and thus to the same result. A run
    can get more epochs later, if the schedule of its last step is `"tenths"`, whose learning rate
    does not depend on their number.
    `larq_reactnet.training.runs` says what a run folder holds.

    !!! example
        ```python
        from larq_reactnet.zoo.recipes import load

        recipe = load("bnn_plus_dorefanet_cifar10").with_values({"regularizer": "r2"})
        lr.training.train(recipe, "run", data_dir="~/tensorflow_datasets")
        model = lr.training.load_model("run")
        ```

    Args:
        recipe: Recipe, or the name of one.
        output: Folder of the run. It is made; its parent must exist.
        data_dir: See `zoo.datasets.load`.
        teacher: Run folder of the teacher, if the recipe has one. By default it is the pretrained
            network of the teacher's recipe, or else it is trained first, in `output/teacher`.
        strict: See `zoo.datasets.load`.
        verbose: As for `model.fit`.

    Returns:
        The trained model.

    Raises:
        ValueError: If a value is bad, or `output` holds a run with other values.
        OSError: If the folder or the data cannot be made.
    """
    if isinstance(recipe, str):
        recipe = zoo.recipes.load(recipe)
    recipe = with_defaults(recipe)
    if recipe.precision == "auto":
        recipe = recipe.with_values({"precision": _precision_of(Run(Path(output)))})
    _check(recipe)
    normalization = recipe.normalization or recipe.dataset
    mean, std = zoo.datasets.statistics(normalization)
    data = zoo.datasets.load(
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
    )
    arguments = {
        **recipe.as_dict(),
        "dataset": data.name,
        "options": {**_shape(data), **recipe.options},
        "data_dir": None if data_dir is None else str(Path(data_dir).expanduser().resolve()),
    }
    tf.keras.utils.set_random_seed(recipe.seed)
    network = network_of(recipe, recipe.steps[0], data)
    if recipe.weights and not Run(Path(output)).weights.exists():
        zoo.pretrained.load(network, recipe.weights, recipe.model, other_head=True)
    if recipe.freeze_until:
        freeze(network, recipe.freeze_until)
    run, content = _open(Path(output), arguments, data.class_names)
    if verbose and "results" not in content:
        print(zoo.datasets.overview(data).short(), flush=True)
    if "results" in content and verbose:
        print(f"{run.folder} is already finished: there is nothing to train.", flush=True)
    imitated = None
    if recipe.teacher:
        imitated = _teacher(recipe.teacher, recipe, run, data_dir, teacher, strict, verbose)

    epoch = 0
    for number, step in enumerate(recipe.steps, 1):
        if number > 1:
            new = network_of(recipe, step, data)
            network = carry_over(network, new, print_fn=print if verbose else None)
            if recipe.freeze_until:
                freeze(network, recipe.freeze_until)
        with trained_in(recipe.precision):
            model = compiled(network, recipe, step, data.steps_per_epoch, imitated)
        is_last = number == len(recipe.steps)
        weights = run.weights if is_last else run.folder / f"step{number}.h5"
        _fit(model, run, number, step, weights, data, epoch, verbose)
        if weights.exists() and not (is_last and step.can_be_longer):
            shutil.rmtree(run.checkpoints / f"step{number}", ignore_errors=True)
        epoch += step.epochs

    network = run.load_model()
    network.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    loss, accuracy = network.evaluate(data.test, verbose=0)
    save_packed(network, run.packed)
    if "results" not in content:
        results = {"loss": loss, "accuracy": accuracy, "hours": round(run.hours(), 3)}
        run.write({**content, "finished": _now(), "results": results})
    return network


def _precision_of(run: Run) -> str:
    """The precision with which a run was begun, or that of this machine for a new run."""
    if run.exists():
        return str(run.read()["arguments"].get("precision", "float32"))
    return native_policy()


def network_of(recipe: Recipe, step: Step, data: Dataset) -> tf.keras.Model:
    """The network of a step, with random weights. It ends in logits if there is a teacher."""
    activation = {"classifier_activation": None} if recipe.teacher else {}
    options = {**_shape(data), **recipe.options, **step.options, **activation}
    with trained_in(recipe.precision):
        return zoo.create(recipe.model, **options)


def _shape(data: Dataset) -> dict[str, Any]:
    return {"input_shape": list(data.image_shape), "num_classes": data.num_classes}


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
    if recipe.label_loss_weight and not recipe.teacher:
        raise ValueError("`label_loss_weight` is for a recipe with a teacher.")
    if recipe.teacher and not recipe.label_loss_weight:
        for number, step in enumerate(recipe.steps, 1):
            if step.label_smoothing:
                raise ValueError(
                    f"`step{number}.label_smoothing` is {step.label_smoothing}, but nothing is "
                    "learned from labels: the teacher has all of the loss. Set "
                    "`label_loss_weight`, too."
                )


def _teacher(
    name: str,
    recipe: Recipe,
    run: Run,
    data_dir: str | Path | None,
    given: str | Path | None,
    strict: bool,
    verbose: int,
) -> tf.keras.Model:
    """The trained network of the recipe `name`, teacher of `recipe`, which ends in logits."""
    if given is not None:
        return Run(Path(given)).load_model(classifier_activation=None)
    same = ("dataset", "image_size", "holdout", "normalization")
    default = zoo.recipes.load(name)
    its = default.with_values({key: getattr(recipe, key) for key in same})
    if its == default and zoo.pretrained.by_recipe(name) is not None:
        return zoo.create(its.model, weights=name, classifier_activation=None)
    if verbose:
        print(f"Teacher: {name}", flush=True)
    train(its, run.folder / "teacher", data_dir=data_dir, strict=strict, verbose=verbose)
    tf.keras.utils.set_random_seed(recipe.seed)
    return Run(run.folder / "teacher").load_model(classifier_activation=None)


def _own_size(model: str) -> int:
    """Height and width of the images that a network of the zoo is made for."""
    shape = zoo.get(model).arguments.get("input_shape")
    return int(shape[0]) if shape else 224


def _open(
    folder: Path, arguments: dict[str, Any], class_names: Sequence[str]
) -> tuple[Run, dict[str, Any]]:
    """The run in `folder`, new or resumed, and the content of its `run.json`."""
    run = Run(folder)
    if run.exists():
        content = run.read()
        return run, continued(run, content, arguments)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and is not the folder of a run: give another one.")
    folder.mkdir(exist_ok=True)
    content = {
        "arguments": arguments,
        "class_names": list(class_names),
        "started": _now(),
        "larq_reactnet": __version__,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "hardware": hardware(),
        "commit": commit(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }
    run.write(content)
    return run, content


def _fit(
    model: tf.keras.Model,
    run: Run,
    number: int,
    step: Step,
    weights: Path,
    data: Dataset,
    former_epochs: int,
    verbose: int,
) -> None:
    """Train a step to its end, from where it was interrupted, or load its weights if it is done."""
    if weights.exists():
        load_weights(getattr(model, "student", model), weights)
        return

    done = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer, epochs=done)
    folder = run.checkpoints / f"step{number}"
    manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=1)
    if manager.latest_checkpoint:
        model.optimizer.build(model.trainable_variables)
        checkpoint.restore(manager.latest_checkpoint).assert_consumed()

    def keep(epoch: int, logs: Logs) -> None:
        check_finite(model, run, number, epoch)
        done.assign(epoch + 1)
        manager.save()

    first = int(done)
    if verbose:
        start = f", resumed after epoch {first}" if first else ""
        print(
            f"Step {number}: {step.epochs} epochs of {data.train_size:,} images{start}", flush=True
        )
    model.fit(
        data.train_from(former_epochs + first),
        validation_data=data.test,
        steps_per_epoch=data.steps_per_epoch,
        initial_epoch=first,
        epochs=step.epochs,
        verbose=verbose,
        callbacks=[
            RunHistory(run.history, number),
            *insights(model, run, number, data, verbose),
            tf.keras.callbacks.TensorBoard(str(run.folder / "logs" / f"step{number}")),
            tf.keras.callbacks.LambdaCallback(on_epoch_end=keep),
        ],
    )
    with replacing(weights) as temporary:
        model.save_weights(str(temporary))


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
