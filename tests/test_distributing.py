"""Training under strategies of tf.distribute: two parts of the CPU, and two processes.

Both need a TensorFlow that has computed nothing yet, so they run in processes of their own.
"""

import json
import os
import socket
import subprocess
import sys
import time

import larq_reactnet as lr
from larq_reactnet.training import Run, clusters, distributing, load_model, opening, provenance
from larq_reactnet.zoo.recipes import two_step

import numpy as np
import pytest
import tensorflow as tf
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
from larq_reactnet_cli import main

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
    "train bnn_plus_alexnet {folder} --set width=0.05 --step1-epochs 1 --epochs 1 --batch-size 256 "
    "--learning-rate 0.01 --keep-best --ema 0.9"
)


def port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


class Workers:
    """Processes that run the same command, each with its number in `TF_CONFIG`."""

    def __init__(self, folder, count):
        self.folder = folder
        self.addresses = [f"localhost:{port()}" for _ in range(count)]
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
    assert load_model(workers.folder).count_params()


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
        ({"version": "0.0.0"}, "larq-reactnet is '0.0.0' on worker 1 and"),
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


def config(cluster, kind="worker", index=0):
    """A TF_CONFIG."""
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


class TestStrategyOf:
    def test_names(self):
        assert distributing.strategy_of(None) is tf.distribute.get_strategy()
        own = tf.distribute.OneDeviceStrategy("CPU:0")
        assert distributing.strategy_of(own) is own
        assert distributing.strategy_of("mirrored").num_replicas_in_sync == 1

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("horovod", None, r"`strategy` must be one of \('mirrored', 'multi_worker'\)"),
            ("multi_worker", None, "The environment variable TF_CONFIG must say which workers"),
            ("multi_worker", "{", "TF_CONFIG does not say which workers there are .* '{'"),
            ("multi_worker", '{"cluster": {"worker": ["a:1"]}}', "TF_CONFIG does not say"),
            ("multi_worker", config({"worker": ["a:1"]}, index=1), "this is worker 1, .* has 1 of"),
            ("multi_worker", config({"worker": ["a:1"]}, index=-1), "this is worker -1, "),
            (
                "multi_worker",
                config({"worker": ["a:1"]}, "chief"),
                "this is chief 0, .* has 0 of",
            ),
            (
                "multi_worker",
                config({"worker": "a:1"}),
                "a list of addresses for 'worker'",
            ),
            ("multi_worker", config({"worker": ["a:1"], "ps": ["b:1"]}), "has 'ps' in its cluster"),
            ("multi_worker", config({"chief": ["a:1", "b:1"]}, "chief"), "more than one chief"),
            ("multi_worker", config({"worker": ["a"]}), "has 'a' where host:port should be"),
            ("multi_worker", config({"worker": [2222]}), "has 2222 where host:port should be"),
            ("multi_worker", config({"worker": ["a:70000"]}), "with a port from 1 to 65535"),
            ("multi_worker", config({"worker": ["http://a:1"]}), "has 'http://a:1' where"),
            ("multi_worker", config({"worker": ["a:1", "a:1"]}), "has a:1 twice"),
        ],
    )
    def test_refused(self, monkeypatch, name, text, message):
        """TensorFlow itself ends the process, or waits for ever, at some of them."""
        monkeypatch.delenv("TF_CONFIG", raising=False)
        if text is not None:
            monkeypatch.setenv("TF_CONFIG", text)
        with pytest.raises(ValueError, match=message):
            distributing.strategy_of(name)


@pytest.mark.parametrize(("task", "own"), [(0, "node1:8888"), (2, "node2:8888")])
def test_tasks_of_a_slurm_step(monkeypatch, task, own):
    """On machines without GPUs, every task is a worker."""
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setattr(clusters.shutil, "which", lambda program: None)
    step = {"NUM_TASKS": "3", "TASKS_PER_NODE": "2,1", "NODELIST": "node[1-2]"}
    for name, value in {"PROCID": str(task), **{f"STEP_{k}": v for k, v in step.items()}}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    resolver = clusters.cluster_of_environment()
    addresses = ["node1:8888", "node1:8889", "node2:8888"]
    assert resolver.cluster_spec().as_dict() == {"worker": addresses}
    assert (resolver.task_type, resolver.task_id) == ("worker", task)
    assert resolver.cluster_spec().task_address("worker", task) == own


@pytest.mark.parametrize(
    ("task", "step"),
    [
        ("0", {}),
        ("x", {"TASKS_PER_NODE": "2", "NODELIST": "n1"}),
        ("5", {"TASKS_PER_NODE": "2", "NODELIST": "n1"}),
        ("0", {"TASKS_PER_NODE": "2", "NODELIST": "n[1-"}),
        ("0", {"TASKS_PER_NODE": "1", "NODELIST": "n1"}),
    ],
    ids=["no step", "no number", "not in the step", "bad list", "too few"],
)
def test_a_slurm_step_that_does_not_fit(monkeypatch, task, step):
    for name in [name for name in os.environ if name.startswith(("SLURM_", "TF_CONFIG"))]:
        monkeypatch.delenv(name)
    for name, value in {"PROCID": task, "STEP_NUM_TASKS": "2"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    for name, value in step.items():
        monkeypatch.setenv(f"SLURM_STEP_{name}", value)
    with pytest.raises(ValueError, match=r"SLURM_.* do not say which workers .* with srun"):
        distributing.strategy_of("multi_worker")


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
    ],
)
def test_a_value_that_differs_is_named(monkeypatch, chiefs, its, sentence):
    monkeypatch.setattr(distributing, "has_several_workers", lambda strategy: True)
    monkeypatch.setattr(distributing, "told", lambda strategy, own: [chiefs, its])
    with pytest.raises(ValueError, match=sentence):
        distributing.check_same(tf.distribute.get_strategy(), {})


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


MIRRORED = """
import sys
import larq_reactnet as lr
import larq as lq
import numpy as np
import tensorflow as tf
from larq_reactnet.training.distributing import strategy_of, synchronize_batch_normalization
from larq_reactnet.training.optimizers import TorchAdam

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = strategy_of("mirrored")
assert strategy.num_replicas_in_sync == 2
tf.keras.backend.set_floatx("float64")
random = np.random.default_rng(0)
images, labels = random.normal(size=(64, 12, 12, 3)), random.integers(0, 5, 64)
data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(32)

def network():
    return tf.keras.Sequential([
        tf.keras.layers.Conv2D(8, 3, use_bias=False, input_shape=(12, 12, 3)),
        tf.keras.layers.BatchNormalization(),
        lr.layers.RPReLU(),
        lq.layers.QuantConv2D(16, 3, use_bias=False, input_quantizer="rsign",
            kernel_quantizer="react_sign", kernel_constraint="weight_clip"),
        tf.keras.layers.BatchNormalization(),
        lq.layers.QuantConv2D(16, 3, use_bias=False,
            input_quantizer=lr.quantizers.SwishSign(trainable_beta=True),
            kernel_quantizer=lr.quantizers.BNNPlusSign(regularizer=lr.regularizers.R2(1e-2))),
        tf.keras.layers.BatchNormalization(),
        lr.layers.LearnableBias(),
        lq.layers.QuantConv2D(16, 3, input_quantizer="ste_sign", kernel_quantizer="ste_sign",
            kernel_regularizer=lr.regularizers.R1(1e-2, 0.5)),
        tf.keras.layers.GlobalAveragePooling2D(),
        tf.keras.layers.Dense(5),
    ])

def trained(strategy):
    tf.keras.utils.set_random_seed(1)
    with strategy.scope():
        teacher, student = network(), network()
        synchronize_batch_normalization(student)
        model = lr.Distiller(student, teacher, label_loss_weight=0.5)
        loss = lr.losses.SoftCategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
        model.compile(TorchAdam(1e-3), loss, metrics=[lr.metrics.SoftCategoricalAccuracy()])
    schedule = lr.callbacks.RegularizerSchedule(lambda epoch: 1.0 + epoch)
    insight = lr.callbacks.BinaryInsight((images[:8], labels[:8]), print_fn=None)
    history = model.fit(data, epochs=2, verbose=0, shuffle=False, callbacks=[schedule, insight])
    assert len(insight.records) == 2
    copies = [strategy.experimental_local_results(w) for w in student.trainable_weights]
    for of_weight in copies:
        for copy in of_weight[1:]:
            np.testing.assert_array_equal(copy.numpy(), of_weight[0].numpy())
    return student, history.history

alone, its = trained(tf.distribute.get_strategy())
shared, history = trained(strategy)
for name in its:
    np.testing.assert_allclose(history[name], its[name], rtol=1e-9, err_msg=name)
for weight, found, expected in zip(
    alone.weights, shared.get_weights(), alone.get_weights(), strict=True
):
    scale = np.abs(expected).max() + 1e-9
    np.testing.assert_allclose(found, expected, atol=1e-9 * scale, err_msg=weight.name)

tf.keras.backend.set_floatx("float32")
recipe = lr.zoo.recipes.two_step("bnn_plus_alexnet", **eval(sys.argv[2]))
lr.training.train(recipe, sys.argv[1], strategy=strategy, verbose=0)
"""


@pytest.mark.slow
def test_mirrored(tmp_path):
    """Quantizers, scales, thresholds, penalties, constraints, metrics and the Distiller, and runs.

    In float64, where two parts of a batch give what the whole gives, up to rounding.
    """
    values = {"options": {"width": 0.05}, "step1_epochs": 0, "epochs": 1, "batch_size": 512}
    subprocess.run(
        [sys.executable, "-c", MIRRORED, str(tmp_path / "run"), repr(values)],
        check=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert epochs_of(tmp_path / "run") == [(1, 0)]
    assert Run(tmp_path / "run").read()["replicas"] == 2
    assert load_model(tmp_path / "run").count_params()


PARAMETER_SERVER = """
import os
import larq_reactnet as lr
import larq as lq
import numpy as np
import tensorflow as tf

ports = PORTS
cluster = tf.train.ClusterSpec({"worker": ports[:1], "ps": ports[1:]})
servers = [tf.distribute.Server(cluster, job_name=job) for job in ("worker", "ps")]
resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(cluster, rpc_layer="grpc")
strategy = tf.distribute.ParameterServerStrategy(resolver)
random = np.random.default_rng(0)
images, labels = random.normal(size=(32, 8, 8, 3)), random.integers(0, 5, 32)

def network():
    return tf.keras.Sequential([
        lq.layers.QuantConv2D(4, 3, input_quantizer="rsign", kernel_quantizer="react_sign",
            kernel_constraint="weight_clip", input_shape=(8, 8, 3)),
        lr.layers.RPReLU(),
        lq.layers.QuantConv2D(4, 3, input_quantizer=lr.quantizers.SwishSign(trainable_beta=True),
            kernel_quantizer=lr.quantizers.BNNPlusSign(regularizer=lr.regularizers.R2(1e-2))),
        tf.keras.layers.GlobalAveragePooling2D(),
        tf.keras.layers.Dense(5),
    ])

with strategy.scope():
    student = network()
    teacher = tf.keras.Sequential([tf.keras.layers.Flatten(input_shape=(8, 8, 3)),
        tf.keras.layers.Dense(5)])
    model = lr.Distiller(student, teacher, label_loss_weight=0.5)
    loss = lr.losses.SoftCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=[lr.metrics.SoftCategoricalAccuracy()])
before = student.get_weights()
data = tf.keras.utils.experimental.DatasetCreator(
    lambda _: tf.data.Dataset.from_tensor_slices((images, labels)).batch(16).repeat()
)
insight = lr.callbacks.BinaryInsight((images[:8], labels[:8]), print_fn=None)
history = model.fit(data, epochs=1, steps_per_epoch=2, verbose=0, callbacks=[insight]).history
assert np.isfinite([history["loss"], history["distribution_loss"]]).all()
assert len(insight.records) == 1
assert all((old != new.numpy()).any() for old, new in zip(before, student.weights))
print("trained", flush=True)
os._exit(0)  # servers cannot be stopped
"""


@pytest.mark.slow
def test_parameter_server():
    """`fit` of a user: quantizers, scales, penalties, losses, metrics, Distiller, BinaryInsight."""
    ports = [f"localhost:{port()}" for _ in range(2)]
    done = subprocess.run(
        [sys.executable, "-c", PARAMETER_SERVER.replace("PORTS", repr(ports))],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.stdout.endswith("trained\n"), done.stderr
