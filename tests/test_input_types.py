"""Files that take the bytes of a picture, and normalize them themselves."""

import larq_reactnet as lr
from larq_reactnet.converters import (
    ExportError,
    Interpreter,
    Metadata,
    benchmark,
    check,
    export,
    predict_image,
    predict_tflite,
    read_metadata,
)
from larq_reactnet.converters.interpreter import engines
from larq_reactnet_cli import main

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from faulty_models import binary_conv, model_of, randomized
from PIL import Image

layers = tf.keras.layers
PER_CHANNEL = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
METADATA = Metadata(labels=("a", "b", "c", "d"), **PER_CHANNEL)


@pytest.fixture(scope="module")
def model():
    stack = (
        layers.Conv2D(8, 3, padding="same"),
        binary_conv(16, padding="same", name="binary"),
        layers.BatchNormalization(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(4, activation="softmax"),
    )
    return randomized(model_of(*stack, shape=(8, 8, 3)), np.random.default_rng(0))


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (12, 8, 8, 3)).astype(np.uint8)


def normalized(pixels, mean, std):
    return ((pixels - np.array(mean)) / np.array(std)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "shift"), [("uint8", 0), ("int8", 128)])
def test_bytes_in(tmp_path, model, pixels, kind, shift):
    images, path = normalized(pixels, **PER_CHANNEL), tmp_path / "m.tflite"
    report = export(
        model,
        path,
        input_type=kind,
        metadata=METADATA,
        verify_with=images,
        thorough=True,
        progress=False,
    )
    assert report.agreement.same_class == 1
    assert report.agreement.engines[0] == "LCE's interpreter"
    assert not report.agreement.refusal
    assert all(replay.is_equal for replay in report.proof.replays)
    assert not report.proof.not_replayed
    assert all(layer.is_equal for layer in report.layers)
    assert f"takes                 {kind}" in str(report)

    metadata = read_metadata(path)
    assert metadata.labels == METADATA.labels
    assert set(metadata.mean) == {float(shift)}
    assert set(metadata.std) == {1.0}

    given = (pixels.astype(np.int16) - shift).astype(kind)
    expected = model(images).numpy()
    for engine in engines():
        with Interpreter(path, engine=engine) as interpreter:
            assert interpreter.input_types == [getattr(np, kind)]
            found = interpreter.predict(given)
        np.testing.assert_allclose(found, expected, atol=1e-2)
        np.testing.assert_array_equal(
            found, predict_tflite(path, given.astype(np.float32), engine=engine, progress=False)
        )
    timed = benchmark(path, runs=1, progress=False)
    assert len(timed.timings) >= len(engines())
    with pytest.raises(ValueError, match=f"takes {kind}: give it whole numbers"):
        predict_tflite(path, images, progress=False)


@pytest.mark.slow
def test_predict_with_each_type(tmp_path, model, pixels):
    photo = tmp_path / "photo.png"
    Image.fromarray(pixels[0]).save(photo)
    answers = []
    for kind in ("float32", "uint8", "int8"):
        path = tmp_path / f"{kind}.tflite"
        arguments = {"verify_with": normalized(pixels, **PER_CHANNEL), "progress": False}
        export(model, path, input_type=kind, metadata=METADATA, **arguments)
        for engine in engines():
            answers.append(predict_image(path, photo, engine=engine))
    for answer in answers[1:]:
        assert [label for label, _ in answer] == [label for label, _ in answers[0]]
        np.testing.assert_allclose(
            [value for _, value in answer], [value for _, value in answers[0]], atol=1e-3
        )


def test_without_inputs_pictures_of_noise_are_used(tmp_path, model):
    report = export(
        model, tmp_path / "m.tflite", input_type="uint8", metadata=METADATA, progress=False
    )
    assert report.verified_with == "random inputs"
    assert report.agreement.images == 64


def test_a_model_that_takes_pixels(tmp_path, model, pixels):
    whole = tf.keras.Sequential([layers.Input((8, 8, 3)), layers.Rescaling(1 / 127.5, -1), model])
    metadata = Metadata(mean=0, std=1)
    assert not [finding for finding in check(whole) if finding.blocks]
    report = export(
        whole,
        tmp_path / "m.tflite",
        input_type="uint8",
        metadata=metadata,
        verify_with=pixels.astype(np.float32),
        progress=False,
    )
    assert report.agreement.same_class == 1


def test_what_cannot_be_bytes(tmp_path, model, pixels):
    path, images = tmp_path / "m.tflite", normalized(pixels, **PER_CHANNEL)
    arguments = {"input_type": "uint8", "verify_with": images, "progress": False}
    for metadata in (None, Metadata(labels=METADATA.labels)):
        with pytest.raises(ExportError, match="say by `metadata=Metadata"):
            export(model, path, metadata=metadata, **arguments)
    with pytest.raises(ExportError, match="takes 3 channels, and `mean` and `std` have 2"):
        export(model, path, metadata=Metadata(mean=(1, 2), std=(1, 2)), **arguments)
    with pytest.raises(ExportError, match=r"not normalized pictures: .* pixels from -"):
        export(model, path, metadata=Metadata(mean=0, std=1), **arguments)
    with pytest.raises(ValueError, match="`input_type` must be one of"):
        export(model, path, input_type="int16", metadata=METADATA)
    assert not path.exists()


@pytest.mark.slow
def test_command_line(tmp_path):
    data = lr.zoo.datasets.load("digits", image_size=8)
    stack = (
        layers.Conv2D(8, 3, padding="same"),
        binary_conv(16, padding="same", name="binary"),
        layers.BatchNormalization(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10, activation="softmax"),
    )
    model = randomized(model_of(*stack, shape=data.image_shape), np.random.default_rng(0))
    model.save(tmp_path / "model.h5")
    path = tmp_path / "model.tflite"
    where = ("--dataset", "digits", "--image-size", "8")
    options = ("--input-type", "uint8", "--task", "classify", "--images", "20")

    def run(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    result = run("export", tmp_path / "model.h5", path, *where, *options)
    assert result.exit_code == 0, result.output
    assert "uint8, the bytes of a picture" in result.output
    accuracies = [
        run("evaluate", what, *where, "--limit", 100).output.split()[-4:]
        for what in (tmp_path / "model.h5", path)
    ]
    assert accuracies[0] == accuracies[1]
    result = run("export", tmp_path / "model.h5", path, *where, *options, "--no-metadata")
    assert "leave out --no-metadata" in result.output
    result = run("export", tmp_path / "model.h5", path, *where, "--input-shape", "8x8")
    assert "HEIGHT,WIDTH,CHANNELS" in result.output
