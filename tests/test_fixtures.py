"""Files that earlier commits wrote: they load for ever, and give the same numbers.

Each folder in `fixtures` is named after the commit that wrote it, and its `make.py` says what is in
it and how it was written. Nothing there is ever written again.

The same processor gives the same numbers bit for bit. Others round float layers differently, by
about 1e-7 of a value at each of them, so outputs are compared with a tolerance of 1e-4 of the
largest. Signs and classes cannot change by that, because the inputs were chosen so that no value
is near to a threshold: they are compared exactly, and so are packed bits and texts.
"""

import json
from pathlib import Path

import larq_reactnet as lr
from larq_reactnet_cli import main

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from helpers import some

FOLDER = Path(__file__).parent / "fixtures" / "8897b1c"
TEXTS = json.loads((FOLDER / "expected.json").read_text())
TOLERANCE = 1e-4
# Each engine rounds the inputs of an int8 layer to 8 bits in its own way, on each processor.
INT8 = 0.05


@pytest.fixture(scope="module")
def expected():
    with np.load(FOLDER / "expected.npz") as file:
        return dict(file)


def assert_same(outputs, wanted, tolerance=TOLERANCE):
    np.testing.assert_allclose(outputs, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())
    np.testing.assert_array_equal(outputs.argmax(-1), wanted.argmax(-1))


def assert_same_bits(model, name, expected):
    """Exactly the signs of all binary kernels, by the names of the layers."""
    prefix = f"{name}/bits/"
    wanted = {key.removeprefix(prefix): expected[key] for key in expected if key.startswith(prefix)}
    assert wanted
    for layer, bits in wanted.items():
        kernel = model.get_layer(layer).get_weights()[0]
        np.testing.assert_array_equal(np.packbits(kernel < 0), bits, layer)


def run(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def accuracy(text):
    return float(text.split("Test accuracy ")[1].split("%")[0])


def untrained(**options):
    """The network of the run, with other weights than it was trained to."""
    arguments = lr.training.Run(FOLDER / "run").read()["arguments"]
    return lr.zoo.create(arguments["model"], **{**arguments["options"], **options})


def forget(model):
    """Set all weights to 0, so that what is loaded afterwards shows."""
    model.set_weights([np.zeros_like(value) for value in model.get_weights()])


def test_nothing_is_near_a_threshold():
    """The margins are far larger than rounding, so signs and classes are the same everywhere."""
    assert min(TEXTS["margins"].values()) > 20 * TOLERANCE


def test_run(expected):
    folder = lr.training.Run(FOLDER / "run")
    model = folder.load_model()
    assert_same(model.predict(expected["run/images"]), expected["run/outputs"])
    assert folder.read()["results"]["accuracy"] == pytest.approx(
        accuracy(TEXTS["evaluate run"]) / 100, abs=1e-4
    )
    assert folder.hours() > 0


def test_packed_weights_of_the_run(expected):
    model = untrained()
    lr.load_packed(model, FOLDER / "run" / "packed.safetensors")
    assert_same(model.predict(expected["run/images"]), expected["run/outputs"])


def test_weights_of_step_1():
    """They are real, as `binary_weights=False` asks for, and load by the constructor too."""
    path = str(FOLDER / "run" / "step1.h5")
    model = untrained(binary_weights=False, weights=path)
    twin = untrained(binary_weights=False)
    twin.load_weights(path)
    for found, wanted in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)
    binary = lr.binarize_weights(model)
    assert lr.profiling.ops(binary).bops > 0


def test_evaluate_run():
    """One of 360 images may get another class on a processor that rounds differently."""
    wanted = accuracy(TEXTS["evaluate run"])
    assert accuracy(run("evaluate", FOLDER / "run")) == pytest.approx(wanted, abs=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", some(["h5", "keras"], "keras"))
def test_every_layer(suffix, expected):
    """And quantizer, regularizer and constraint, with the state of the training."""
    model = tf.keras.models.load_model(FOLDER / f"layers.{suffix}")
    features = tf.keras.Model(model.input, model.get_layer("features").output)
    images, targets = expected["layers/images"], expected["layers/targets"]
    assert_same_bits(model, "layers", expected)
    assert_same(features.predict(images), expected["layers/features"])
    assert_same(model.predict(images), expected["layers/outputs"])
    assert_same(np.array(model.evaluate(images, targets)), expected["layers/evaluation"])
    assert isinstance(model.loss, lr.losses.DistributionLoss)
    assert model.loss.temperature == 2
    assert model.optimizer.iterations.numpy() == 1
    before = model.get_weights()
    model.train_on_batch(images, targets)
    assert any(map(np.any, map(np.not_equal, before, model.get_weights())))


def test_every_object_has_its_arguments():
    model = tf.keras.models.load_model(FOLDER / "layers.h5")
    names = [layer.name for layer in model.layers if layer.name.endswith("_conv")]
    convolution = {name.removesuffix("_conv"): model.get_layer(name) for name in names}
    swish, trained = (convolution[name].input_quantizer for name in ("swish", "swish_trained"))
    assert isinstance(swish, lr.quantizers.SwishSign)
    assert (swish.beta, swish.trainable_beta) == (7, False)
    assert (trained.beta, trained.trainable_beta) == (3, True)
    surrogates = {n: convolution[n].input_quantizer.surrogate for n in convolution if "rsign" in n}
    assert surrogates == {
        "rsign": "approx_sign",
        "rsign_swish": "swish_sign",
        "rsign_ste": "ste_sign",
        "rsign_alias": "approx_sign",
    }
    regularizer = convolution["rsign"].kernel_quantizer.regularizer
    assert isinstance(regularizer, lr.regularizers.R1)
    assert regularizer.initial_strength == pytest.approx(1e-3)
    assert convolution["rsign_swish"].kernel_quantizer.beta is None
    regularizer = convolution["swish_trained"].kernel_regularizer
    assert isinstance(regularizer, lr.regularizers.R2)
    assert regularizer.alpha == pytest.approx([0.5, 0.6, 0.7, 0.8])


def test_every_way_to_pack(expected):
    model = tf.keras.models.load_model(FOLDER / "layers.h5", compile=False)
    forget(model)
    lr.load_packed(model, FOLDER / "layers.safetensors")
    assert_same_bits(model, "layers", expected)
    assert_same(model.predict(expected["layers/images"]), expected["layers/outputs"])


def test_aliases(expected):
    """A configuration that people write names a quantizer by its alias, not by its class."""
    model = tf.keras.models.load_model(FOLDER / "aliases.h5", compile=False)
    assert_same(model.predict(expected["aliases/images"]), expected["aliases/outputs"])
    for alias, name in TEXTS["aliases"].items():
        layer = model.get_layer(alias)
        types = {type(layer.input_quantizer).__name__, type(layer.kernel_quantizer).__name__}
        assert name in types
        assert type(lq.quantizers.get(alias)).__name__ == name


def test_cured(expected):
    model = tf.keras.models.load_model(FOLDER / "cured.h5", compile=False)
    assert_same(model.predict(expected["cured/images"]), expected["cured/outputs"])


@pytest.mark.parametrize("name", ["reactnet_18", "reactnet_18_float16"])
def test_packed_weights_of_the_zoo(name, expected):
    model = lr.zoo.create("reactnet_18", **TEXTS["reactnet_18"])
    forget(model)
    lr.load_packed(model, FOLDER / f"{name}.safetensors")
    assert_same_bits(model, "reactnet_18", expected)
    assert_same(model.predict(expected["reactnet_18/images"]), expected[f"{name}/outputs"])


@pytest.mark.parametrize("engine", ["lce", "runtime"])
@pytest.mark.parametrize(("name", "tolerance"), [("float16", TOLERANCE), ("int8", INT8)])
def test_tflite(name, tolerance, engine, expected):
    pytest.importorskip({"lce": "larq_compute_engine", "runtime": "larq_reactnet_runtime"}[engine])
    content = (FOLDER / f"model_{name}.tflite").read_bytes()
    outputs = lr.converters.predict_tflite(content, expected["run/images"], engine=engine)
    assert_same(outputs, expected[f"model_{name}/outputs"], tolerance)
    assert_same(outputs, expected["run/outputs"], INT8)  # what Keras gives


@pytest.mark.parametrize("name", ["model_float16", "model_int8"])
def test_content_of_a_tflite(name):
    content = (FOLDER / f"{name}.tflite").read_bytes()
    assert dict(lr.converters.count_operators(content)) == TEXTS[f"{name} operators"]
    metadata = lr.converters.read_metadata(content)
    for key, value in TEXTS[f"{name} metadata"].items():
        found = getattr(metadata, key)
        assert (list(found) if isinstance(value, list) else found) == value
