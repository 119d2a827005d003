"""Photos: how they are decoded and prepared, what comes out, and what is refused."""

import json

import larq_reactnet as lr
from larq_reactnet.converters import (
    Metadata,
    add_metadata,
    convert,
    predict_image,
    predict_images,
    predict_tflite,
    read_metadata,
)
from larq_reactnet_cli import main

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from helpers import binary_model
from PIL import Image
from sklearn.datasets import load_digits

LABELS = ("cat", "dog", "hen", "emu")
METADATA = Metadata(labels=LABELS, mean=(120, 110, 100), std=(60, 50, 40))
ORIENTATION = 0x0112  # the tag of EXIF


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def lite(shape, classes, activation=None):
    """A .tflite without binary layers that looks at each pixel."""
    layers = [tf.keras.layers.Input(shape), tf.keras.layers.Flatten()]
    layers.append(tf.keras.layers.Dense(classes, activation=activation))
    return tf.lite.TFLiteConverter.from_keras_model(tf.keras.Sequential(layers)).convert()


def in_integers(shape):
    """A .tflite that takes pixels from 0 to 255 as integers of 32 bits."""
    pixels = tf.keras.layers.Input(shape, dtype="int32")
    flat = tf.keras.layers.Flatten()(tf.cast(pixels, tf.float32))
    network = tf.keras.Model(pixels, tf.keras.layers.Dense(2)(flat))
    return tf.lite.TFLiteConverter.from_keras_model(network).convert()


def two_outputs(shape):
    image = tf.keras.layers.Input(shape)
    flat = tf.keras.layers.Flatten()(image)
    outputs = [tf.keras.layers.Dense(size)(flat) for size in (2, 3)]
    return tf.lite.TFLiteConverter.from_keras_model(tf.keras.Model(image, outputs)).convert()


@pytest.fixture(scope="module")
def bare():
    tf.keras.utils.set_random_seed(0)
    return convert(binary_model())


@pytest.fixture(scope="module")
def model(bare):
    return add_metadata(bare, METADATA)


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)


@pytest.fixture
def photo(pixels, tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def scores(flatbuffer, pixels, metadata=METADATA):
    """What the model says of an array, as `predict_image` gives it."""
    inputs = (pixels - np.float32(metadata.mean)) / np.float32(metadata.std)
    (logits,) = predict_tflite(flatbuffer, inputs[None].astype(np.float32), progress=False)
    row = tf.nn.softmax(logits).numpy()
    return [(metadata.labels[i], row[i]) for i in np.argsort(-row)]


def same(found, wanted, tolerance=1e-4):
    assert [label for label, _ in found] == [label for label, _ in wanted]
    np.testing.assert_allclose([p for _, p in found], [p for _, p in wanted], tolerance, 1e-6)


def test_a_photo_is_classified_as_its_array_is(model, photo, pixels):
    found = predict_image(model, photo)
    same(found, scores(model, pixels))
    assert sum(p for _, p in found) == pytest.approx(1)
    assert predict_image(model, str(photo), top=2) == found[:2]
    assert predict_images(model, [photo, photo], top=1) == [found[:1]] * 2


def test_digits(tmp_path):
    """Small grey images, enlarged as the data set enlarges them, in a model with a softmax."""
    data = lr.zoo.datasets.load("digits", image_size=16)
    metadata = Metadata(labels=tuple(data.class_names), mean=data.mean, std=data.std)
    model = add_metadata(lite(data.image_shape, 10, "softmax"), metadata)
    outputs = predict_tflite(model, data.test_arrays()[0][::12], progress=False)
    digits = load_digits()
    chosen = np.argsort(digits.target, kind="stable")[::5][::12]  # the same ones
    paths = [tmp_path / f"{i}.png" for i in chosen]
    for i, path in zip(chosen, paths, strict=True):
        Image.fromarray(np.round(digits.images[i] * (255 / 16)).astype(np.uint8)).save(path)
    for found, row in zip(predict_images(model, paths, top=10), outputs, strict=True):
        same(found, [(str(i), row[i]) for i in np.argsort(-row)], 1e-3)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_photos_are_turned_upright(model, photo, pixels, orientation):
    # How often the camera was turned to the left; viewers turn it back.
    turns = {1: 0, 8: 3, 3: 2, 6: 1}[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(np.rot90(pixels, turns).copy()).save(photo, exif=exif)
    same(predict_image(model, photo), scores(model, pixels))


def test_colors(model, pixels, tmp_path):
    image = Image.fromarray(pixels)
    path = tmp_path / "photo.png"
    alpha = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    transparent = image.copy()
    transparent.putalpha(alpha)
    grey = image.convert("L")
    sixteen = Image.fromarray(np.asarray(grey).astype(np.uint16) * 256 + 77)
    palette = image.quantize(200)
    for variant, plain in (
        (transparent, image),
        (grey, grey),
        (sixteen, grey),
        (image.convert("LA"), grey),
        (image.convert("1"), image.convert("1")),
        (palette, palette),
    ):
        variant.save(path)
        same(predict_image(model, path), scores(model, np.asarray(plain.convert("RGB"))))
    for name in ("photo.bmp", "photo.gif", "photo.webp"):
        palette.convert("RGB").save(tmp_path / name, lossless=True)
        expected = scores(model, np.asarray(palette.convert("RGB")))
        same(predict_image(model, tmp_path / name), expected)


def test_jpeg(model, tmp_path):
    path = tmp_path / "photo.jpg"
    for mode in ("RGB", "L", "CMYK"):
        Image.new("RGB", (64, 64), (200, 50, 50)).convert(mode).save(path, quality=100)
        with Image.open(path) as file:
            color = np.asarray(file.convert("RGB"))[:8, :8]
        same(predict_image(model, path), scores(model, color))


def test_models_of_grey_images(photo, pixels):
    metadata = Metadata(labels=("no", "yes"), mean=0, std=255)
    model = add_metadata(lite((8, 8, 1), 2), metadata)
    grey = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
    same(predict_image(model, photo), scores(model, grey, metadata))


def test_larger_photos_are_cropped_and_averaged(model, photo, pixels):
    for shape, place in (((8, 30), (0, 11)), ((9, 8), (0, 0))):
        large = np.zeros((*shape, 3), np.uint8)
        large[place[0] : place[0] + 8, place[1] : place[1] + 8] = pixels
        Image.fromarray(large).save(photo)
        same(predict_image(model, photo), scores(model, pixels))
    # Stripes as fine as one pixel are grey, and not what every tenth pixel is.
    stripes = np.tile(np.array([0, 255], np.uint8)[None, :, None], (128, 64, 3))
    Image.fromarray(stripes).save(photo)
    same(predict_image(model, photo), scores(model, np.full((8, 8, 3), 128)))
    Image.new("RGB", (1, 1), (9, 9, 9)).save(photo)
    same(predict_image(model, photo), scores(model, np.full((8, 8, 3), 9, np.uint8)))


def test_normalization_must_be_known(bare, model, photo, pixels):
    with pytest.raises(ValueError, match=r"does not say how its inputs are .*--mean"):
        predict_image(bare, photo)
    with pytest.raises(ValueError, match="`mean` has 1 numbers and `std` 0"):
        predict_image(bare, photo, mean=127.5)
    with pytest.raises(ValueError, match="2 numbers, and the model takes 3 channels"):
        predict_image(bare, photo, mean=(1, 2), std=1)
    numbers = {"mean": [120, 110, 100], "std": (60, 50, 40)}
    wanted = scores(model, pixels)
    found = predict_image(bare, photo, **numbers)
    same([(LABELS[int(label.removeprefix("class "))], p) for label, p in found], wanted)
    # What is given counts more than what the file says.
    other = add_metadata(bare, Metadata(labels=LABELS, mean=0, std=1))
    same(predict_image(other, photo, **numbers), wanted)


def test_photos_that_can_not_be_read(model, photo, tmp_path, monkeypatch):
    content = photo.read_bytes()
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "short.png").write_bytes(content[: len(content) // 2])
    (tmp_path / "wrong.png").write_bytes(content[:60] + b"abcd" + content[64:])
    for name, error, match in (
        ("missing.jpg", FileNotFoundError, "There is no file .*missing.jpg"),
        ("", OSError, "is a folder: give the photos that are in it"),
        ("text.jpg", ValueError, "text.jpg is not a JPEG, PNG"),
        ("empty.jpg", ValueError, "empty.jpg is not a JPEG, PNG"),
        ("short.png", ValueError, "short.png is truncated or corrupt"),
        ("wrong.png", ValueError, "wrong.png is truncated or corrupt"),
    ):
        with pytest.raises(error, match=match):
            predict_image(model, tmp_path / name)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    for size in (25, 50):
        Image.new("RGB", (size, size)).save(photo)
        with pytest.raises(ValueError, match=r"photo\.png has more than 400 pixels"):
            predict_image(model, photo)


def test_models_that_do_not_classify_images(model, photo, bare):
    assert read_metadata(bare) is None
    numbers = {"mean": 0, "std": 1}
    for content, match in (
        (b"no model", "TensorFlow Lite model"),
        (lite((12,), 2), r"inputs of shape \(12,\), which are not images"),
        (in_integers((8, 8, 3)), "takes int32 and gives float32: it must take float32, uint8 or"),
        (two_outputs((8, 8, 3)), "1 inputs and 2 outputs: one of each is supported"),
    ):
        with pytest.raises(ValueError, match=match):
            predict_image(content, photo, **numbers)
    with pytest.raises(ValueError, match="`top`"):
        predict_image(model, photo, top=0)


def test_command(bare, model, photo, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(model)
    expected = predict_image(model, photo)
    lines = run("predict", path, photo, photo, "--top", 2).output.splitlines()
    assert (
        lines
        == [
            str(photo),
            *(f"  {label}  {probability:7.2%}" for label, probability in expected[:2]),
        ]
        * 2
    )
    (row,) = json.loads(run("predict", path, photo, "--json").output)
    assert row["photo"] == str(photo)
    assert [(c["label"], c["probability"]) for c in row["classes"]] == expected

    path.write_bytes(add_metadata(bare, Metadata(labels=("\x1b[2J", "b", "c", "d"))))
    result = run("predict", path, photo, "--mean", "120,110,100", "--std", "60,50,40")
    assert "  ?[2J " in result.output
    for arguments, code, message in (
        ((path, photo), 1, "does not say how its inputs are normalized"),
        ((path, photo, "--mean", "a,b", "--std", 1), 2, "'a,b' is not a number"),
        ((path, photo, "--mean", "0", "--std", 0), 1, "`std` must be above zero"),
        ((path, tmp_path / "none.jpg", "--mean", 0, "--std", 1), 1, "There is no file"),
        ((tmp_path / "none.tflite", photo), 1, "none.tflite"),
        ((photo, photo), 1, "TensorFlow Lite model"),
        ((path,), 2, "Missing argument"),
    ):
        result = run("predict", *arguments)
        assert result.exit_code == code, result.output
        assert message in result.output
        assert "Traceback" not in result.output


def one_layer(pixels, activation, weights, labels=(), **metadata):
    """A .tflite whose outputs are the activation of `weights` times the mean of the pixels."""
    layers = [
        tf.keras.layers.Input(pixels.shape),
        tf.keras.layers.GlobalAveragePooling2D(),
        tf.keras.layers.Dense(len(weights), activation=activation),
    ]
    network = tf.keras.Sequential(layers)
    kernel = np.repeat(np.array([weights], np.float32), 3, 0)
    network.set_weights([kernel, np.zeros(len(weights), np.float32)])
    content = tf.lite.TFLiteConverter.from_keras_model(network).convert()
    found = Metadata(labels=labels, mean=0, std=3 * pixels.mean(), **metadata)
    return add_metadata(content, found)


def test_sigmoids_are_shown_as_they_are(photo, pixels):
    """The mean of the inputs is 1/3, so that the outputs before the activation are the weights."""
    logits = [5.1, -2.0, 3.0]
    wanted = 1 / (1 + np.exp(-np.array(logits)))
    model = one_layer(pixels, "sigmoid", logits, ("cat", "dog", "hen"))
    same(predict_image(model, photo), [("cat", wanted[0]), ("hen", wanted[2]), ("dog", wanted[1])])
    # Numbers between 0 and 1 may also come without a sigmoid at the end, but not those of a dense
    # layer, which gives logits.
    shares = [0.9, 0.3, 0.6]
    model = one_layer(pixels, "relu", shares)
    softmax = np.exp(shares) / np.exp(shares).sum()
    assert [name for name, _ in predict_image(model, photo)] == ["class 0", "class 2", "class 1"]
    assert predict_image(model, photo)[0][1] == pytest.approx(softmax[0], rel=1e-3)


@pytest.mark.slow
def test_one_output_is_two_classes_or_a_number(photo, pixels, tmp_path, capsys):
    p = 1 / (1 + np.exp(-2))
    for activation, labels, wanted in (
        ("sigmoid", (), [("class 1", p), ("class 0", 1 - p)]),
        ("sigmoid", ("cat", "dog"), [("dog", p), ("cat", 1 - p)]),
        ("sigmoid", ("ill",), [("ill", p), ("not ill", 1 - p)]),
        (None, ("cat", "dog"), [("dog", p), ("cat", 1 - p)]),  # logits
        (None, (), [("value", 2)]),
        (None, ("height",), [("height", 2)]),
    ):
        same(predict_image(one_layer(pixels, activation, [2.0], labels), photo), wanted)
    # In training, a number between 0 and 1 would look like a probability.
    same(predict_image(one_layer(pixels, None, [0.25]), photo), [("value", 0.25)])
    path = tmp_path / "height.tflite"
    path.write_bytes(one_layer(pixels, None, [2.0], ("height",)))
    assert run("predict", path, photo).output.splitlines()[1].split() == ["height", "2"]
    (row,) = json.loads(run("predict", path, photo, "--json").output)
    assert row == {"photo": str(photo), "name": "height", "value": pytest.approx(2, rel=1e-5)}


def test_metadata_say_what_is_seen_of_a_photo(bare, photo, pixels):
    """The pixels are in the middle of a larger picture."""
    large = np.zeros((16, 32, 3), np.uint8)
    large[4:12, 12:20] = pixels
    Image.fromarray(large).save(photo)
    for found, wanted in (
        (Metadata(labels=LABELS, mean=0, std=255, crop=0.5), pixels),
        (Metadata(labels=LABELS, mean=0, std=255, crop=0.5, resize="stretch"), None),
    ):
        if wanted is None:
            middle = tf.cast(large[4:12, 8:24], tf.float32)
            wanted = tf.image.resize(middle, (8, 8), antialias=True).numpy()
        same(predict_image(add_metadata(bare, found), photo), scores(bare, wanted, found))


def test_a_bad_photo_does_not_hide_the_others(model, photo, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(model)
    (tmp_path / "text.jpg").write_text("no image")
    assert "is a folder: give a .tflite" in run("predict", tmp_path, photo).output
    given = (tmp_path, photo, tmp_path / "text.jpg", tmp_path / "none.jpg", photo)
    result = CliRunner().invoke(main, ["predict", str(path), *map(str, given)])
    assert result.exit_code == 1
    assert result.stdout == run("predict", path, photo, photo).stdout
    errors = result.stderr.splitlines()
    assert [line.split(" ")[0] for line in errors] == ["Error:"] * 3
    for line, text in zip(errors, ("is a folder", "not a JPEG", "There is no file"), strict=True):
        assert text in line
    result = CliRunner().invoke(main, ["predict", str(path), *map(str, given), "--json"])
    rows = json.loads(result.stdout)
    assert [row["photo"] for row in rows] == [*map(str, given)]
    assert ["classes" in row for row in rows] == [False, True, False, False, True]


@pytest.mark.slow
def test_export_takes_labels_and_normalization_from_the_data_set(tmp_path):
    small = binary_model()
    layers = [*small.layers[:-1], tf.keras.layers.Dense(10)]
    wide = tf.keras.Sequential([tf.keras.layers.Input((8, 8, 3)), *layers], name="wide")
    for network in (small, wide):
        network.save(str(tmp_path / f"{network.name}.h5"))
    path = tmp_path / "model.tflite"
    options = ("--dataset", "digits", "--image-size", 8, "--images", 20, "--min-agreement", 0)
    result = run("export", tmp_path / "small.h5", path, *options)
    assert result.exit_code == 1
    assert "gives 4 values, and there are 10 labels" in result.output
    assert run("export", tmp_path / "small.h5", path, *options, "--no-metadata").exit_code == 0
    assert read_metadata(path.read_bytes()) is None
    result = run("export", tmp_path / "wide.h5", path, *options)
    assert result.exit_code == 0, result.output
    scale = (127.5, 127.5, 127.5)
    expected = Metadata(name="wide", labels=tuple("0123456789"), mean=scale, std=scale)
    assert read_metadata(path.read_bytes()) == expected
