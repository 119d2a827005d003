"""Data of ImageNet's size: windows of JPEG files, orders to enter anywhere, files remembered."""

import io
import threading

import larq_reactnet as lr
from larq_reactnet._shared import photos
from larq_reactnet.zoo.datasets import cropping, folders, looking, pixels, sources

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

load = lr.zoo.datasets.load


def picture(rng, height, width):
    """A photo-like image: smooth, with noise."""
    y, x = np.mgrid[:height, :width]
    waves = [127 + 90 * np.sin(x / 17 + i) + 25 * np.cos(y / 9 * i) for i in range(3)]
    noisy = np.stack(waves, -1) + rng.normal(0, 18, (height, width, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def encoded(image, kind="JPEG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned(number):
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def sixteen_bits(image):
    return Image.fromarray(np.asarray(image)[..., 0].astype(np.uint16) * 257)


# Windows.


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "4:1:1"])
def test_a_window_of_a_jpeg_has_the_pixels_of_the_whole(rng, subsampling, progressive):
    content = encoded(
        picture(rng, 131, 190), quality=80, subsampling=subsampling, progressive=progressive
    )
    whole = np.asarray(photos.decode(content, 3))
    assert cropping._header(content) == (131, 190, True)
    for _ in range(25):
        height, width = rng.integers(1, 132), rng.integers(1, 191)
        top, left = rng.integers(0, 132 - height), rng.integers(0, 191 - width)
        box = [int(number) for number in (left, top, left + width, top + height)]
        part = cropping._decoded_part(content, tuple(box), 131, 190)
        np.testing.assert_array_equal(part, whole[top : top + height, left : left + width])


def test_of_a_plain_jpeg_the_rest_is_not_decoded(rng, monkeypatch):
    content = encoded(picture(rng, 100, 100))
    monkeypatch.setattr(photos, "decode", None)
    assert cropping.crop_of(content, (4, 3, 34, 23), (100, 100)).size == (30, 20)


FILES = {
    "plain": (True, lambda image: encoded(image)),
    "grey": (True, lambda image: encoded(image.convert("L"))),
    "upright": (True, lambda image: encoded(image, exif=turned(1))),
    "mirrored": (False, lambda image: encoded(image, exif=turned(2))),
    "on its side": (False, lambda image: encoded(image, exif=turned(6))),
    "cmyk": (False, lambda image: encoded(image.convert("CMYK"))),
    "png": (False, lambda image: encoded(image, "PNG")),
    "16 bits": (False, lambda image: encoded(sixteen_bits(image), "PNG")),
    "transparent": (False, lambda image: encoded(image.convert("RGBA"), "PNG")),
    "gif": (False, lambda image: encoded(image, "GIF")),
    "webp": (False, lambda image: encoded(image, "WEBP")),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("worth", [0, 10**9])
def test_random_crops_are_those_of_the_decoded_image(kind, worth, rng, tmp_path, monkeypatch):
    """Whatever the file is called, its content decides."""
    monkeypatch.setattr(cropping, "WORTH", worth)
    parts, real = [], cropping._decoded_part
    monkeypatch.setattr(
        cropping, "_decoded_part", lambda *arguments: (parts.append(1), real(*arguments))[1]
    )
    plain, make = FILES[kind]
    content = make(picture(rng, 90, 70))
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    size = (70, 90) if kind == "on its side" else (90, 70)
    assert cropping._header(content) == (*size, plain)
    assert cropping.size_of(str(path).encode(), is_path=True) == size

    @tf.function
    def crops(seeds):
        return (
            pixels.random_crop(pixels.decoded(content), 24, seeds),
            cropping.random_crop_of(content, 24, seeds),
            cropping.random_crop_of(str(path), 24, seeds, is_path=True),
        )

    for number in range(5):
        wanted, *found = crops(tf.constant([3, number], tf.int64))
        for crop in found:
            np.testing.assert_array_equal(crop, wanted)
    assert len(parts) == (10 if plain and not worth else 0)


def test_a_file_that_went_bad_is_named(rng, tmp_path):
    path = tmp_path / "half.jpg"
    content = encoded(picture(rng, 90, 70))
    path.write_bytes(content[: len(content) // 2])
    assert cropping._header(str(path))[2]
    with pytest.raises(ValueError, match=r"half\.jpg is truncated or corrupt"):
        cropping.crop_of(str(path), (0, 60, 70, 90), (90, 70))
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"half\.jpg is not a JPEG"):
        cropping.size_of(str(path).encode(), is_path=True)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"There is no file .*half\.jpg"):
        cropping.crop_of(str(path), (0, 60, 70, 90), (90, 70))


# Orders.


@pytest.fixture
def big_folder(tmp_path, rng, monkeypatch):
    """A folder that is large for the pipelines: each of 41 photos has a color of its own."""
    monkeypatch.setattr(folders, "LARGE", 10)
    for split, count in (("train", 35), ("test", 6)):
        for number in range(count):
            path = tmp_path / "big" / split / ("cat", "dog")[number % 2] / f"{number:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (12, 10), (number * 5, 100, 60 * (split == "test"))).save(path)
    return lambda **options: load(str(tmp_path / "big"), image_size=8, batch_size=8, **options)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Five files of records of tensorflow-datasets, each image of one color."""
    import tensorflow_datasets as tfds

    class MadeUp(tfds.core.GeneratorBasedBuilder):
        """Images of one color."""

        VERSION = tfds.core.Version("1.0.0")
        code_path = None  # which it would look for in a package

        def _info(self):
            image = tfds.features.Image(shape=(None, None, 3), encoding_format="png")
            label = tfds.features.ClassLabel(names=["cat", "dog"])
            features = tfds.features.FeaturesDict({"image": image, "label": label})
            keys = ("image", "label")
            return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=keys)

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(35), "test": self._generate_examples(6)}

        def _generate_examples(self, count):
            for number in range(count):
                pixels = np.full((10, 12, 3), (number * 5, 100, 60 * (count == 6)), np.uint8)
                yield number, {"image": pixels, "label": number % 2}

    folder = tmp_path_factory.mktemp("prepared")
    config = tfds.download.DownloadConfig(num_shards=5)
    MadeUp(data_dir=folder).download_and_prepare(download_config=config)
    return folder


@pytest.fixture
def big_records(prepared, monkeypatch):
    monkeypatch.setattr(sources, "CACHE_LIMIT", 1_000)
    return lambda **options: load(
        "made_up", data_dir=prepared, image_size=8, batch_size=8, **options
    )


@pytest.fixture(params=["big_folder", "big_records"])
def big(request):
    """A function that loads a large data set of 35 training images and 6 test images."""
    return request.getfixturevalue(request.param)


def numbers(batches):
    """Which images they are, by their color."""
    reds = np.concatenate([images[:, 4, 4, 0] for images, _ in batches]) * 127.5 + 127.5
    return (reds / 5).round().astype(int).tolist()


def test_every_epoch_has_all_images_in_another_order(big):
    data = big(augmentation=None)
    assert data.source.large is not None
    assert (data.train_size, data.test_size, len(data.train)) == (35, 6, 5)
    epochs = [numbers(data.train) for _ in range(3)]
    whole = numbers(data.train_from(0).unbatch().batch(35).take(3))
    epochs += [whole[:35], whole[35:70], whole[70:]]
    for epoch in epochs:
        assert sorted(epoch) == [*range(35)]
        assert epoch != sorted(epoch)
    assert len({tuple(epoch) for epoch in epochs}) == 6
    assert sorted(numbers(data.test)) == [*range(6)]
    for images, labels in data.train.take(1):
        assert [n % 2 for n in numbers([(images, labels)])] == labels.numpy().tolist()


@pytest.mark.parametrize("seed", [0, 3])
def test_resumed_batches_are_those_of_an_uninterrupted_training(big, seed):
    options = {"seed": seed, "augmentation": "crop", "randaugment": 1}
    tf.random.set_seed(0)
    whole = [*big(**options).train_from(0).take(20)]
    tf.random.set_seed(7)
    for (x, y), (u, v) in zip(whole[15:], big(**options).train_from(3).take(5), strict=True):
        np.testing.assert_array_equal(x, u)
        np.testing.assert_array_equal(y, v)
    other = next(iter(big(**{**options, "seed": seed + 1}).train_from(0)))
    assert (other[0].numpy() != whole[0][0].numpy()).any()


def test_held_out_images_are_not_trained_on(big):
    data = big(augmentation=None, holdout=9)
    assert (data.train_size, data.test_size) == (26, 9)
    train, test = {*numbers(data.train)}, {*numbers(data.test)}
    assert len(train) == 26
    assert train | test == {*range(35)}
    assert {*numbers(data.train_from(0).unbatch().batch(26).take(1))} == train


def test_nothing_that_is_passed_over_is_decoded(big_folder, monkeypatch):
    data = big_folder(augmentation=None)
    seen, real = [], photos.decode
    monkeypatch.setattr(photos, "decode", lambda path, n: (seen.append(path), real(path, n))[1])
    next(iter(data.train_from(1_000_000)))
    assert 8 <= len(seen) < 100  # this batch, and those that are prepared meanwhile


def test_orders_of_small_sets_stay_what_they_were():
    """Else, trainings that are under way would go on with other batches."""
    tf.random.set_seed(5)
    _, labels = next(iter(load("digits", seed=3, batch_size=16).train_from(1)))
    assert labels.numpy().tolist() == [8, 4, 7, 7, 9, 0, 1, 6, 2, 2, 8, 0, 3, 1, 7, 1]


# Looking at files.


@pytest.fixture
def many(tmp_path, rng, monkeypatch, cache):
    """A folder large enough to be remembered, and the list of files that are looked at."""
    folders.say.cache_clear()
    monkeypatch.setattr(looking, "MANY", 5)
    monkeypatch.setattr(looking, "CHUNK", 4)
    for number in range(21):
        path = tmp_path / "many" / ("cat", "dog")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(rng, 20, 20).save(path)
    (tmp_path / "many" / "cat" / "bad.jpg").write_bytes(b"no image")
    seen, real, lock = [], photos.check, threading.Lock()

    def check(path):
        with lock:
            seen.append(path)
        real(path)

    monkeypatch.setattr(photos, "check", check)

    def looked():
        seen.clear()
        data = load(str(tmp_path / "many"), image_size=8)
        return data, sorted(path.rpartition("/")[2] for path in seen)

    return tmp_path / "many", looked


def test_files_are_looked_at_once(many):
    folder, looked = many
    data, first = looked()
    assert len(first) == 22
    assert (data.train_size + data.test_size, len(data.left_out)) == (21, 1)
    data, second = looked()
    assert second == ["bad.jpg"]  # might have been mended
    assert (data.train_size + data.test_size, len(data.left_out)) == (21, 1)
    (folder / "dog" / "3.jpg").write_bytes(b"has changed")
    Image.new("RGB", (9, 9)).save(folder / "cat" / "bad.jpg")
    Image.new("RGB", (9, 9)).save(folder / "cat" / "new.jpg")
    data, third = looked()
    assert third == ["3.jpg", "bad.jpg", "new.jpg"]
    assert [reason.split(" ")[0].rpartition("/")[2] for reason in data.left_out] == ["3.jpg"]
    assert looked()[1] == ["3.jpg"]


def test_a_damaged_memory_is_no_memory(many, cache):
    _, looked = many
    looked()
    (memory,) = (cache / "readable").iterdir()
    for content in (b"", memory.read_bytes()[:-3], b"something else"):
        memory.write_bytes(content)
        assert len(looked()[1]) == 22
        assert looked()[1] == ["bad.jpg"]


def test_a_cache_that_cannot_be_written_is_no_error(many, cache):
    _, looked = many
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder would be")
    assert len(looked()[1]) == 22
    assert len(looked()[1]) == 22
