"""A whole training of a zoo model in a folder: all steps of a recipe, resumable."""

import contextlib
from pathlib import Path
from typing import Any

from larq_reactnet import zoo
from larq_reactnet._workers import is_chief
from larq_reactnet.packed import save_packed
from larq_reactnet.training.compiling import compiled
from larq_reactnet.training.distributing import (
    check_same,
    lost_workers,
    strategy_of,
    synchronize_batch_normalization,
    together,
    wait_for_all,
)
from larq_reactnet.training.fine_tuning import freeze
from larq_reactnet.training.fitting import fit
from larq_reactnet.training.opening import check_seen, now, opened
from larq_reactnet.training.precision import trained_in
from larq_reactnet.training.preparing import data_of, prepared, shape_of
from larq_reactnet.training.provenance import sha256_of
from larq_reactnet.training.real_models import from_folder, keep, real_teacher
from larq_reactnet.training.resuming import flat, state_of
from larq_reactnet.training.runs import Run
from larq_reactnet.training.teaching import can_be_kept, kept_logits
from larq_reactnet.two_step import carry_over
from larq_reactnet.zoo.datasets import Dataset
from larq_reactnet.zoo.recipes import Recipe, Step

import tensorflow as tf

__all__ = ["network_of", "train"]


def train(
    recipe: Recipe | str,
    output: str | Path,
    *,
    data_dir: str | Path | None = None,
    teacher: str | Path | None = None,
    strategy: tf.distribute.Strategy | str | None = None,
    sync_batch_norm: bool = True,
    strict: bool = False,
    verbose: int = 1,
) -> tf.keras.Model:
    """Train as a recipe says, and keep everything in the folder `output`.

    Each step starts from the weights of the one before. Whatever ends the process, the same call
    goes on, with the same batches and thus to the same result: after the batch at which SIGINT
    (Ctrl-C) or SIGTERM came, or else after the last epoch or, in long ones, the last ten minutes.
    A run can get more epochs later, if the schedule of its last step is `"tenths"`, whose learning
    rate does not depend on their number.
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
        strategy: Where it is trained: `"mirrored"` on all GPUs of this machine, `"multi_worker"` on
            the machines that the environment variable `TF_CONFIG` lists, or any
            `tf.distribute.Strategy`; by default the one in whose scope this is called. Batch size
            and learning rate are those of the whole, whatever the number of replicas. Only the
            chief, the first of several workers, writes files.
        sync_batch_norm: With several replicas, whether batch normalization takes its statistics
            from the whole batch, as one replica would, and not from each replica's part.
        strict: See `zoo.datasets.load`.
        verbose: As for `model.fit`.

    Returns:
        The trained model.

    Raises:
        ValueError: If a value is bad, or `output` holds a run with other values, or workers differ
            in what they were asked for.
        OSError: If the folder or the data cannot be made, read or written, another process trains
            in the folder, or another worker is lost.
    """
    strategy = strategy_of(strategy)
    with lost_workers(strategy, f"The training in {output}"):
        return _train(recipe, output, data_dir, teacher, strategy, sync_batch_norm, strict, verbose)


def _train(
    recipe: Recipe | str,
    output: str | Path,
    data_dir: str | Path | None,
    teacher: str | Path | None,
    strategy: tf.distribute.Strategy,
    sync_batch_norm: bool,
    strict: bool,
    verbose: int,
) -> tf.keras.Model:
    """`train`, with the strategy itself."""
    chief = is_chief(strategy)
    verbose = verbose if chief else 0
    with together(strategy):
        recipe, data, arguments = prepared(recipe, Run(Path(output)), data_dir, strategy, strict)
    recipe = from_folder(recipe, Run(Path(output)))
    facts = {
        **flat(arguments),
        "sync_batch_norm": sync_batch_norm,
        "class names": data.class_names,
        "training images": data.train_size,
        "test images": data.test_size,
    }
    check_same(strategy, facts)
    tf.keras.utils.set_random_seed(recipe.seed)

    def network_for(step: Step) -> tf.keras.Model:
        with strategy.scope():
            network = network_of(recipe, step, data)
        if sync_batch_norm and strategy.num_replicas_in_sync > 1:
            synchronize_batch_normalization(network)
        return network

    network = network_for(recipe.steps[0])
    with together(strategy):
        if recipe.weights and not Run(Path(output)).weights.exists():
            zoo.pretrained.load(network, recipe.weights, recipe.model, other_head=True)
    if recipe.freeze_until:
        freeze(network, recipe.freeze_until)
    begin = {}
    if recipe.weights or recipe.float_model:
        begin = {"the SHA-256 of the weights to start from": sha256_of(network)}
    check_same(strategy, {**begin, **state_of(Run(Path(output)))})
    with contextlib.ExitStack() as stack:
        with together(strategy):
            folder = opened(Path(output), arguments, data.class_names, strategy)
            run, content = stack.enter_context(folder)
            if chief:
                keep(recipe, run)
        check_seen(run, strategy)
        if verbose and "results" not in content:
            print(zoo.datasets.overview(data).short(), flush=True)
        if "results" in content and verbose:
            print(f"{run.folder} is already finished: there is nothing to train.", flush=True)
        imitated = None
        if recipe.teacher or (recipe.float_model and teacher is not None):
            imitated = _teacher(recipe, run, data_dir, teacher, strategy, strict, verbose)
        elif recipe.float_model:
            imitated = real_teacher(recipe, run, content, data, strategy, verbose)
        # Several replicas and workers ask the teacher for each batch, together.
        is_alone = strategy.num_replicas_in_sync == 1
        if imitated is not None and is_alone and can_be_kept(data) and "results" not in content:
            logits = kept_logits(imitated, data, run.teacher_logits, verbose)
            data = data_of(recipe, data_dir, strict, beside=logits)
        for number, step in enumerate(recipe.steps, 1):
            if number > 1:
                new = network_for(step)
                network = carry_over(network, new, print_fn=print if verbose else None)
                if recipe.freeze_until:
                    freeze(network, recipe.freeze_until)
            with strategy.scope(), trained_in(recipe.precision):
                model = compiled(network, recipe, step, data.steps_per_epoch, imitated)
            fit(model, recipe, run, number, data, verbose)
        if chief:
            network = _tested(run, content, data)
        wait_for_all(strategy)
    return network


def _tested(run: Run, content: dict[str, Any], data: Dataset) -> tf.keras.Model:
    """The trained network, whose results and packed weights are kept."""
    network = run.load_model()
    network.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    loss, accuracy = network.evaluate(data.test, verbose=0)
    save_packed(network, run.packed)
    if "results" not in content:
        results = {"loss": loss, "accuracy": accuracy, "hours": round(run.hours(), 3)}
        run.write({**content, "finished": now(), "results": results})
    return network


def network_of(recipe: Recipe, step: Step, data: Dataset) -> tf.keras.Model:
    """The network of a step, untrained. It ends in logits if there is a teacher."""
    options = {**shape_of(data), **recipe.options, **step.options}
    if recipe.has_teacher:
        options["classifier_activation"] = None
    if recipe.float_model:
        options["source"] = recipe.float_model
    with trained_in(recipe.precision):
        return zoo.create(recipe.model, **options)


def _teacher(
    recipe: Recipe,
    run: Run,
    data_dir: str | Path | None,
    given: str | Path | None,
    strategy: tf.distribute.Strategy,
    strict: bool,
    verbose: int,
) -> tf.keras.Model:
    """The trained network in the folder `given`, or else of the recipe of the teacher.

    It ends in logits.
    """
    if given is None:
        name = str(recipe.teacher)
        same = ("dataset", "image_size", "holdout", "normalization")
        default = zoo.recipes.load(name)
        its = default.with_values({key: getattr(recipe, key) for key in same})
        if its == default and zoo.pretrained.by_recipe(name) is not None:
            with strategy.scope():
                return zoo.create(its.model, weights=name, classifier_activation=None)
        if verbose:
            print(f"Teacher: {name}", flush=True)
        given = run.folder / "teacher"
        train(its, given, data_dir=data_dir, strategy=strategy, strict=strict, verbose=verbose)
        tf.keras.utils.set_random_seed(recipe.seed)
    with together(strategy):
        Run(Path(given)).trained_weights()
    with strategy.scope():
        found = Run(Path(given)).load_model(classifier_activation=None)
    check_same(strategy, {"the SHA-256 of the teacher's weights": sha256_of(found)})
    return found
