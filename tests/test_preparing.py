"""What `export` makes of models before it converts them, and why it refuses others."""

import subprocess
import sys
import textwrap

import larq_reactnet as lr
from larq_reactnet.converters import ExportError, check, convert, export, verify, verify_layers
from larq_reactnet.converters.preparing import prepare

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from faulty_models import BINARY, binary_conv, model_of, noise, randomized
from helpers import binary_model

layers = tf.keras.layers


def refusal(model, **arguments):
    """Why a model is refused; `check` finds the same."""
    with pytest.raises(ExportError) as error:
        prepare(model, **arguments)
    found = [finding for finding in check(model) if finding.blocks]
    assert str(found[0]) in str(error.value)
    return str(error.value)


# Mixed precision.


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_built_again_in_float32(tmp_path, rng, policy):
    tf.keras.mixed_precision.set_global_policy(policy)
    inputs = layers.Input((8, 8, 3))
    x = lr.layers.RPReLU()(layers.Conv2D(8, 3, padding="same")(inputs))
    inner = tf.keras.Sequential([layers.Input((8, 8, 8)), binary_conv(8, input_quantizer="rsign")])
    x = layers.GlobalAveragePooling2D()(layers.BatchNormalization()(inner(x)))
    x = layers.Dense(4)(tf.cast(x, tf.float16))
    model = tf.keras.Model(inputs, layers.Activation("softmax", dtype="float32")(x))
    randomized(model, rng)
    tf.keras.mixed_precision.set_global_policy("float32")
    before = [weight.numpy() for weight in model.weights]
    images = rng.normal(size=(12, 8, 8, 3)).astype(np.float32)

    report = export(model, tmp_path / "m.tflite", verify_with=images, progress=False)
    assert report.agreement.same_class == 1
    assert report.agreement.max_distance < 1e-3
    assert not report.proof.not_replayed
    assert f"in float32, because layers have the dtype policy {policy}" in report.rebuilt
    assert "built again" in str(report)

    (note,) = [finding for finding in check(model) if finding.kind == "unsupported"]
    assert note.applied
    assert policy in note.problem
    float32, _ = prepare(model)
    assert all(weight.dtype == tf.float32 for weight in float32.weights)
    for old, new in zip(before, float32.weights, strict=True):
        np.testing.assert_array_equal(old, new.numpy())
    assert {layer.dtype_policy.name for layer in model.layers} - {"float32"} == {policy}


# Free sizes.


@pytest.mark.slow
def test_images_of_any_size(tmp_path, rng):
    inputs = layers.Input((None, None, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same")(inputs)
    x = layers.BatchNormalization()(binary_conv(8, padding="same")(x))
    x = layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    model = randomized(tf.keras.Model(inputs, x), rng)
    assert "inputs of any size (None, None, 3): give" in refusal(model).replace("; ", ": ")
    for size in (8, 12):
        images = rng.normal(size=(6, size, size, 3)).astype(np.float32)
        path = tmp_path / f"{size}.tflite"
        report = export(
            model, path, input_shape=(size, size, 3), verify_with=images, progress=False
        )
        assert report.agreement.same_class == 1
        assert f"with inputs of shape ({size}, {size}, 3)" in report.rebuilt
        with lr.converters.Interpreter(path) as interpreter:
            assert interpreter.input_shapes == [(1, size, size, 3)]
    for wrong in ((8, 8), (8, 8, 4), (0, 8, 3), ((8, 8, 3), (5,))):
        with pytest.raises(ExportError, match=r"`input_shape` is .* takes \(None, None, 3\)"):
            prepare(model, wrong)
    fixed = binary_model()
    assert prepare(fixed, (8, 8, 3))[0].output_shape == (None, 4)
    with pytest.raises(ExportError, match="`input_shape`"):
        prepare(fixed, (16, 16, 3))


# Refusals, each with its own reason.


class Block(layers.Layer):
    """A layer with a binary convolution inside."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.conv = lq.layers.QuantConv2D(4, 3, name="inside", **BINARY)

    def call(self, inputs):
        return self.conv(inputs)


class Part(tf.keras.Model):
    """A subclassed model."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.dense = layers.Dense(4, name="dense_inside")

    def call(self, inputs):
        return self.dense(inputs)


def test_refusals_name_their_reason():
    assert "it is not built" in refusal(tf.keras.Sequential([layers.Dense(3)]))
    subclassed = Part()
    subclassed(np.zeros((1, 3), np.float32))
    assert "a subclassed model (Part)" in refusal(subclassed)
    integers = tf.keras.Sequential([layers.Input((8, 8, 3), dtype="uint8"), layers.Rescaling(0.1)])
    assert "takes uint8 inputs; build the model with float32" in refusal(integers)
    with pytest.raises(ExportError, match=r"must be a Keras 2 model .* got str"):
        prepare("model.h5")


@pytest.mark.parametrize("part", [Block(name="part"), Part(name="part")])
def test_parts_whose_layers_are_hidden(tmp_path, rng, part):
    inputs = layers.Input((8, 8, 4))
    x = part(inputs) if isinstance(part, Block) else part(layers.Flatten()(inputs))
    model = tf.keras.Model(inputs, layers.Flatten()(x))
    (finding,) = [finding for finding in check(model) if finding.blocks]
    assert (finding.layer, finding.kind) == ("part", "hidden")
    assert "inside" in finding.problem
    images = noise(model, rng, 4)
    with pytest.raises(ExportError, match="part: it is a subclassed part"):
        export(model, tmp_path / "m.tflite", verify_with=images, progress=False)
    report = export(
        model, tmp_path / "m.tflite", verify_with=images, allow_float=True, progress=False
    )
    assert report.agreement.relative_error < 0.1
    assert report.proof.not_replayed


def test_a_layer_that_only_holds_float_layers_is_not_a_finding():
    inputs = layers.Input((6, 5))
    model = tf.keras.Model(inputs, layers.TimeDistributed(layers.Dense(3))(inputs))
    assert not check(model)


# Augmentation in the model.


def augmented(*augmentation):
    """A model with layers that are active whenever they are not told otherwise."""
    model = model_of(
        *augmentation,
        layers.Conv2D(8, 3, padding="same"),
        binary_conv(8, padding="same", input_quantizer="rsign"),
        layers.BatchNormalization(),
        lr.layers.RPReLU(),
        binary_conv(8, name="second", padding="same"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(4, activation="softmax"),
        shape=(8, 8, 3),
    )
    return randomized(model, np.random.default_rng(0))


ALL = (
    layers.RandomFlip,
    lambda: layers.RandomRotation(0.4),
    lambda: layers.RandomZoom(0.4),
    lambda: layers.RandomTranslation(0.4, 0.4),
    lambda: layers.RandomContrast(0.4),
    lambda: layers.RandomBrightness(0.4, value_range=(-1, 1)),
)


@pytest.mark.slow
def test_augmentation_is_left_out_of_the_file(tmp_path, rng):
    model = augmented(*(make() for make in ALL), layers.GaussianNoise(1.0))
    report = export(
        model,
        tmp_path / "m.tflite",
        verify_with=noise(model, rng, 8),
        thorough=True,
        progress=False,
    )
    assert report.agreement.same_class == 1
    assert report.folding_error < 1e-9
    assert not report.proof.not_replayed
    assert not report.not_folded
    assert all(replay.is_equal for replay in report.proof.replays)


def test_augmentation_between_layers_that_are_compared(rng):
    """LCE fuses the batch normalization behind it, so both are computed with the convolution."""
    model = model_of(
        binary_conv(8, padding="same"),
        layers.RandomFlip(),
        layers.RandomRotation(0.4),
        layers.BatchNormalization(),
        layers.Flatten(),
        shape=(8, 8, 4),
    )
    model = randomized(model, rng)
    (layer,) = verify_layers(model, convert(model), noise(model, rng, 2))
    assert layer.is_equal


def test_images_stay_images_behind_augmentation_and_rescaling():
    first = {**BINARY, "input_quantizer": None}
    for before in ([], [layers.RandomFlip()], [layers.RandomFlip(), layers.Rescaling(1 / 127.5)]):
        model = model_of(*before, lq.layers.QuantConv2D(4, 3, **first), shape=(8, 8, 3))
        assert not [finding for finding in check(model) if finding.blocks]


def step1():
    """A model with layers of augmentation, before its weights are made binary."""
    conv = {"padding": "same", "input_quantizer": "ste_sign"}
    return model_of(
        layers.RandomFlip(),
        layers.RandomRotation(0.1),
        lq.layers.QuantConv2D(8, 3, padding="same"),
        layers.BatchNormalization(),
        lq.layers.QuantConv2D(8, 3, name="binary", **conv),
        layers.BatchNormalization(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(4),
        shape=(8, 8, 3),
    )


@pytest.mark.slow
def test_distiller_and_two_steps_with_augmentation_in_the_model(tmp_path, rng):
    images, labels = rng.normal(size=(32, 8, 8, 3)).astype(np.float32), rng.integers(0, 4, 32)
    model = step1()
    distiller = lr.Distiller(model, step1())
    distiller.compile("adam", metrics=["accuracy"])
    weights = rng.uniform(size=32)
    distiller.fit(images, labels, sample_weight=weights, batch_size=16, verbose=0)
    assert "its weights are not" in next(f.problem for f in check(model) if f.blocks)

    student = lr.binarize_weights(model, print_fn=None)
    distiller = lr.Distiller(student, step1())
    distiller.compile("adam", metrics=["accuracy"])
    distiller.fit(images, labels, sample_weight=weights, batch_size=16, verbose=0)
    report = export(distiller, tmp_path / "d.tflite", verify_with=images, progress=False)
    assert report.binary_convolutions == 1
    assert report.agreement.same_class is not None
    assert report.agreement.other_class == 0


@pytest.mark.slow
def test_xla(tmp_path, rng):
    model = augmented(layers.RandomFlip())
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=True)
    images, labels = rng.normal(size=(16, 8, 8, 3)).astype(np.float32), rng.integers(0, 4, 16)
    model.fit(images, labels, sample_weight=np.ones(16), verbose=0)
    report = export(model, tmp_path / "m.tflite", verify_with=images, progress=False)
    assert report.agreement.other_class == 0


# Several devices.

MIRRORED = """
import sys
import larq_reactnet as lr
import larq as lq
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
layers = tf.keras.layers
with strategy.scope():
    model = tf.keras.Sequential([
        layers.Input((8, 8, 3)),
        layers.Conv2D(8, 3, padding="same"),
        layers.BatchNormalization(momentum=0.5),
        lq.layers.QuantConv2D(8, 3, padding="same", input_quantizer="ste_sign",
                              kernel_quantizer="ste_sign", kernel_constraint="weight_clip"),
        layers.BatchNormalization(momentum=0.5),
        layers.GlobalAveragePooling2D(),
        layers.Dense(4, activation="softmax"),
    ])
    model.compile(tf.keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
rng = np.random.default_rng(0)
images = rng.normal(size=(64, 8, 8, 3)).astype(np.float32) * rng.uniform(0.1, 4, (64, 1, 1, 1))
images = images.astype(np.float32)
model.fit(images, rng.integers(0, 4, 64), batch_size=8, verbose=0)
mean = model.layers[3].moving_mean
copies = [copy.numpy() for copy in mean.values]
assert not np.allclose(*copies), "the copies should have averages of their own"
report = lr.converters.export(model, sys.argv[1], verify_with=images, progress=False)
assert report.agreement.flipped == 0, report
assert report.agreement.max_distance < 0.1, report
print("exported", report.agreement.same_class)
"""


@pytest.mark.slow
def test_mirrored_strategy(tmp_path):
    """Each copy of the model has moving averages of its own; one copy is compared."""
    script = tmp_path / "mirrored.py"
    script.write_text(textwrap.dedent(MIRRORED))
    result = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "m.tflite")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "exported 1.0" in result.stdout, result.stderr[-2000:]


def test_a_model_is_compared_in_inference(rng):
    """Also one with a `predict_step` of its own."""

    class Other(tf.keras.Model):
        def predict_step(self, data):
            return 1000 * self(data, training=True)

    model = augmented(layers.RandomFlip())
    other = Other(model.inputs, model.outputs)
    agreement = verify(other, convert(model), noise(model, rng, 4), progress=False)
    assert agreement.same_class == 1
