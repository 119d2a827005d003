"""The commands `binarize` and `sensitivity`."""

import json

import larq_reactnet as lr
from larq_reactnet.profiling import is_binary
from larq_reactnet_cli import main

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from habits import HABITS


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A real network in a file."""
    path = tmp_path_factory.mktemp("real") / "real.keras"
    HABITS["conv-norm-act"].build().save(path)
    return path


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_what_is_written(suffix, model, tmp_path):
    """The file holds what `binarize_model` makes, and the page and the JSON its report."""
    output, page = tmp_path / f"binary{suffix}", tmp_path / "report.html"
    options = ("--style", "birealnet", "--skip", "conv3", "--no-shortcuts", "--json")
    result = run("binarize", model, output, *options, "--html", page)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert [row["name"] for row in report["layers"] if row["became"]] == ["conv2", "conv4"]
    assert report["layers"][2]["why"] == "named in `skip`"
    assert "birealnet: 2 of 5 layers became binary" in page.read_text()
    binary = tf.keras.models.load_model(output)
    expected = lr.binarize_model(
        tf.keras.models.load_model(model), "birealnet", skip="conv3", shortcuts=False, report=None
    )
    images = np.random.default_rng(0).normal(size=(2, *binary.input_shape[1:])).astype("f")
    np.testing.assert_allclose(binary(images), expected(images), rtol=1e-5, atol=1e-6)


def test_step_1_has_real_weights(model, tmp_path):
    result = run("binarize", model, tmp_path / "step1.keras", "--step", 1)
    assert "3 of 5 layers became binary (reactnet)" in result.output
    step1 = tf.keras.models.load_model(tmp_path / "step1.keras")
    assert not any(map(is_binary, step1.layers))
    step2 = lr.binarize_weights(step1, print_fn=None)
    assert any(map(is_binary, step2.layers))


def test_refused_before_any_work(model, tmp_path, monkeypatch):
    """Nothing is built if a file cannot be written, and nothing is written if all else fails."""
    file = tmp_path / "binary.keras"
    for arguments, code, message in (
        ((model, file, "--skip", "conv_3"), 1, "Did you mean 'conv3'?"),
        ((model, tmp_path / "binary.tflite"), 2, "must be a .h5 or .keras file"),
        ((model,), 2, "Missing argument 'OUTPUT'"),
        ((model, model), 2, "OUTPUT is MODEL"),
        (("missing.h5", file), 1, "There is no file or folder missing.h5"),
        (("reactnet_18", file, "--set", "width=0.125"), 1, "is binary already"),
        (("mobilenet", file), 1, "Did you mean 'mobilenet_v1'?"),
    ):
        result = run("binarize", *arguments)
        assert (result.exit_code, message in result.output) == (code, True), result.output
    monkeypatch.setattr(lr, "binarize_model", pytest.fail)
    monkeypatch.setattr(lr, "sensitivity", pytest.fail)
    missing = tmp_path / "missing" / "file.keras"
    for command in (
        ("binarize", model, missing),
        ("binarize", model, file, "--html", missing),
        ("sensitivity", model, "--dataset", "digits", "--html", missing),
    ):
        result = run(*command)
        assert result.exit_code == 1
        assert "there is no folder" in result.output
    (tmp_path / "folder.h5").mkdir()
    assert "it is a folder" in run("binarize", model, tmp_path / "folder.h5").output
    assert [path.name for path in tmp_path.iterdir()] == ["folder.h5"]


@pytest.mark.slow
def test_sensitivity(tmp_path):
    """The table, the page, JSON, and what is proposed within a budget."""
    inputs = tf.keras.layers.Input((8, 8, 3))
    x = tf.keras.layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    for name in ("one", "two"):
        x = tf.keras.layers.Conv2D(8, 3, padding="same", name=name)(x)
        x = tf.keras.layers.BatchNormalization(name=f"{name}_bn")(x)
    x = tf.keras.layers.GlobalAveragePooling2D()(x)
    x = tf.keras.layers.Dense(10, activation="softmax", name="top")(x)
    model = tf.keras.Model(inputs, x)
    model.save(tmp_path / "real.keras")
    page = tmp_path / "page.html"
    command = ("sensitivity", tmp_path / "real.keras", "--dataset", "digits", "--batches", 1)
    result = run(*command, "--style", "plain", "--html", page, "--json", "--budget", 1e9)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [layer["name"] for layer in found["layers"]] == ["one", "two"]
    assert found["images"] == 64
    assert set(found["skip"]) <= {"one", "two"}
    assert "sensitivity" in page.read_text()
    result = run(*command, "--skip", "two", "--budget", 1)
    assert result.exit_code == 1
    # The stem, `two` and the last layer are real: 13,824 + 36,864 + 80; `one` has 36,864 BOPs.
    assert "has 51,344 already" in result.output
