"""`train --float-model`: a real network becomes binary, and its run folder is whole."""

import json
import re
import shutil

import larq_reactnet as lr
from larq_reactnet.training import Run
from larq_reactnet.training.loop import train
from larq_reactnet.zoo.datasets import load
from larq_reactnet.zoo.recipes import two_step
from larq_reactnet_cli import main

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from helpers import every

layers = tf.keras.layers
SIZE = 8


def real(classes=10, shape=(SIZE, SIZE, 3), activation="softmax"):
    tf.keras.utils.set_random_seed(0)
    inputs = x = layers.Input(shape)
    for index in (1, 2):
        x = layers.Conv2D(16, 3, padding="same", use_bias=False, name=f"conv{index}")(x)
        x = layers.BatchNormalization(momentum=0.5, name=f"norm{index}")(x)
        x = layers.ReLU(name=f"relu{index}")(x)
    x = layers.GlobalMaxPooling2D(name="pool")(x)
    x = layers.Dense(classes, activation=activation, name="top")(x)
    return tf.keras.Model(inputs, x, name="mine")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A real network that knows the digits a little, and its binary form."""
    folder = tmp_path_factory.mktemp("float")
    data = load("digits", image_size=SIZE, augmentation=None)
    model = real()
    model.compile(tf.keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy", ["accuracy"])
    model.fit(data.train, epochs=3, verbose=0)
    model.save(folder / "float.keras")
    (folder / "accuracy").write_text(str(model.evaluate(data.test, verbose=0)[1]))
    command = f"train {folder}/run --float-model {folder}/float.keras --step1-epochs 1 --epochs 1"
    options = "--batch-size 128 --learning-rate 1e-3 --set augmentation=null --set skip=[]"
    result = CliRunner().invoke(main, [*command.split(), *options.split()])
    assert result.exit_code == 0, result.output
    (folder / "output").write_text(result.output)
    return folder


@pytest.mark.slow
def test_what_is_recorded(folder):
    content = Run(folder / "run").read()
    assert content["arguments"]["model"] == "binarized"
    assert content["arguments"]["float_model"] == str(folder / "float.keras")
    assert content["arguments"]["image_size"] == SIZE
    accuracy = float((folder / "accuracy").read_text())
    assert 0.3 < accuracy == pytest.approx(content["float_accuracy"], abs=1e-3)
    assert content["results"]["accuracy"] > 0.2
    output = (folder / "output").read_text()
    assert f"The real network knows {accuracy:.2%} of the test images" in output
    assert "1 of 1 are LceBconv2d" in output
    names = {path.name for path in (folder / "run").iterdir()}
    assert {"float.keras", "step1.h5", "teacher_logits.safetensors", "model.tflite"} <= names


@pytest.mark.slow
def test_the_teacher_is_the_real_network(folder):
    """Its logits, in the order of the images; the softmax was left out."""
    from safetensors.numpy import load_file

    data = load("digits", image_size=SIZE, augmentation=None)
    found = load_file(folder / "run" / "teacher_logits.safetensors")["logits"]
    model = tf.keras.models.load_model(folder / "float.keras")
    pixels = np.stack([data.test_image(image) for image, _ in data.source.splits["train"].take(8)])
    images = (pixels - np.float32(data.mean)) / np.float32(data.std)
    np.testing.assert_allclose(tf.nn.softmax(found[:8]), model(images), rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_the_folder_is_whole(folder, tmp_path):
    """Wherever it is, and without the file that the real network came from."""
    shutil.copytree(folder / "run", tmp_path / "moved")
    shutil.move(folder / "float.keras", folder / "gone.keras")
    try:
        model = lr.training.load_model(tmp_path / "moved")
        step1 = lr.training.load_model(folder / "run", classifier_activation=None)
        for command in (
            ["evaluate", str(tmp_path / "moved")],
            ["report", str(tmp_path / "moved"), "--limit", "16"],
            ["export", str(tmp_path / "moved"), str(tmp_path / "again.tflite"), "--images", "32"],
        ):
            result = CliRunner().invoke(main, command)
            assert result.exit_code == 0, result.output
        arguments = Run(folder / "run").read()["arguments"]
        recipe = two_step(
            "binarized",
            float_model=arguments["float_model"],
            step1_epochs=1,
            epochs=1,
            batch_size=128,
            learning_rate=1e-3,
            augmentation=None,
            options={"skip": []},
        )
        before = (folder / "run" / "weights.h5").read_bytes()
        train(recipe, folder / "run", verbose=0)  # which is finished
        assert (folder / "run" / "weights.h5").read_bytes() == before
    finally:
        shutil.move(folder / "gone.keras", folder / "float.keras")
    images = np.random.default_rng(0).normal(size=(4, SIZE, SIZE, 3)).astype("f")
    np.testing.assert_allclose(model(images), tf.nn.softmax(step1(images)), rtol=1e-5, atol=1e-6)
    assert "binary" in (tmp_path / "moved" / "report.html").read_text()
    predicted = lr.converters.predict_tflite(tmp_path / "again.tflite", images)
    np.testing.assert_array_equal(predicted.argmax(-1), np.argmax(model(images), -1))


@every  # test_interruptions.py stops other runs of two steps
def test_an_interrupted_run_goes_on(folder, tmp_path, monkeypatch):
    """It ends with the weights of one that was not interrupted."""
    arguments = Run(folder / "run").read()["arguments"]
    options = {"float_model": arguments["float_model"], "step1_epochs": 1, "epochs": 1}
    values = {"batch_size": 128, "learning_rate": 1e-3, "augmentation": None}
    recipe = two_step("binarized", **options, **values, options={"skip": []})

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("larq_reactnet.training.loop.carry_over", stop)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path / "run", verbose=0)
    assert (tmp_path / "run" / "step1.h5").exists()
    model = train(recipe, tmp_path / "run", verbose=0)
    for mine, other in zip(
        model.get_weights(), lr.training.load_model(folder / "run").get_weights(), strict=True
    ):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda: real(7), [], "has 7 classes, and the data set has 10"),
        (lambda: real(activation="tanh"), [], "ends in 'tanh'"),
        (real, ["--image-size", "16"], r"images of \(8, 8, 3\), and .* \(16, 16, 3\)"),
        (real, ["--weights", "cifar10"], "leave one of them out"),
        (real, ["--set", "skip=conv9"], "Did you mean 'conv"),
        (real, ["--set", 'skip=["conv2"]'], "no layer that can become binary"),
        (real, ["--set", "style=reactnet_b"], "Did you mean 'reactnet'"),
        (real, ["--set", "source=other.h5"], "`source` cannot be set"),
        (lambda: None, [], "no file or folder"),
    ],
)
def test_refused_before_anything_is_written(make, options, message, tmp_path):
    model = make()
    if model is not None:
        model.save(tmp_path / "float.keras")
    run = tmp_path / "run"
    command = ["train", str(run), "--float-model", str(tmp_path / "float.keras"), *options]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1, result.output
    assert re.search(message, result.output)
    assert not run.exists()


def test_it_goes_with_a_float_model_only(tmp_path):
    with pytest.raises(ValueError, match="--float-model"):
        train(two_step("binarized"), tmp_path / "run")
    with pytest.raises(ValueError, match="resnet18 cannot be trained with it"):
        train(two_step("resnet18", float_model="x.h5"), tmp_path / "run")
    assert "binarized" not in lr.zoo.list_models()


def test_images_are_normalized_as_in_the_run_of_the_real_network(tmp_path):
    from larq_reactnet.training.real_models import with_its_images

    content = {"model": "alexnet", "options": {}, "dataset": "cifar10", "data_dir": None}
    content |= {"image_size": 32, "normalization": None}
    (tmp_path / "run.json").write_text(json.dumps({"arguments": content}))
    shape = {"input_shape": [8, 8, 3], "width": 0.125}
    content["options"] = shape
    (tmp_path / "run.json").write_text(json.dumps({"arguments": content}))
    lr.zoo.create("alexnet", **shape).save_weights(tmp_path / "weights.h5")
    recipe = two_step("binarized", float_model=str(tmp_path))
    found = with_its_images(recipe, Run(tmp_path / "new"))
    assert (found.normalization, found.image_size) == ("cifar10", 8)
    own = with_its_images(
        two_step("binarized", float_model=str(tmp_path), dataset="cifar10"), Run(tmp_path / "new")
    )
    assert own.normalization is None
