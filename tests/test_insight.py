"""What `BinaryInsight` sees of a binary network, for which models, and what it says goes wrong."""

import json
import subprocess
import sys

import larq_reactnet as lr
from larq_reactnet._insight import kernels, records
from larq_reactnet._insight.held import count_for
from larq_reactnet._insight.places import places_of
from larq_reactnet.callbacks import BinaryInsight

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from helpers import binary_model, every

LOSS = "sparse_categorical_crossentropy"


@pytest.fixture
def images(rng):
    return rng.normal(size=(32, 8, 8, 3)).astype(np.float32), rng.integers(0, 4, 32)


def with_softmax(**options):
    model = binary_model(**options)
    return tf.keras.Sequential([model, tf.keras.layers.Softmax(dtype="float32")])


def seen(model, images, epochs=1, compile=True, **options):
    """The callback after a short training."""
    insight = BinaryInsight(**{"print_fn": None, **options})
    if compile:
        model.compile("adam", LOSS, run_eagerly=True)  # so that nothing has to be traced
    model.fit(*images, batch_size=8, epochs=epochs, verbose=0, callbacks=[insight])
    return insight


# What is seen.


def test_flips_of_an_epoch_and_of_steps(images):
    model = with_softmax()
    latent = places_of(model).kernels[0].variable.latent_variable
    kept = []
    keep = tf.keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: kept.append(latent.numpy()),
        on_train_batch_end=lambda batch, logs: kept.append(latent.numpy()),
    )
    model.compile(tf.keras.optimizers.Adam(0.05), LOSS, run_eagerly=True)
    insight = BinaryInsight(every=2, print_fn=None)
    model.fit(*images, batch_size=8, epochs=2, verbose=0, callbacks=[insight, keep])

    def flips(first, second):
        return np.mean((kept[first] < 0) != (kept[second] < 0))

    found = [record["kernels"]["binary"] for record in insight.records]
    assert found[0]["flips"] == pytest.approx(flips(0, 4))
    assert found[1]["flips"] == pytest.approx(flips(4, 8)) != 0
    assert found[0]["flips_per_step"] == pytest.approx((flips(0, 1) + flips(2, 3)) / 2)
    assert found[1]["flips_per_step"] == pytest.approx((flips(4, 5) + flips(6, 7)) / 2)


def test_an_epoch_that_was_interrupted(images, tmp_path):
    """Two of its six batches were trained before: their flips are not known, their number is."""
    options = {"resumed_at": 2, "log_dir": tmp_path, "every": 4}
    insight = seen(with_softmax(), images, **options)
    assert insight.records[0]["kernels"]["binary"]["flips"] is None
    assert insight.records[0]["troubles"] == []
    (file,) = tmp_path.iterdir()
    events = tf.compat.v1.train.summary_iterator(str(file))
    assert {event.step for event in events if event.summary.value} == {3, 6}
    insight.model.fit(*images, batch_size=8, verbose=0, callbacks=[insight])
    assert insight.records[0]["kernels"]["binary"]["flips"] is not None


def test_latent_weights(rng):
    model = binary_model()
    kernel = places_of(model).kernels[0]
    weights = rng.uniform(-1, 1, kernel.variable.shape).astype(np.float32)
    weights.flat[:144] = np.where(np.arange(144) % 2, 1, -1)  # a quarter is at the clip
    weights.flat[144:288] = 1e-3
    found = kernels.describe(kernel, weights)
    assert (found["at_clip"], found["size"], found["range"]) == (0.25, 576, 1)
    near = np.mean(np.abs(weights) < 0.1 * np.abs(weights).mean())
    assert found["near_zero"] == pytest.approx(near)
    assert near > 0.25
    counts, _ = np.histogram(weights, 32, (-1, 1))
    np.testing.assert_allclose(found["histogram"], 10_000 * counts / 576, atol=0.5)
    assert "alpha" not in found
    free = places_of(binary_model(kernel_constraint=None)).kernels[0]
    assert kernels.describe(free, weights)["at_clip"] is None


def test_distance_to_alpha(images):
    quantizer = lr.quantizers.BNNPlusSign(regularizer=lr.regularizers.R1(1e-3))
    insight = seen(with_softmax(kernel_quantizer=quantizer), images)
    kernel = places_of(insight.model).kernels[0]
    alpha, w = kernel.layer.kernel_quantizer.alpha.numpy(), kernel.read()
    found = insight.records[0]["kernels"]["binary"]
    assert found["alpha"][0] == pytest.approx(alpha.min())
    assert found["alpha_distance"] == pytest.approx(np.abs(alpha - np.abs(w)).mean() / alpha.mean())
    regularizer = lr.regularizers.R2(1e-3, alpha=0.5)
    (kernel,) = places_of(binary_model(kernel_regularizer=regularizer)).kernels
    assert kernel.alpha == pytest.approx(0.5)


def test_signs_thresholds_and_slopes(images):
    """Against the numbers of a second model that ends where the sign is."""
    threshold = tf.keras.initializers.Constant([0, 100, -100, 0.5, 0, 0, 0, 0])
    quantizer = lr.quantizers.RSign(threshold_initializer=threshold)
    inner = binary_model(input_quantizer=quantizer)
    relu = lr.layers.RPReLU(name="act")
    model = tf.keras.Sequential([inner, relu, tf.keras.layers.Softmax()])
    held = images[0][:16]
    insight = seen(model, images, data=(held, images[1][:16]))
    found = insight.records[0]
    stem = inner.get_layer("stem")(held).numpy()
    wanted = np.mean(stem >= quantizer.threshold.numpy(), axis=(0, 1, 2))
    sign = found["signs"]["binary"]
    np.testing.assert_allclose(records.shares(sign["channels"]), wanted, atol=0.5 / 255)
    assert sign["channels"][2:6] == "00ff"
    assert sign["plus"] == pytest.approx(wanted.mean())
    assert sign["positions"] == 16 * 64
    thresholds = found["thresholds"]["binary"]
    assert (thresholds[0], thresholds[-1]) == pytest.approx((-100, 100), abs=0.1)
    assert found["slopes"]["act"] == pytest.approx([0.25] * 7, abs=0.05)
    assert found["images"] == 16


def test_gradients_and_mismatch(images):
    """Against the gradients of the parts, which TensorFlow gives of a model written by hand."""
    model = with_softmax(kernel_quantizer=lr.quantizers.ReActSign(), input_quantizer="approx_sign")
    insight = seen(model, images, data=images)
    inner = model.layers[0]
    layer, stem = inner.get_layer("binary"), inner.get_layer("stem")
    x = stem(images[0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        q = lq.quantizers.ApproxSign()(x)
        latent = tf.identity(layer.kernel.latent_variable)
        tape.watch(latent)
        y = tf.nn.conv2d(q, lr.quantizers.react_sign(latent), 1, "SAME")
        for name in ("bn", "pool", "logits"):
            y = inner.get_layer(name)(y, training=False)
        loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)(images[1], y)
    g_q, g_x, g_w = (np.ravel(tape.gradient(loss, what)) for what in (q, x, latent))
    sign, kernel = (insight.records[0][kind]["binary"] for kind in ("signs", "kernels"))
    norms = np.linalg.norm(g_q), np.linalg.norm(g_x)
    assert sign["gradient"] == pytest.approx(norms[1], rel=1e-3)
    assert sign["passed"] == pytest.approx(norms[1] / norms[0], rel=1e-3)
    assert sign["mismatch"] == pytest.approx(1 - g_q @ g_x / (norms[0] * norms[1]), rel=1e-3)
    assert 0.01 < sign["mismatch"] < 0.9
    assert kernel["gradient"] == pytest.approx(np.linalg.norm(g_w), rel=1e-3)
    assert kernel["mismatch"] == pytest.approx(0, abs=1e-6)  # nothing is outside of [-1, 1]
    assert insight.records[0]["gradient_norm"] > kernel["gradient"]


# It changes nothing.


@pytest.mark.slow
@pytest.mark.parametrize("how", [{}, {"run_eagerly": True}, {"steps_per_execution": 3}])
def test_training_is_the_same_with_it(how, images):
    """The batch that is held is trained with too, and all in their order."""
    results = []
    for callbacks in ([], [BinaryInsight(print_fn=None)]):
        tf.keras.utils.set_random_seed(0)
        model = with_softmax()
        model.compile("adam", LOSS, **how)
        data = tf.data.Dataset.from_tensor_slices(images).shuffle(32, seed=1).batch(5)
        history = model.fit(data, epochs=2, verbose=0, callbacks=callbacks).history
        results.append([*history["loss"], *model.get_weights()])
    for plain, watched in zip(*results, strict=True):
        np.testing.assert_allclose(plain, watched, rtol=1e-5, atol=1e-6)
    assert [record["images"] for record in callbacks[0].records] == [5, 5]
    assert model.train_function.__name__ != "first"


# For which models.


class Subclassed(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = binary_model()
        self.sign = lr.quantizers.RSign(name="alone")
        self.head = lq.layers.QuantDense(4, kernel_quantizer="ste_sign", name="dense")

    def call(self, inputs):
        outputs = self.head(self.sign(self.inner(inputs)))
        return self.head(self.sign(outputs))  # both are called twice


def test_subclassed_model_and_layers_that_are_called_twice(images):
    model = Subclassed()
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, run_eagerly=True)
    record = seen(model, images, compile=False, data=images).records[0]  # built in the first step
    assert {*record["kernels"]} == {"dense", "binary"}
    assert record["signs"]["alone"]["positions"] == 2 * 32
    assert record["kernels"]["dense"]["gradient"] > 0
    assert "call" not in vars(model.sign)


def test_names_are_those_of_one_layer_each(images):
    first, second = binary_model(), binary_model()
    inputs = tf.keras.layers.Input((8, 8, 3))
    outputs = tf.keras.layers.Softmax()(first(inputs) + second(inputs))
    second._name = "second"
    record = seen(tf.keras.Model(inputs, outputs), images).records[0]
    assert [*record["kernels"]] == [*record["signs"]] == ["binary", "binary#2"]
    depthwise = lq.layers.QuantSeparableConv2D(
        *(4, 3), depthwise_quantizer="ste_sign", pointwise_quantizer="ste_sign", name="both"
    )
    model = tf.keras.Sequential([tf.keras.layers.Input((8, 8, 3)), depthwise])
    found = places_of(model).kernels
    names = ["both/depthwise_kernel", "both/pointwise_kernel"]
    assert [kernel.name for kernel in found] == names


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_distiller(weight, images):
    student, teacher = binary_model(), binary_model()
    distiller = lr.Distiller(student, teacher, label_loss_weight=weight)
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    distiller.compile("adam", loss if weight else None, run_eagerly=True)
    record = seen(distiller, images, compile=False).records[0]
    assert [*record["kernels"]] == [*record["signs"]] == ["binary"]  # of the student alone
    assert record["kernels"]["binary"]["gradient"] > 0


def test_mixed_precision(images):
    found = []
    for policy in ("float32", "mixed_float16", "mixed_bfloat16"):
        tf.keras.utils.set_random_seed(0)
        tf.keras.mixed_precision.set_global_policy(policy)
        found.append(seen(with_softmax(input_quantizer="rsign"), images).records[0])
    for record in found[1:]:
        for kind in ("kernels", "signs"):
            one, other = (r[kind]["binary"]["gradient"] for r in (record, found[0]))
            assert 0.5 < one / other < 2  # the scale of the loss is taken out again


def test_model_without_labels_or_with_a_step_of_its_own(images):
    class Own(tf.keras.Sequential):
        def train_step(self, data):
            return super().train_step(data)

    own = Own([binary_model(), tf.keras.layers.Softmax()])
    for model, data in ((own, images), (with_softmax(), images[0])):
        record = seen(model, images, data=data).records[0]
        assert record["gradient_norm"] is record["signs"]["binary"]["mismatch"] is None
        assert record["kernels"]["binary"]["flips"] >= 0


def test_model_without_binary_layers(images):
    model = tf.keras.Sequential([tf.keras.layers.Flatten(), tf.keras.layers.Dense(4)])
    with pytest.raises(ValueError, match="has neither binary weights nor binary activations"):
        seen(model, images)


STRATEGY = """
import sys
import larq_reactnet as lr
import numpy as np, tensorflow as tf
sys.path.insert(0, sys.argv[1])
from helpers import binary_model
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
x, y = np.random.default_rng(0).normal(size=(16, 8, 8, 3)), np.arange(16) % 4
x = x.astype(np.float32)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = tf.keras.Sequential([binary_model(), tf.keras.layers.Softmax()])
    model.compile("adam", "sparse_categorical_crossentropy")
for data in (None, (x, y)):
    insight = lr.callbacks.BinaryInsight(data, path=sys.argv[2], log_dir=sys.argv[3])
    model.fit(x, y, batch_size=8, epochs=2, verbose=0, callbacks=[insight])
    print(len(insight.records), *insight.records[1]["signs"], *insight.records[1]["kernels"])
"""


@every  # test_replicas.py trains with it
def test_replicas(tmp_path):
    """Without held images, the batches of which replicas have parts are left alone."""
    arguments = [
        __file__.rpartition("/")[0],
        str(tmp_path / "insight.jsonl"),
        str(tmp_path / "logs"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", STRATEGY, *arguments], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == ["2 binary", "2 binary binary"], done.stderr[-2000:]


# Files.


def test_hexadecimal_shares():
    values = np.array([0, 1e-9, 0.5, 1 - 1e-9, 1])
    assert records.to_hex(values) == "000180feff"
    np.testing.assert_allclose(records.shares("000180feff"), values, atol=0.005)


def test_file_goes_on_where_the_training_does(images, tmp_path):
    path = tmp_path / "insight.jsonl"
    model = with_softmax()
    seen(model, images, epochs=3, path=path)
    with path.open("a") as file:
        file.write('{"step": 1, "epo')  # the process was killed
    assert [record["epoch"] for record in records.read(path)] == [0, 1, 2]
    insight = BinaryInsight(path=path, print_fn=None)
    arguments = {"batch_size": 8, "verbose": 0, "callbacks": [insight]}
    model.fit(*images, epochs=4, initial_epoch=2, **arguments)
    assert [record["epoch"] for record in records.read(path)] == [0, 1, 2, 3]
    second = BinaryInsight(path=path, step=2, print_fn=None)
    model.fit(*images, **{**arguments, "callbacks": [second]})
    found = records.read(path)
    assert [(r["step"], r["epoch"]) for r in found] == [(1, 0), (1, 1), (1, 2), (1, 3), (2, 0)]
    assert len(second.records) == 5
    assert json.loads(path.read_text().splitlines()[-1])["kernels"]["binary"]["size"] == 576
    path.write_text("{}\n")
    with pytest.raises(ValueError, match=r"insight\.jsonl is corrupt in line 1"):
        records.read(path)


def test_unwritable_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        BinaryInsight(path=tmp_path / "missing" / "insight.jsonl")


def test_summaries(images, tmp_path):
    quantizer = lr.quantizers.RSign()
    model = with_softmax(input_quantizer=quantizer)
    insight = seen(model, images, epochs=2, log_dir=tmp_path, every=3)
    (file,) = tmp_path.iterdir()
    tags, values = {}, {}
    for event in tf.compat.v1.train.summary_iterator(str(file)):
        for value in event.summary.value:
            tags.setdefault(value.tag, []).append(event.step)
            values[value.tag] = value
    assert tags["flips_per_step/binary"] == [1, 4, 5, 8]
    assert tags["kernels_flips/binary"] == tags["signs_mismatch/binary"] == [4, 8]
    assert tags["thresholds/binary"] == tags["latent_weights/binary"] == [4, 8]
    kernel = insight.records[-1]["kernels"]["binary"]
    assert values["kernels_flips/binary"].simple_value == pytest.approx(kernel["flips"])
    histogram = tf.make_ndarray(values["latent_weights/binary"].tensor)
    assert histogram.shape == (30, 3)
    assert histogram[:, 2].sum() == 576
    weights = places_of(insight.model).kernels[0].read()
    np.testing.assert_allclose([histogram[0, 0], histogram[-1, 1]], [weights.min(), weights.max()])


def test_number_of_held_images():
    assert count_for(1437, 32) == 16
    assert count_for(8000, 128) == 62
    assert count_for(50_000, 256) == 256
    assert count_for(1_281_167, 64) == 64
    assert count_for(100, 32) == 16
    assert count_for(100, 8) == 8


# What goes wrong: test_troubles.py has the rules.


def test_not_a_number_stops_the_training(images, capsys):
    """At the next step that is looked at, and it is said once, with the name of a weight."""
    model = with_softmax()
    model.compile(tf.keras.optimizers.SGD(float("inf")), LOSS, run_eagerly=True)
    insight = BinaryInsight(every=2)
    history = model.fit(*images, batch_size=4, epochs=3, verbose=0, callbacks=[insight])
    assert len(history.epoch) == 1
    assert insight._count < 8
    error = capsys.readouterr().err
    assert "Step 1, epoch 1: not finite: " in error
    assert "kernel: has values that are NaN or infinite" in error
    assert "learning rate" in error
    assert error.count("Step 1") == 1


def test_troubles_are_said_once(images, capsys):
    model = with_softmax(input_quantizer=lr.quantizers.RSign(threshold_initializer="ones"))
    places_of(model).kernels[0].layer.input_quantizer.threshold.assign([100.0] * 8)
    insight = seen(model, images, epochs=2, print_fn=print)
    assert [len(r["troubles"]) for r in insight.records] == [1, 1]
    said = capsys.readouterr().out
    assert said.count("dead layer: binary: 8 of 8 channels") == 1
    assert places_of(model).signs[0].name == "binary"
