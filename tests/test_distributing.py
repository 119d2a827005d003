"""Training by several workers: two processes of this machine, and what they refuse."""

import json
import os
import subprocess
import sys
import time

import larq_reactnet as lr
from larq_reactnet.training import Run, distributing, opening, provenance
from larq_reactnet.zoo.recipes import two_step

import numpy as np
import pytest
import tensorflow as tf
from helpers import every, free_port
from test_training import epochs_of

ROUNDING = 1e-9  # relative to the largest value of a weight, after three steps in float64

# The command, with a callback that writes what this worker's copies of all weights are.
WORKER = """
import hashlib, json, os, signal, sys
import larq_reactnet as lr
import numpy as np
import tensorflow as tf
from larq_reactnet._latent import latent
from larq_reactnet.training import provenance
from larq_reactnet.zoo._bnn_plus import bnn_plus
from larq_reactnet.zoo._real import pool
from larq_reactnet.zoo.registry import register, variant_of
from larq_reactnet_cli import main

# What the deeper networks of BNN+ have, so that little time goes into tracing.
def features(x, layers):
    x = layers.norm(pool(layers.stem(x, 32, 3), 2, "pool1"), 1)
    return layers.norm(layers.conv(x, 32, 3, "conv2"), 2)

@register("shallow", paper="none", year=2026, url="none")
@variant_of(bnn_plus)
def shallow(**kwargs):
    return bnn_plus("shallow", 8, features, lambda x, layers: layers.dense(x, 32, 3), **kwargs)

# In float32, sums in another order give some sign the other value, and networks drift apart.
tf.keras.backend.set_floatx("float64")
arguments, record, kill_at, version = json.loads(sys.argv[1])
provenance.__version__ = version or provenance.__version__
fit, seen = tf.keras.Model.fit, []

class Record(tf.keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        local = self.model.distribute_strategy.experimental_local_results
        values = [local(latent(weight))[0].numpy() for weight in self.model.weights]
        seen.append(hashlib.sha256(b"".join(value.tobytes() for value in values)).hexdigest())
        with open(record + ".txt", "a") as file:
            print(seen[-1], flush=True, file=file)
        if len(seen) == 3 and not os.path.exists(record + ".npz"):
            names = [weight.name for weight in self.model.weights]
            np.savez(record, **dict(zip(names, values, strict=True)))
        if len(seen) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

def watched(self, *args, callbacks=(), **kwargs):
    return fit(self, *args, callbacks=[*callbacks, Record()], **kwargs)

tf.keras.Model.fit = watched
main(arguments)
"""
COMMAND = (
    "train shallow {folder} --step1-epochs 1 --epochs 1 --image-size 16 "
    "--batch-size 256 --learning-rate 0.01 --keep-best --ema 0.9"
)


class Workers:
    """Processes that run the same command, each with its number in `TF_CONFIG`."""

    def __init__(self, folder, count):
        self.folder = folder
        self.addresses = [f"localhost:{free_port()}" for _ in range(count)]
        self.processes = {}

    def start(self, number, more="", kill_at=None, version=None):
        command = COMMAND.format(folder=self.folder) + " " + more
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        if len(self.addresses) > 1:
            command += " --strategy multi_worker"
            task = {"type": "worker", "index": number}
            config = {"cluster": {"worker": self.addresses}, "task": task}
            environment["TF_CONFIG"] = json.dumps(config)
        values = [command.split(), str(self.record(number)), kill_at, version]
        self.processes[number] = subprocess.Popen(
            [sys.executable, "-c", WORKER, json.dumps(values)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self):
        """The exit codes and what was printed."""
        codes, texts = [], []
        for number in sorted(self.processes):
            text, _ = self.processes[number].communicate(timeout=300)
            codes.append(self.processes[number].returncode)
            texts.append(text)
        return codes, texts

    def record(self, number):
        return self.folder.parent / f"record{len(self.addresses)}_{number}"

    def hashes(self, number):
        return self.record(number).with_suffix(".txt").read_text().split()

    def weights(self, number):
        with np.load(self.record(number).with_suffix(".npz")) as file:
            return {name: file[name] for name in file}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A training by two workers. The second comes late, is killed once, and starts again."""
    workers = Workers(tmp_path_factory.mktemp("two") / "run", 2)
    workers.start(0)
    assert any("Waiting for all 2 workers" in line for line in workers.processes[0].stdout)
    time.sleep(2)
    workers.start(1, kill_at=9)  # the third batch of step 2
    killed = workers.finish()
    assert epochs_of(workers.folder) == [(1, 0)]
    assert (workers.folder / "step1.h5").exists()
    for number in (0, 1):
        workers.start(number)
    return workers, killed, workers.finish()


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """The same training by one process, which ends after its third batch."""
    workers = Workers(tmp_path_factory.mktemp("one") / "run", 1)
    workers.start(0, kill_at=3)
    codes, texts = workers.finish()
    assert codes == [-9], texts
    return workers


@pytest.mark.slow
def test_all_workers_have_the_same_weights_after_every_step(two):
    workers, _, _ = two
    first, second = workers.hashes(0), workers.hashes(1)
    # The one that was not killed may know of one step more.
    del first[9 : len(first) - 6]
    assert first == second
    # Each step has six batches. Of step 2, the first three are there twice.
    assert len(set(first)) == 12
    assert first[6:9] == first[9:12]


@pytest.mark.slow
def test_two_workers_compute_what_one_process_does(two, one):
    """Images, their augmentation, gradients and batch normalization, in three batches of step 1.

    With binary weights, max-pooling has many equal values to choose from, and rounding chooses.
    """
    shared = two[0].weights(0)
    for name, alone in one.weights(0).items():
        assert np.abs(alone - shared[name]).max() <= ROUNDING * np.abs(alone).max(), name


@pytest.mark.slow
def test_a_killed_worker_stops_the_others(two):
    workers, (codes, texts), _ = two
    assert codes == [1, -9], texts
    last = texts[0].splitlines()[-1]
    assert f"Error: The training in {workers.folder} was stopped, because worker 1 does not" in last
    assert "Start the same command again on all workers: it goes on from the last" in last


@pytest.mark.slow
def test_the_same_command_goes_on(two):
    workers, _, (codes, texts) = two
    assert codes == [0, 0], texts
    assert "Step 1" not in texts[0]
    assert epochs_of(workers.folder) == [(1, 0), (2, 0)]
    assert (workers.folder / "weights.h5").exists()


@pytest.mark.slow
def test_the_chief_writes_the_run(two):
    workers, _, (_, texts) = two
    content = Run(workers.folder).read()
    assert content["replicas"] == 2
    assert f"Test accuracy {content['results']['accuracy']:.2%}" in texts[0]
    assert texts[1].splitlines()[-1] == "Finished. The first worker writes the results."
    assert "Epoch" not in texts[1]
    assert not list(workers.folder.rglob("*worker*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        # Which is one of the values of `test_a_value_that_differs_is_named`.
        pytest.param({"version": "0.0.0"}, "larq-reactnet is '0.0.0' on worker 1 and", marks=every),
        (
            {"more": "--dataset nowhere"},
            "Worker 1 cannot take part: No data set is called 'nowhere'",
        ),
    ],
    ids=["version", "data"],
)
def test_workers_that_differ_are_refused(tmp_path, changes, sentence):
    workers = Workers(tmp_path / "run", 2)
    workers.start(0)
    workers.start(1, **changes)
    codes, texts = workers.finish()
    assert codes == [1, 1], texts
    assert sentence in texts[0].splitlines()[-1]
    assert not workers.folder.exists()


def test_batches_that_cannot_be_dealt_out(monkeypatch, tmp_path):
    monkeypatch.setattr(tf.distribute.OneDeviceStrategy, "num_replicas_in_sync", 3)
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    with pytest.raises(ValueError, match=r"64 images cannot be dealt out evenly to 3 .* 66 can"):
        lr.training.train(
            two_step("bnn_plus_alexnet", batch_size=64), tmp_path / "run", strategy=strategy
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("chiefs", "its", "sentence"),
    [
        ({"seed": 0}, {"seed": 1}, "seed is 1 on worker 1 and 0 on the chief"),
        ({"width": 0.05}, {}, "width is 'not set' on worker 1 and 0.05 on the chief"),
        ({}, {"width": 0.05}, "width is 0.05 on worker 1 and 'not set' on the chief"),
        ({"larq": "0.13"}, {"larq": "0.12"}, "larq is '0.12' on worker 1 and '0.13' on the chief"),
    ],
)
def test_a_value_that_differs_is_named(monkeypatch, chiefs, its, sentence):
    said = []
    monkeypatch.setattr(distributing, "has_several_workers", lambda strategy: True)
    monkeypatch.setattr(
        distributing, "told", lambda strategy, own: said.append(own) or [chiefs, its]
    )
    with pytest.raises(ValueError, match=sentence):
        distributing.check_same(tf.distribute.get_strategy(), {"seed": 3})
    assert said == [{**provenance.versions(), "seed": 3}]
    assert said[0].items() >= {"larq-reactnet": lr.__version__, "numpy": np.__version__}.items()


@pytest.mark.parametrize(
    ("kind", "message", "expected"),
    [
        ("UnknownError", "{{node x}} FileNotFoundError: There is no file /health/a.jpg.", False),
        ("InvalidArgumentError", "Graph execution error:\n\nValueError: /Socket/a.jpg is", False),
        ("NotFoundError", "/health/a.tfrecord; No such file or directory", False),
        ("UnavailableError", "Collective ops is aborted by: Socket closed", True),
        ("InternalError", "/job:worker/replica:0/task:1 has had no heartbeat", True),
    ],
)
def test_files_that_are_gone_are_no_lost_worker(monkeypatch, kind, message, expected):
    monkeypatch.setattr(distributing, "has_several_workers", lambda strategy: True)
    error = getattr(tf.errors, kind)(None, None, message)
    assert distributing.is_loss(tf.distribute.get_strategy(), error) is expected


def test_another_folder_under_the_same_path(monkeypatch, tmp_path):
    """Found before the first batch, and not after the last one."""
    monkeypatch.setattr(opening, "PATIENCE", 0)
    for module in (opening, distributing):
        monkeypatch.setattr(module, "has_several_workers", lambda strategy: True)
    told = []
    monkeypatch.setattr(opening, "told", lambda strategy, own: [{"started": "today"}])
    monkeypatch.setattr(distributing, "told", lambda strategy, own: told.append(own) or [None])
    run, strategy = Run(tmp_path), tf.distribute.get_strategy()
    monkeypatch.setattr(opening, "is_chief", lambda strategy: False)
    with pytest.raises(ValueError, match="is not the folder that the chief has made"):
        opening.check_seen(run, strategy)
    assert len(told) == 1
    assert str(tmp_path) in told[0]

    needed = ("model", "options", "dataset", "data_dir", "image_size")
    content = {"arguments": dict.fromkeys(needed)}
    run.write(content)
    monkeypatch.setattr(opening, "told", lambda strategy, own: [content])
    opening.check_seen(run, strategy)


def test_other_weights_under_the_same_path():
    """Fine-tuning from them, workers would have different weights for ever."""
    first, second = (lr.zoo.create("bnn_plus_alexnet", width=0.05) for _ in range(2))
    assert provenance.sha256_of(first) != provenance.sha256_of(second)
    second.set_weights(first.get_weights())
    assert provenance.sha256_of(first) == provenance.sha256_of(second)


def test_parts_of_batches_make_up_the_whole():
    """Each pipeline decodes its own images only, and together they have the same as one."""
    data = lr.zoo.datasets.load("digits", batch_size=64, mixup=0.0, randaugment=1)
    whole = next(iter(data.train_from(2)))
    contexts = [tf.distribute.InputContext(2, number, 4) for number in range(2)]
    parts = [data.train_from(2, 0, context).take(2) for context in contexts]
    for number, part in enumerate(parts):
        images, labels = (
            tf.concat(halves, axis=0) for halves in zip(*part.as_numpy_iterator(), strict=True)
        )
        np.testing.assert_array_equal(images, whole[0][number::2])
        np.testing.assert_array_equal(labels, whole[1][number::2])
    counts = [sum(len(labels) for _, labels in data.test_part(context)) for context in contexts]
    assert sum(counts) == data.test_size
    assert data.test_steps == len(list(data.test))
