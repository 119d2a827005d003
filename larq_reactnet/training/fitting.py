"""One step of a recipe in a run folder: trained to its end, from wherever it was interrupted."""

import contextlib
import re
import shutil
import sys
from collections.abc import Iterator

from larq_reactnet._workers import is_chief
from larq_reactnet.callbacks import RunHistory
from larq_reactnet.training.averaging import AveragedValidation, take_averages
from larq_reactnet.training.checkpoints import Checkpoints
from larq_reactnet.training.distributing import is_loss, wait_for_all
from larq_reactnet.training.interrupting import Interruption
from larq_reactnet.training.keeping import BestWeights, Keeping, Stopped
from larq_reactnet.training.runs import Run
from larq_reactnet.training.watching import insights
from larq_reactnet.weights_files import load_weights, save_weights
from larq_reactnet.zoo.datasets import Dataset
from larq_reactnet.zoo.recipes import Recipe

import tensorflow as tf

__all__ = ["fit"]


def fit(
    model: tf.keras.Model, recipe: Recipe, run: Run, number: int, data: Dataset, verbose: int
) -> None:
    """Train a step to its end, or load its weights if it is done.

    Args:
        model: Compiled as the step says.
        recipe: The recipe.
        run: The run.
        number: Number of the step, from 1.
        data: Its data.
        verbose: As for `model.fit`.

    Raises:
        ValueError: If weights become NaN.
        OSError: If nothing can be written any more, or the data are gone.
        KeyboardInterrupt: After SIGINT, once everything is saved.
        SystemExit: After SIGTERM, once everything is saved.
    """
    weights = run.weights if number == len(recipe.steps) else run.folder / f"step{number}.h5"
    network = getattr(model, "student", model)
    if weights.exists():
        load_weights(network, weights)
        _remove_checkpoints(model, recipe, run, number)
        return
    checkpoints = Checkpoints(model, run, number)
    checkpoints.restore()
    if verbose:
        epochs, images = recipe.steps[number - 1].epochs, data.train_size
        begun = checkpoints.progress
        resumed = f", resumed after {begun}" if begun.is_begun else ""
        print(f"Step {number}: {epochs} epochs of {images:,} images{resumed}", flush=True)
    try:
        with Interruption() as interruption, _told_why(model, run, number, checkpoints):
            _train(model, recipe, number, data, verbose, checkpoints, interruption)
    except Stopped as stopped:
        print(
            f"\nStopped and saved in step {number}, {checkpoints.progress}. The same command goes "
            "on from there.",
            file=sys.stderr,
            flush=True,
        )
        Interruption.leave(stopped.number)
    if recipe.ema:
        take_averages(model)
    if recipe.keep_best:
        load_weights(network, checkpoints.best_weights(checkpoints.progress.best_epoch))
        wait_for_all(model.distribute_strategy)  # before the chief removes the file
    # All workers read the weights, because some are means over the workers.
    with _told_why(model, run, number, checkpoints):
        save_weights(network, checkpoints.mine(weights))
    checkpoints.close()
    _remove_checkpoints(model, recipe, run, number)


def _train(
    model: tf.keras.Model,
    recipe: Recipe,
    number: int,
    data: Dataset,
    verbose: int,
    checkpoints: Checkpoints,
    interruption: Interruption,
) -> None:
    """What is left of the step: the rest of an epoch that was interrupted, then the others."""
    strategy = model.distribute_strategy
    run, step, progress = checkpoints.run, recipe.steps[number - 1], checkpoints.progress
    former_epochs = sum(former.epochs for former in recipe.steps[: number - 1])
    test = strategy.distribute_datasets_from_function(data.test_part)
    whole = progress.epochs + bool(progress.batches)
    for first, last in ((progress.epochs, whole), (whole, step.epochs)):
        progress = checkpoints.progress
        if first == last or progress.is_enough(recipe.early_stopping):
            continue
        start = (former_epochs + first, progress.batches)
        train = strategy.distribute_datasets_from_function(
            lambda context, start=start: data.train_from(*start, context)
        )
        callbacks: list[tf.keras.callbacks.Callback] = []
        callbacks.append(BestWeights(checkpoints, recipe.keep_best))
        if recipe.ema:
            callbacks.append(AveragedValidation())
        if is_chief(strategy):
            callbacks.append(RunHistory(run.history, number, progress.seconds))
        callbacks += [
            *insights(model, run, number, data, progress.batches, verbose),
            tf.keras.callbacks.TensorBoard(str(run.folder / "logs" / f"step{number}")),
            Keeping(checkpoints, number, data.steps_per_epoch, interruption, recipe.early_stopping),
        ]
        model.fit(
            train,
            validation_data=test,
            validation_steps=data.test_steps,
            steps_per_epoch=data.steps_per_epoch - progress.batches,
            initial_epoch=first,
            epochs=last,
            verbose=verbose,
            callbacks=callbacks,
        )


def _remove_checkpoints(model: tf.keras.Model, recipe: Recipe, run: Run, number: int) -> None:
    """Of a step that has ended, and cannot be trained longer."""
    can_be_longer = number == len(recipe.steps) and recipe.steps[-1].can_be_longer
    if is_chief(model.distribute_strategy) and not can_be_longer:
        shutil.rmtree(run.checkpoints / f"step{number}", ignore_errors=True)


@contextlib.contextmanager
def _told_why(model: tf.keras.Model, run: Run, number: int, kept: Checkpoints) -> Iterator[None]:
    """Say in a sentence why a training cannot go on, and what is kept.

    What TensorFlow says of other workers is left to others.
    """
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        reason = str(error)
        if isinstance(error, tf.errors.OpError):
            if is_loss(model.distribute_strategy, error):
                raise
            reason = _reason(error.message)
        after = kept.progress
        begun = f"The checkpoint after {after} is kept"
        checkpoint = begun if after.is_begun else "Nothing was kept yet"
        raise OSError(
            f"The training in {run.folder} was stopped in step {number}: {reason}. {checkpoint}: "
            "mend this, and the same command goes on."
        ) from error


def _reason(message: str) -> str:
    """What TensorFlow complains of, without where in a graph that is."""
    message = re.sub(r"\{\{.*?\}\} ?", "", message).split("[[")[0]
    lines = [line.strip() for line in message.splitlines()]
    about_graph = ("Graph execution error", "Detected at ", "File ", "<stack traces")
    said = [line for line in lines if line and not line.startswith(about_graph)]
    return re.sub(r"^\w+Error: ", "", said[0]).rstrip(".") if said else message
