"""Models that Keras saved, in each format: with layers of one's own, corrupt and hostile."""

import json
import shutil
import zipfile

import larq_reactnet as lr
from larq_reactnet.model_files import load_model
from larq_reactnet_cli import main

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from helpers import assert_same_outputs, binary_model
from PIL import Image

NAMES = {"h5": "model.h5", "keras": "model.keras", "tf": "saved"}
MY_LAYERS = """
import tensorflow as tf

class Doubled(tf.keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs
"""


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def own_layer():
    """A class that Keras does not know."""
    namespace = {"__name__": "my_layers"}
    exec(MY_LAYERS, namespace)
    return namespace["Doubled"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Models in every format: `plain`, and `own` with a layer that Keras does not know."""
    folder = tmp_path_factory.mktemp("saved")
    plain = binary_model("rsign", "react_sign")
    inputs = tf.keras.layers.Input((8, 8, 3))
    own = tf.keras.Model(inputs, plain(own_layer()()(inputs)), name="own")
    for kind, model in (("plain", plain), ("own", own)):
        (folder / kind).mkdir()
        for save_format, name in NAMES.items():
            model.save(folder / kind / name, save_format=save_format)
    (folder / "my_layers.py").write_text(MY_LAYERS)
    return folder, plain


@pytest.fixture
def unknown():
    """What was registered by a test is not known to the next one."""
    tf.keras.utils.get_custom_objects().pop("Doubled", None)
    yield
    tf.keras.utils.get_custom_objects().pop("Doubled", None)


@pytest.mark.parametrize("name", NAMES.values())
def test_every_format_loads(saved, rng, name):
    folder, plain = saved
    loaded = lr.training.load_model(folder / "plain" / name)
    assert_same_outputs(plain, loaded, rng.normal(size=(4, 8, 8, 3)).astype(np.float32))
    assert not any(finding.blocks for finding in lr.converters.check(loaded))


@pytest.mark.parametrize("name", NAMES.values())
def test_own_layers_are_named_and_imported(saved, unknown, name):
    """An unknown layer is not called a file that Keras did not write."""
    folder, _ = saved
    path = folder / "own" / name
    result = run("ops", path)
    assert result.exit_code == 1
    assert f"{path} needs 'Doubled', which Keras does not know: give the Python" in result.output
    assert "not a Keras model" not in result.output
    result = run("ops", path, "--import", folder / "my_layers.py")
    assert result.exit_code == 0, result.output
    assert "BOPs" in result.output


@pytest.mark.slow
def test_commands_take_every_format(saved, tmp_path):
    folder, _ = saved
    digits = ("--dataset", "digits")  # in the size of the model
    for name in NAMES.values():
        path = folder / "plain" / name
        assert run("check", path).exit_code == 0
        assert "Number of MACs" in run("summary", path).output
        assert "of 20 images" in run("evaluate", path, *digits, "--limit", 20).output
    result = run("export", path, tmp_path / "m.tflite", *digits, "--images", 20, "--no-metadata")
    assert "1 of 1 are LceBconv2d" in result.output


def test_files_to_import_that_are_wrong(saved, tmp_path):
    model = saved[0] / "plain" / "model.h5"
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "text.txt").write_text("text")
    for name, message, code in (
        ("broken.py", "cannot be imported: ZeroDivisionError: division by zero", 1),
        ("text.txt", "there is no Python file", 2),
        ("missing.py", "there is no Python file", 2),
    ):
        for command in (("ops", model), ("train", tmp_path / "run", "--float-model", model)):
            result = run(*command, "--import", tmp_path / name)
            assert (result.exit_code, message in result.output) == (code, True), result.output


def edited(path, target, **changes):
    """A copy of a .keras file, some of whose entries are other texts."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            change = changes.get(name.split(".")[0], lambda content: content)
            new.writestr(name, change(old.read(name)))
    return target


def renamed(module, name):
    """A change of the configuration: the classifier is of another class."""

    def change(content):
        config = json.loads(content)
        (layer,) = [c for c in config["config"]["layers"] if c["class_name"] == "Dense"]
        layer.update(module=module, class_name=name, registered_name=None)
        return json.dumps(config)

    return change


def test_keras_files_that_are_refused(saved, tmp_path):
    good, bad = saved[0] / "plain" / "model.keras", tmp_path / "bad.keras"
    newer = json.dumps({"keras_version": "3.5.0"})
    for message, changes in {
        "saved by Keras 3.5.0, and Larq needs Keras 2": {"metadata": lambda _: newer},
        "HDF5|file signature": {"model": lambda content: b"no HDF5 file" + content[12:]},
        "Expecting value": {"config": lambda _: "no JSON"},
        "needs 'get_file', which Keras does not know": {
            "config": renamed("keras.utils", "get_file")
        },
        "needs 'system', which Keras does not know": {"config": renamed("os", "system")},
        "has a Lambda layer": {"config": renamed("keras.layers", "Lambda")},
    }.items():
        edited(good, bad, **changes)
        with pytest.raises(ValueError, match=message):
            load_model(bad)
    edited(good, bad)
    assert isinstance(load_model(bad), tf.keras.Model)
    bad.write_bytes(good.read_bytes()[:1000])
    with pytest.raises(ValueError, match="is not a Keras model"):
        load_model(bad)


def test_h5_files_that_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file"):
        lr.training.load_model(tmp_path / "missing.h5")
    (tmp_path / "text.h5").write_text("no model")
    with pytest.raises(ValueError, match="is not a Keras model"):
        lr.training.load_model(tmp_path / "text.h5")
    model = tf.keras.Sequential([tf.keras.layers.Input((3,)), lr.layers.RPReLU()])
    model.save(str(tmp_path / "model.h5"))
    assert isinstance(lr.training.load_model(tmp_path / "model.h5").layers[0], lr.layers.RPReLU)
    model.save_weights(str(tmp_path / "weights.h5"))
    with pytest.raises(ValueError, match="holds weights only"):
        lr.training.load_model(tmp_path / "weights.h5")


def test_code_in_a_model_file_is_not_run(tmp_path):
    target = tmp_path / "harm"
    name = str(target)
    harm = tf.keras.layers.Lambda(lambda x: (open(name, "w").close(), x)[1])
    model = tf.keras.Sequential([tf.keras.layers.Input((3,)), harm])
    target.unlink()
    model.save(str(tmp_path / "model.h5"))
    with pytest.raises(ValueError, match="Lambda layer, whose code is not run"):
        lr.training.load_model(tmp_path / "model.h5")
    assert not target.exists()


def test_functions_in_a_model_file_are_not_called(tmp_path):
    """Keras finds any function of TensorFlow by its name."""
    path = str(tmp_path / "model.h5")
    inputs = tf.keras.layers.Input((3,))
    outputs = tf.io.matching_files(tf.strings.reduce_join(tf.as_string(inputs)))
    tf.keras.Model(inputs, outputs).save(path)
    with pytest.raises(ValueError, match=r"it calls tf\.(io|strings)\.\w+, which is not done"):
        lr.training.load_model(path)
    plain = tf.keras.Model(inputs, tf.concat([tf.nn.relu(inputs[:, :2]) * 2, inputs], -1))
    plain.save(path)
    assert lr.training.load_model(path).output_shape == (None, 5)


def test_saved_models_that_are_refused(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "module"))
    with pytest.raises(ValueError, match="SavedModel format: it was saved by TensorFlow alone"):
        load_model(tmp_path / "module")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "saved_model.pb").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is not a Keras model in SavedModel format"):
        load_model(tmp_path / "broken")


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_one_output_tells_two_classes_apart(activation, tmp_path):
    """`evaluate` takes it as the score of the second class: bright pictures, in this model."""
    inputs = tf.keras.layers.Input((8, 8, 3))
    x = tf.keras.layers.GlobalAveragePooling2D()(inputs)
    ones = {"kernel_initializer": "ones", "activation": activation}
    tf.keras.Model(inputs, tf.keras.layers.Dense(1, **ones)(x)).save(tmp_path / "one.h5")
    for split in ("train", "test"):
        for label, grey in (("bright", 250), ("dark", 5), ("mixed", 100)):
            (tmp_path / "photos" / split / label).mkdir(parents=True)
            pixels = np.full((8, 8, 3), grey, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / split / label / "0.png")
    evaluate = ("evaluate", tmp_path / "one.h5", "--dataset", tmp_path / "photos")
    result = run(*evaluate)
    assert result.exit_code == 1
    assert "outputs of shape (1,): it is not a classifier of 3 classes" in result.output
    for split in ("train", "test"):
        shutil.rmtree(tmp_path / "photos" / split / "mixed")
    # "dark" is the second class, in the order of the alphabet, and the model gives it less.
    assert "Test accuracy 0.00% of 2 images" in run(*evaluate).output
    for split in ("train", "test"):
        (tmp_path / "photos" / split / "bright").rename(tmp_path / "photos" / split / "light")
    assert "Test accuracy 100.00% of 2 images" in run(*evaluate).output
