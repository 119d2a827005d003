"""A whole training of a zoo model in a folder: both steps, resumable."""

import datetime
import importlib.metadata
import platform
import shutil
from pathlib import Path
from typing import Any

from larq_reactnet import zoo
from larq_reactnet._files import replacing
from larq_reactnet._version import __version__
from larq_reactnet.callbacks import RunHistory
from larq_reactnet.runs import Run, load_weights
from larq_reactnet.two_step import carry_over
from larq_reactnet.zoo.datasets import Dataset

import tensorflow as tf

__all__ = ["train"]

# Arguments of a constructor that follow from the data, the loss and the steps.
_GIVEN = {
    "binary_weights",
    "classifier_activation",
    "include_top",
    "input_shape",
    "input_tensor",
    "num_classes",
}
_PACKAGES = ("tensorflow", "tf-keras", "larq", "larq-zoo", "numpy")


def train(
    model: str,
    output: str | Path,
    *,
    dataset: str = "digits",
    data_dir: str | Path | None = None,
    image_size: int | None = None,
    options: dict[str, Any] | None = None,
    step1_epochs: int = 6,
    epochs: int = 8,
    batch_size: int = 32,
    learning_rate: float = 2e-3,
    seed: int = 0,
    verbose: int = 1,
) -> tf.keras.Model:
    """Train a zoo model as ReActNet does, and keep everything in the folder `output`.

    Step 1 trains with binary activations and real weights, step 2 goes on with binary weights.
    Each has Adam with a learning rate that falls linearly to 0. If the process is killed, the same
    call goes on after the last complete epoch, with the same batches and thus to the same result.
    What a run folder holds is said in `larq_reactnet.runs`.

    Args:
        model: Name in the zoo.
        output: Folder, which is made; its parent must exist.
        dataset: See `zoo.datasets.load`.
        data_dir: See `zoo.datasets.load`.
        image_size: See `zoo.datasets.load`.
        options: Arguments of the model's constructor, but for those that follow from the data
            set, the loss and the steps.
        step1_epochs: Epochs of step 1; 0 trains with binary weights from the start.
        epochs: Epochs of the (second) step.
        batch_size: Images in a batch.
        learning_rate: At the start of each step.
        seed: Of the weights, the shuffling and the augmentation.
        verbose: As for `model.fit`.

    Returns:
        The trained model.

    Raises:
        ValueError: If an argument is bad, or `output` holds a run with other arguments.
        OSError: If the folder or the data cannot be made.
    """
    if epochs < 1 or step1_epochs < 0:
        raise ValueError(f"Cannot train for {step1_epochs} + {epochs} epochs.")
    if not 0 < learning_rate < float("inf"):
        raise ValueError(f"`learning_rate` must be positive and finite, got {learning_rate}.")
    options = options or {}
    if step1_epochs and "binary_weights" not in zoo.get(model).arguments:
        raise ValueError(
            f"{model} has no step 1 with real weights: train it with `step1_epochs=0` "
            "(--step1-epochs 0)."
        )
    for name in _GIVEN & options.keys():
        raise ValueError(f"`{name}` cannot be set: the training itself gives it to the model.")
    data = zoo.datasets.load(
        dataset, batch_size=batch_size, image_size=image_size, data_dir=data_dir, seed=seed
    )
    arguments: dict[str, Any] = {
        "model": model,
        "options": {
            "input_shape": list(data.image_shape),
            "num_classes": data.num_classes,
            **options,
        },
        "dataset": dataset,
        "data_dir": None if data_dir is None else str(data_dir),
        "image_size": image_size,
        "step1_epochs": step1_epochs,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
    }
    tf.keras.utils.set_random_seed(seed)
    first = {"binary_weights": False} if step1_epochs else {}
    network = zoo.create(model, **arguments["options"], **first)
    run, content = _open(Path(output), arguments)

    if step1_epochs:
        network = _step(network, run, 1, step1_epochs, run.folder / "step1.h5", data, verbose)
        step2 = zoo.create(model, **arguments["options"])
        network = carry_over(network, step2, print_fn=print if verbose else None)
    number = 2 if step1_epochs else 1
    network = _step(network, run, number, epochs, run.weights, data, verbose)

    loss, accuracy = network.evaluate(data.test, verbose=0)
    run.write({**content, "finished": _now(), "results": {"loss": loss, "accuracy": accuracy}})
    return network


def _open(folder: Path, arguments: dict[str, Any]) -> tuple[Run, dict[str, Any]]:
    """The run in `folder`, new or resumed, and the content of its `run.json`."""
    run = Run(folder)
    if run.exists():
        content = run.read()
        former = content["arguments"]
        differs = [
            key for key in arguments.keys() - {"data_dir"} if former.get(key) != arguments[key]
        ]
        if differs:
            raise ValueError(
                f"{folder} holds a run with another {differs[0]} ({former.get(differs[0])!r}, not "
                f"{arguments[differs[0]]!r}): give another folder, or remove it."
            )
        return run, content
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and is not the folder of a run: give another one.")
    folder.mkdir(exist_ok=True)
    content = {
        "arguments": arguments,
        "started": _now(),
        "larq_reactnet": __version__,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }
    run.write(content)
    return run, content


def _step(
    network: tf.keras.Model,
    run: Run,
    number: int,
    epochs: int,
    weights: Path,
    data: Dataset,
    verbose: int,
) -> tf.keras.Model:
    """Train one step to its end, from where it was interrupted, or load what it gave before."""
    arguments = run.read()["arguments"]
    rate = tf.keras.optimizers.schedules.PolynomialDecay(
        arguments["learning_rate"], epochs * data.steps_per_epoch, end_learning_rate=0.0
    )
    network.compile(
        tf.keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    if weights.exists():
        load_weights(network, weights)
        return network

    done = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(model=network, optimizer=network.optimizer, epochs=done)
    folder = run.folder / "checkpoint" / f"step{number}"
    manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=1)
    if manager.latest_checkpoint:
        network.optimizer.build(network.trainable_variables)
        checkpoint.restore(manager.latest_checkpoint).assert_consumed()

    def keep(epoch: int, logs: Any) -> None:
        done.assign(epoch + 1)
        manager.save()

    first = int(done)
    if verbose:
        start = f", resumed after epoch {first}" if first else ""
        print(f"Step {number}: {epochs} epochs of {data.train_size:,} images{start}", flush=True)
    network.fit(
        data.train_from(first + (number - 1) * arguments["step1_epochs"]),
        validation_data=data.test,
        steps_per_epoch=data.steps_per_epoch,
        initial_epoch=first,
        epochs=epochs,
        verbose=verbose,
        callbacks=[
            RunHistory(run.history, number),
            tf.keras.callbacks.TensorBoard(str(run.folder / "logs" / f"step{number}")),
            tf.keras.callbacks.LambdaCallback(on_epoch_end=keep),
        ],
    )
    with replacing(weights) as temporary:
        network.save_weights(str(temporary))
    shutil.rmtree(folder)
    return network


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
