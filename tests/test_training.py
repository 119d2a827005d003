"""Runs in their folders: complete ones, killed and resumed ones, and what is refused."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import larq_reactnet as lr
from larq_reactnet.training import Run, load_model
from larq_reactnet.zoo.recipes import two_step

import numpy as np
import pytest
import tensorflow as tf

VALUES = {"options": {"width": 0.05}, "step1_epochs": 2, "epochs": 3, "batch_size": 256}
SCRIPT = """
import sys
import larq_reactnet as lr
import tensorflow as tf
tf.config.experimental.enable_op_determinism()
recipe = lr.zoo.recipes.two_step("bnn_plus_alexnet", **eval(sys.argv[2]))
lr.training.train(recipe, sys.argv[1], verbose=0)
"""


def train(folder, **values):
    return lr.training.train(two_step("bnn_plus_alexnet", **VALUES | values), folder, verbose=0)


def start(folder):
    command = [sys.executable, "-c", SCRIPT, str(folder), repr(VALUES)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def epochs_of(folder):
    path = Run(folder).history
    if not path.exists():
        return []
    with path.open() as file:
        return [(int(row["step"]), int(row["epoch"])) for row in csv.DictReader(file)]


def weights_of(folder):
    return Run(folder).load_model().get_weights()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was not interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with start(folder) as process:
        assert process.wait(300) == 0, process.stderr.read().decode()[-2000:]
    return folder


def test_folder(whole):
    content = json.loads((whole / "run.json").read_text())
    assert content["arguments"]["options"]["input_shape"] == [32, 32, 3]
    assert content["arguments"]["seed"] == 0
    assert content["packages"]["tensorflow"] == tf.__version__
    assert 0 <= content["results"]["accuracy"] <= 1
    assert 0 < content["results"]["hours"] < 1
    assert "cores of" in content["hardware"]
    assert epochs_of(whole) == [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]
    assert (whole / "history.png").read_bytes().startswith(b"\x89PNG")
    assert list(whole.glob("logs/step2/validation/*"))
    assert not list(whole.glob("checkpoint/*"))


def test_loaded_model_gives_the_result_of_the_run(whole, digits):
    model = load_model(whole)
    model.compile(metrics=["accuracy"])
    images, labels = digits.test_arrays()
    accuracy = np.mean(model.predict(images, verbose=0).argmax(-1) == labels)
    assert accuracy == pytest.approx(Run(whole).read()["results"]["accuracy"])
    twin = lr.zoo.create("bnn_plus_alexnet", input_shape=(32, 32, 3), width=0.05)
    lr.load_packed(twin, Run(whole).packed)
    np.testing.assert_array_equal(twin(images[:8]), model(images[:8]))


@pytest.mark.slow
def test_killed_and_resumed_equals_uninterrupted(whole, tmp_path):
    """It is killed once in each step."""
    folder = tmp_path / "run"
    for kill_after in (1, 4):
        with start(folder) as process:
            deadline = time.monotonic() + 300
            while len(epochs_of(folder)) < kill_after and process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert not Run(folder).weights.exists()
        with pytest.raises(ValueError, match="is not finished"):
            load_model(folder)

    with start(folder) as process:
        assert process.wait(300) == 0, process.stderr.read().decode()[-2000:]
    assert epochs_of(folder) == epochs_of(whole)
    for found, expected in zip(weights_of(folder), weights_of(whole), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_finished_run_is_not_trained_again(whole):
    before = (whole / "weights.h5").read_bytes()
    train(whole)
    assert (whole / "weights.h5").read_bytes() == before


def test_refusals(whole, tmp_path):
    with pytest.raises(ValueError, match="holds a run with another steps"):
        train(whole, learning_rate=1.0)
    with pytest.raises(ValueError, match="holds a run with another batch_size"):
        train(whole, batch_size=2)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is not the folder of a run"):
        train(tmp_path)
    with pytest.raises(FileNotFoundError):
        train(tmp_path / "a" / "b")
    for wrong in ({"epochs": 0}, {"learning_rate": float("nan")}, {"step1_epochs": -1}):
        with pytest.raises(ValueError, match=r"Cannot train|learning_rate"):
            train(tmp_path / "run", **wrong)
    with pytest.raises(ValueError, match="`num_classes` cannot be set"):
        train(tmp_path / "run", options={"num_classes": 3})
    with pytest.raises(ValueError, match="is for a recipe with a teacher"):
        train(tmp_path / "run", label_loss_weight=0.5)
    with pytest.raises(ValueError, match="No model is called 'x'"):
        lr.training.train(two_step("x"), tmp_path / "run")
    with pytest.raises(ValueError, match="No recipe is called 'x'"):
        lr.training.train("x", tmp_path / "run")
    assert os.listdir(tmp_path) == ["file"]


def test_corrupt_folder(whole, tmp_path):
    (tmp_path / "run.json").write_text('{"arguments": 3')
    with pytest.raises(ValueError, match=r"run[.]json is corrupt"):
        load_model(tmp_path)
    (tmp_path / "run.json").write_bytes((whole / "run.json").read_bytes())
    (tmp_path / "weights.h5").write_bytes((whole / "weights.h5").read_bytes()[:5000])
    with pytest.raises(ValueError, match="does not hold the weights of bnn_plus_alexnet"):
        load_model(tmp_path)


def test_model_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file"):
        load_model(tmp_path / "missing.h5")
    (tmp_path / "text.h5").write_text("no model")
    with pytest.raises(ValueError, match="is not a Keras model"):
        load_model(tmp_path / "text.h5")
    model = tf.keras.Sequential([tf.keras.layers.Input((3,)), lr.layers.RPReLU()])
    model.save(str(tmp_path / "model.h5"))
    assert isinstance(load_model(tmp_path / "model.h5").layers[0], lr.layers.RPReLU)
    model.save_weights(str(tmp_path / "weights.h5"))
    with pytest.raises(ValueError, match="holds weights only"):
        load_model(tmp_path / "weights.h5")


def test_code_in_a_model_file_is_not_run(tmp_path):
    target = tmp_path / "harm"
    name = str(target)
    harm = tf.keras.layers.Lambda(lambda x: (open(name, "w").close(), x)[1])
    model = tf.keras.Sequential([tf.keras.layers.Input((3,)), harm])
    target.unlink()
    model.save(str(tmp_path / "model.h5"))
    with pytest.raises(ValueError, match="Lambda layer, whose code is not run"):
        load_model(tmp_path / "model.h5")
    assert not target.exists()


def test_functions_in_a_model_file_are_not_called(tmp_path):
    """Keras finds any function of TensorFlow by its name."""
    path = str(tmp_path / "model.h5")
    inputs = tf.keras.layers.Input((3,))
    outputs = tf.io.matching_files(tf.strings.reduce_join(tf.as_string(inputs)))
    tf.keras.Model(inputs, outputs).save(path)
    with pytest.raises(ValueError, match=r"it calls tf\.(io|strings)\.\w+, which is not done"):
        load_model(path)
    plain = tf.keras.Model(inputs, tf.concat([tf.nn.relu(inputs[:, :2]) * 2, inputs], -1))
    plain.save(path)
    assert load_model(path).output_shape == (None, 5)
