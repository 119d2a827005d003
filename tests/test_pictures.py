"""One definition of how a picture becomes an input, through everything that needs it.

Training, evaluation, export and both `predict`s prepare the same files, and give the same numbers.
All of them decode with Pillow, so the bound is that of float32, and not of two decoders.
"""

import io
from unittest import mock

import larq_reactnet as lr
from larq_reactnet.converters import Metadata, add_metadata, prepare_image, read_metadata
from larq_reactnet.converters import metadata as metadata_module
from larq_reactnet.zoo.datasets.pixels import center
from larq_reactnet_cli import main
from larq_reactnet_cli._export import metadata_of

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from PIL import Image

GREY_LEVELS = 0.01  # of 255: what float32 loses when pixels are normalized and back
SIZE = 24
ORIENTATION = 0x0112  # the tag of EXIF


def scene(width, height):
    """Colors that are different in each corner, with fine stripes, which show a missing average."""
    y, x = np.mgrid[:height, :width]
    red, green = 255 * x / width, 255 * y / height
    blue = 255 * (x % 2)
    return np.stack([red, green, blue], -1).astype(np.uint8)


def save_all(folder):
    """Pictures of every kind that has been prepared in two ways."""
    folder.mkdir(parents=True)
    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[ORIENTATION] = orientation
        picture = Image.fromarray(scene(61, 40))
        picture.save(folder / f"turned{orientation}.jpg", exif=exif, quality=95)
    Image.fromarray(scene(200, 50)).save(folder / "wide.png")
    Image.fromarray(scene(50, 201)).save(folder / "high.bmp")
    Image.fromarray(scene(400, 300)).save(folder / "large.jpg", quality=90)
    Image.fromarray(scene(7, 9)).save(folder / "small.webp", lossless=True)
    Image.fromarray(scene(SIZE, SIZE)).save(folder / "exact.png")
    Image.fromarray(scene(60, 40)).convert("L").save(folder / "grey.jpg")
    Image.fromarray(scene(60, 40)).convert("CMYK").save(folder / "cmyk.jpg")
    transparent = Image.fromarray(scene(60, 40))
    transparent.putalpha(Image.fromarray(scene(60, 40)[..., 0]))
    transparent.save(folder / "rgba.png")
    transparent.convert("LA").save(folder / "la.png")
    Image.fromarray(scene(60, 40)).quantize(50).save(folder / "palette.gif")
    sixteen = scene(60, 40)[..., 0].astype(np.uint16) * 257
    Image.fromarray(sixteen).save(folder / "sixteen.png")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder with the same pictures for training and for tests."""
    root = tmp_path_factory.mktemp("pictures")
    for split in ("train", "test"):
        save_all(root / split / "one")
        (root / split / "two").mkdir()
        Image.fromarray(scene(30, 30)).save(root / split / "two" / "other.png")
    return root


def paths(folder):
    return [*sorted((folder / "test" / "one").iterdir()), folder / "test" / "two" / "other.png"]


def in_grey_levels(images, data):
    return np.asarray(images) * data.std + data.mean


def same(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=GREY_LEVELS)


@pytest.mark.parametrize("augmentation", [None, "crop"])
def test_everything_prepares_pictures_in_one_way(pictures, augmentation, tmp_path, monkeypatch):
    data = lr.zoo.datasets.load(
        str(pictures), image_size=SIZE, batch_size=4, augmentation=augmentation
    )
    crop = 7 / 8 if augmentation == "crop" else 1.0
    wanted = np.stack([prepare_image(path, (SIZE, SIZE, 3), crop=crop) for path in paths(pictures)])

    # Evaluation and export: the test images.
    images, _ = data.test_arrays()
    same(in_grey_levels(images, data), wanted)
    # Training: the same images in another order. With random crops they are no longer the same.
    if augmentation is None:
        batches = [in_grey_levels(images, data) for images, _ in data.train]
        for image in wanted:
            distances = [np.abs(batch - image).max((1, 2, 3)).min() for batch in batches]
            assert min(distances) < GREY_LEVELS

    # Both `predict`s, by what the metadata in the file say.
    network = tf.keras.Sequential(
        [
            tf.keras.layers.Input(data.image_shape),
            tf.keras.layers.GlobalAveragePooling2D(),
            tf.keras.layers.Dense(2),
        ]
    )
    content = tf.lite.TFLiteConverter.from_keras_model(network).convert()
    metadata = Metadata(mean=data.mean, std=data.std, crop=data.crop, resize=data.resize)
    content = add_metadata(content, metadata)
    same(in_grey_levels(inputs_of(lr, content, paths(pictures), monkeypatch), data), wanted)
    runtime = pytest.importorskip("larq_reactnet_runtime")
    found = inputs_of(runtime, content, paths(pictures), monkeypatch)
    same(in_grey_levels(found, data), wanted)


def inputs_of(package, content, files, monkeypatch):
    """What the `predict` of a package gives to its interpreter."""
    inputs = []
    kind = lr.converters.Interpreter if package is lr else package.Interpreter

    def predict(self, x, **options):
        inputs.append(x[0])
        return np.zeros((1, 2), np.float32)

    with monkeypatch.context() as context:
        context.setattr(kind, "predict", predict)
        if package is lr:
            lr.converters.predict_images(content, files)
        else:
            from larq_reactnet_runtime import photos

            photos.classify(kind(content), files)
    return inputs


def test_turned_pictures_are_upright():
    """What the bound above could not see: that everything is wrong in the same way."""
    picture = Image.fromarray(scene(8, 4))
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # the camera was turned to the left: its top is at the left
    file = io.BytesIO()
    picture.transpose(Image.Transpose.ROTATE_90).save(file, "PNG", exif=exif)
    found = prepare_image(file.getvalue(), (4, 8, 3))
    np.testing.assert_array_equal(found, scene(8, 4))


def test_photos_of_cameras_are_averaged():
    """Stripes of one pixel become grey in training, too."""
    stripes = np.zeros((480, 640, 3), np.uint8)
    stripes[:, ::2] = 255
    found = prepare_image(encoded(stripes), (32, 32, 3))
    np.testing.assert_allclose(found, 127.5, atol=5)  # and not 0 or 255


def encoded(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("size", [(32, 32), (28, 20), (10, 31)])
@pytest.mark.parametrize(("crop", "resize"), [(1.0, "fit"), (7 / 8, "fit"), (0.6, "stretch")])
def test_small_images_of_a_fixed_size_are_prepared_alike(size, crop, resize, rng):
    """Those are enlarged by TensorFlow, and give the numbers that Pillow gives."""
    pixels = rng.integers(0, 256, (*size, 3), np.uint8)
    found = center(tf.constant(pixels), 32, crop, resize)
    wanted = prepare_image(encoded(pixels), (32, 32, 3), crop=crop, resize=resize)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)


def test_evaluate_prepares_images_as_the_file_says(pictures, tmp_path, monkeypatch):
    """Its size, its normalization and its crop, whatever the data set is normalized by."""
    network = tf.keras.Sequential(
        [tf.keras.layers.Input((16, 16, 3)), tf.keras.layers.Flatten(), tf.keras.layers.Dense(2)]
    )
    content = tf.lite.TFLiteConverter.from_keras_model(network).convert()
    metadata = Metadata(
        labels=("one", "two"), mean=(10, 20, 30), std=(40, 50, 60), crop=0.5, resize="stretch"
    )
    path = tmp_path / "model.tflite"
    path.write_bytes(add_metadata(content, metadata))
    seen = []

    def predict(flatbuffer, images, **options):
        seen.append(images)
        return np.eye(2)[np.zeros(len(images), int)]

    monkeypatch.setattr(lr.converters, "predict_tflite", predict)
    arguments = ["evaluate", str(path), "--dataset", str(pictures)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    wanted = [
        prepare_image(file, (16, 16, 3), metadata.mean, metadata.std, crop=0.5, resize="stretch")
        for file in paths(pictures)
    ]
    np.testing.assert_allclose(seen[0], wanted, rtol=0, atol=1e-4)


def test_export_writes_what_the_data_set_does(pictures, tmp_path):
    data = lr.zoo.datasets.load(str(pictures), image_size=8, augmentation="crop")
    network = tf.keras.Sequential([tf.keras.layers.Input((8, 8, 3))], name="small")
    found = metadata_of(network, data)
    assert (found.crop, found.resize) == (7 / 8, "fit")
    assert found.labels == ("one", "two")


def test_files_without_a_crop_want_all_of_a_picture(tmp_path):
    network = tf.keras.Sequential(
        [tf.keras.layers.Input((8, 8, 3)), tf.keras.layers.Flatten(), tf.keras.layers.Dense(2)]
    )
    content = tf.lite.TFLiteConverter.from_keras_model(network).convert()
    new = add_metadata(content, Metadata(mean=1, std=2, crop=0.5, resize="stretch"))
    assert (read_metadata(new).crop, read_metadata(new).resize) == (0.5, "stretch")
    old = without_images(new)
    assert (read_metadata(old).crop, read_metadata(old).resize) == (1.0, "fit")
    for broken, message in (
        (b'{"crop": 2, "resize": "fit"}', "`crop` must be above 0"),
        (b'{"crop": NaN}', "`crop` must be above 0"),
        (b'{"crop": "all"}', "`crop` must be a number"),
        (b'{"resize": "seam"}', "`resize` must be one of"),
        (b"[1]", "is not a dictionary"),
        (b"nothing", "metadata in the"),
        (b"\xff\xfe", "metadata in the"),
        (b" " * 201, "more than 200 bytes"),
    ):
        with pytest.raises(ValueError, match=message):
            read_metadata(without_images(new, broken))


def without_images(content, instead=None):
    """A file with other words, or none, of how images are cropped and resized."""
    real = metadata_module.schema.write

    def write(values):
        graph = values["subgraph_metadata"][0]
        if instead is None:
            del graph["custom_metadata"]
        else:
            graph["custom_metadata"][0]["data"] = instead
        return real(values)

    with mock.patch.object(metadata_module.schema, "write", write):
        return add_metadata(content, read_metadata(content))
