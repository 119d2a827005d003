"""Several replicas of one process, and a parameter server.

They need a TensorFlow that has computed nothing yet, so they run in processes of their own.
"""

import os
import subprocess
import sys

from larq_reactnet.training import Run, load_model

import pytest
from helpers import free_port
from test_training import epochs_of

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
    ports = [f"localhost:{free_port()}" for _ in range(2)]
    done = subprocess.run(
        [sys.executable, "-c", PARAMETER_SERVER.replace("PORTS", repr(ports))],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.stdout.endswith("trained\n"), done.stderr
