"""Trainings that are killed, asked to stop, or cannot write or read any more. Nothing is lost."""

import csv
import json
import random
import subprocess
import sys
from pathlib import Path

import larq_reactnet as lr
from larq_reactnet._insight import records
from larq_reactnet.training import Run, averaging, checkpoints, keeping
from larq_reactnet.training.checkpoints import Checkpoints, Progress
from larq_reactnet.training.interrupting import Interruption
from larq_reactnet.training.keeping import BestWeights, Keeping
from larq_reactnet.training.locking import locked
from larq_reactnet.training.optimizers import FusedAdam, TorchAdam
from larq_reactnet.weights_files import load_weights
from larq_reactnet.zoo.recipes import two_step

import h5py
import numpy as np
import pytest
import tensorflow as tf
from helpers import EVERY

SCRIPT = Path(__file__).with_name("interrupted.py")
KILLS = 20 if EVERY else 3
CHOICES = {"ema": 0.9, "keep_best": True, "early_stopping": 3}


def history(folder):
    with (folder / "history.csv").open() as file:
        return [{**row, "seconds": None} for row in csv.DictReader(file)]


def weights(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update({name: item[()]}) if hasattr(item, "shape") else None
        )
    return found


def assert_same(folder, whole):
    """The same epochs with the same results, and the same weights, bit for bit."""
    assert history(folder) == history(whole)
    for name in ("step1.h5", "weights.h5"):
        expected = weights(whole / name)
        for key, found in weights(folder / name).items():
            np.testing.assert_array_equal(found, expected[key], err_msg=f"{name}: {key}")
    for found, expected in zip(
        records.read(folder / "insight.jsonl"), records.read(whole / "insight.jsonl"), strict=True
    ):
        for key in ("signs", "thresholds", "gradient_norm"):
            assert found[key] == expected[key]
        for key, kernel in found["kernels"].items():  # not known of an epoch that was interrupted
            assert kernel["flips"] in (None, expected["kernels"][key]["flips"])
    left = {path.name for path in folder.iterdir()}
    assert left == {path.name for path in whole.iterdir()}
    assert not list((folder / "checkpoint").iterdir())


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """By its name, the folder of each training, its exit codes, and what was printed."""
    parent = tmp_path_factory.mktemp("runs")
    photos = parent / "photos"
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    for number in range(40):
        path = photos / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        tf.io.write_file(str(path), tf.io.encode_png(picture))
    choose = random.Random(1)
    kills = [["KILL", choose.randint(2, 11)] for _ in range(KILLS - 2)]
    kills = [["KILL", "save"], *kills[:3], ["KILL", "carry_over"], *kills[3:]]
    of_photos = {"dataset": str(photos), "image_size": 32, "batch_size": 4, "step1_epochs": 0}
    trainings = {
        "whole": ([[None, 0]], CHOICES),
        "killed": ([*kills, [None, 0]], CHOICES),
        "stopped": ([["TERM", 6], ["INT", 6], [None, 0]], CHOICES),
        "full": ([["FULL", 13], ["FULL", 30], [None, 0]], {}),
        "gone": ([[str(photos), 9]], of_photos),
    }
    asked = [(str(parent / name), *training) for name, training in trainings.items()]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), json.dumps(asked)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = {}
    for name, results in zip(trainings, json.loads(done.stdout.splitlines()[-1]), strict=True):
        codes, texts = zip(*results, strict=True)
        found[name] = parent / name, [*codes], texts
    _, codes, texts = found["whole"]
    assert codes == [0], texts
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_random_moments(runs):
    """Of a training with averages of weights, and the best of them.

    Two of the moments are chosen: in the midst of a checkpoint, and between the steps.
    """
    folder, codes, texts = runs["killed"]
    assert codes == [-9] * KILLS + [0], texts[-1]
    assert_same(folder, runs["whole"][0])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_signals_save_inside_the_epoch(runs):
    folder, codes, texts = runs["stopped"]
    assert codes == [143, 130, 0], texts
    assert "SIGTERM: the training stops as soon as it is saved." in texts[0]
    assert "Stopped and saved in step 1, 2 batches after epoch 0. The same command" in texts[0]
    assert "SIGINT" in texts[1]
    assert_same(folder, runs["whole"][0])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_full_disk(runs):
    """TensorFlow cannot write, then HDF5 cannot, which would crash the process by itself."""
    folder, codes, texts = runs["full"]
    assert codes == [1, 1, 0], texts
    for text in texts[:2]:
        error = text.splitlines()[-1]
        assert error.startswith(f"Error: The training in {folder} was stopped in step 1: "), error
        assert "File too large" in error
        assert error.endswith("is kept: mend this, and the same command goes on.")
    assert f"'{folder / 'step1.h5'}'" in texts[1].splitlines()[-1]
    assert [row["epoch"] for row in history(folder)] == ["0", "1", "0", "1"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_data_that_are_gone(runs):
    folder, codes, texts = runs["gone"]
    assert codes == [1], texts
    error = texts[0].splitlines()[-1]
    assert error.startswith(f"Error: The training in {folder} was stopped in step 1: ")
    assert f"step 1: There is no file {folder.parent / 'photos'}" in error
    assert ".png. The checkpoint after" in error


def test_two_processes_in_one_folder(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    Run(folder).write({"arguments": {}})
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, pathlib\n"
            "from larq_reactnet.training.locking import locked\n"
            "with locked(pathlib.Path(sys.argv[1])):\n"
            "    print('locked', flush=True)\n"
            "    input()\n",
            str(folder),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with holder:
        assert holder.stdout.readline() == "locked\n"
        recipe = two_step("bnn_plus_alexnet", options={"width": 0.05})
        with pytest.raises(OSError, match=rf"trains in {folder}: process {holder.pid} on "):
            lr.training.train(recipe, folder)
        holder.communicate("\n")
    with locked(folder):
        pass


class TestProgress:
    def test_is_enough(self):
        assert not Progress().is_enough(2)
        assert not Progress(epochs=3, best=0.5, best_epoch=1).is_enough(2)
        assert Progress(epochs=4, best=0.5, best_epoch=1).is_enough(2)
        assert not Progress(epochs=9, best=0.5, best_epoch=0).is_enough(0)

    def test_in_words(self):
        assert str(Progress(epochs=3)) == "epoch 3"
        assert str(Progress(epochs=3, batches=20)) == "20 batches after epoch 3"


def model_and_data(optimizer):
    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Dense(4, input_shape=(3,)),
            tf.keras.layers.BatchNormalization(),
            tf.keras.layers.Dense(2),
        ]
    )
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    rng = np.random.default_rng(0)
    return model, rng.normal(size=(24, 3)).astype("float32"), rng.integers(0, 2, 24)


@pytest.mark.parametrize("kind", [FusedAdam, TorchAdam, tf.keras.optimizers.SGD])
def test_averages_are_validated_and_trained_weights_go_on(kind):
    """Against the same training without averages, and a mean that NumPy computes."""
    plain, x, y = model_and_data(kind(0.1))
    averages = [variable.numpy().astype("float64") for variable in plain.trainable_variables]

    def average(batch, logs):
        for mean, variable in zip(averages, plain.trainable_variables, strict=True):
            mean[...] = 0.8 * mean + 0.2 * variable.numpy()

    model, _, _ = model_and_data(kind(0.1, use_ema=True, ema_momentum=0.8))
    options = {"batch_size": 8, "shuffle": False, "verbose": 0}
    validated = []
    for _ in range(2):
        callback = tf.keras.callbacks.LambdaCallback(on_batch_end=average)
        plain.fit(x, y, callbacks=[callback], **options)
        validated.clear()
        model.fit(
            x,
            y,
            validation_data=(x, y),
            callbacks=[
                tf.keras.callbacks.LambdaCallback(
                    on_test_end=lambda logs: validated.extend(
                        variable.numpy() for variable in model.trainable_variables
                    )
                ),
                averaging.AveragedValidation(),
            ],
            **options,
        )
        for found, expected in zip(validated, averages, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
        for found, expected in zip(model.get_weights(), plain.get_weights(), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    averaging.take_averages(model)
    for found, expected in zip(model.trainable_variables, averages, strict=True):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-6)


def test_the_weights_of_the_best_epoch_are_kept(tmp_path):
    model, x, y = model_and_data(FusedAdam(0.1))
    kept = Checkpoints(model, Run(tmp_path), 1)
    best = BestWeights(kept, keep=True)
    best.set_model(model)
    for epoch, accuracy in enumerate([0.5, 0.75, 0.75, 0.25]):
        model.fit(x, y, verbose=0)
        if epoch == 1:
            expected = model.get_weights()
        best.on_epoch_end(epoch, {"val_accuracy": accuracy})
        kept.save(kept.progress)
    assert kept.progress.best_epoch == 1
    assert [path.name for path in kept.folder.glob("best_*")] == ["best_1.h5"]
    load_weights(model, kept.best_weights(1))
    for found, wanted in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_weights_that_are_not_numbers_are_not_kept_inside_an_epoch(tmp_path, monkeypatch):
    """After ten minutes, or for a signal: the last checkpoint stays, and is of the batch before."""
    monkeypatch.setattr(keeping, "SAVE_EVERY", -1)
    model, x, y = model_and_data(FusedAdam(0.1))
    gamma = model.layers[1].gamma
    poison = tf.keras.callbacks.LambdaCallback(
        on_batch_end=lambda batch, logs: gamma.assign(gamma * np.nan) if batch == 1 else None
    )
    keep = Keeping(Checkpoints(model, Run(tmp_path), 1), 1, 3, Interruption(), 0)
    message = r"in step 1, epoch 1: .*gamma has .*The checkpoint after 1 batches after epoch 0 is"
    with pytest.raises(ValueError, match=message):
        model.fit(x, y, batch_size=8, verbose=0, callbacks=[poison, keep])
    other, _, _ = model_and_data(FusedAdam(0.1))
    found = Checkpoints(other, Run(tmp_path), 1)
    found.restore()
    assert found.progress.batches == int(other.optimizer.iterations) == 1
    assert all(np.isfinite(weight).all() for weight in other.get_weights())


def test_other_workers_read_the_best_weights_that_the_chief_wrote(tmp_path, monkeypatch):
    """They write where nobody reads; after an interruption they know only of the run folder."""
    model, _, _ = model_and_data(FusedAdam(0.1))
    expected = model.get_weights()
    for is_chief in (True, False):
        monkeypatch.setattr(checkpoints, "is_chief", lambda strategy, chief=is_chief: chief)
        kept = Checkpoints(model, Run(tmp_path), 1)
        best = BestWeights(kept, keep=True)
        best.set_model(model)
        best.on_epoch_end(0, {"val_accuracy": 0.5})
        model.set_weights([weight + 1 for weight in model.get_weights()])
    load_weights(model, kept.best_weights(0))
    kept.close()
    for found, wanted in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_checkpoints_of_earlier_versions(tmp_path):
    """They hold the number of whole epochs."""
    model, x, y = model_and_data(FusedAdam(0.1))
    model.fit(x, y, verbose=0)
    earlier = tf.train.Checkpoint(
        model=model, optimizer=model.optimizer, epochs=tf.Variable(3, dtype=tf.int64)
    )
    tf.train.CheckpointManager(earlier, str(tmp_path / "checkpoint" / "step1"), 1).save()
    other, _, _ = model_and_data(FusedAdam(0.1))
    found = checkpoints.Checkpoints(other, Run(tmp_path), 1)
    found.restore()
    assert found.progress == Progress(epochs=3)
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])
    assert int(other.optimizer.iterations) == int(model.optimizer.iterations) > 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ema": 1.0}, "`ema` must be at least 0 and below 1, got 1.0"),
        ({"early_stopping": -1}, "`early_stopping` is a number of epochs, or 0, got -1"),
    ],
)
def test_bad_values(values, message):
    with pytest.raises(ValueError, match=message):
        two_step("reactnet_a", **values)
