"""Pipelines: sizes, ranges, reproducibility, and errors."""

import threading

import larq_reactnet as lr
from larq_reactnet.zoo.datasets import sources

import numpy as np
import pytest
import requests
import tensorflow as tf
from PIL import Image

load = lr.zoo.datasets.load


def test_digits(digits):
    assert digits.train_size + digits.test_size == 1797
    assert digits.image_shape == (32, 32, 3)
    assert digits.class_names == list("0123456789")
    images, labels = digits.test_arrays()
    assert images.shape == (digits.test_size, 32, 32, 3)
    assert images.dtype == np.float32
    assert images.min() >= -1
    assert images.max() <= 1
    assert digits.mean == digits.std == (127.5, 127.5, 127.5)
    np.testing.assert_array_equal(np.unique(images[..., 0] * 127.5 + 127.5)[[0, -1]], (0, 255))
    counts = np.bincount(labels)
    assert counts.min() >= 34  # every class is there in the same share
    first = next(iter(digits.test))[0]
    np.testing.assert_array_equal(digits.test_arrays(32)[0], first)


def test_training_and_test_images_are_disjoint(digits):
    train = {image.tobytes() for image, _ in digits.train.unbatch().as_numpy_iterator()}
    test = {image.tobytes() for image in digits.test_arrays()[0]}
    assert len(train) == digits.train_size
    assert not train & test


def test_an_epoch_is_shuffled_and_complete(digits):
    epochs = [[y for _, y in digits.train.unbatch().as_numpy_iterator()] for _ in range(2)]
    assert len(epochs[0]) == digits.train_size
    assert sorted(epochs[0]) == sorted(epochs[1])
    assert epochs[0] != epochs[1]


def test_augmentation_shifts_but_does_not_mirror_digits():
    # Shuffled with the same seed, they are the same images in the same order.
    plain, shifted = (load("digits", batch_size=64, augmentation=how) for how in (None, "shift"))
    moved = 0
    pairs = zip(next(iter(plain.train))[0].numpy(), next(iter(shifted.train))[0], strict=True)
    for image, augmented in pairs:
        padded = np.pad(image, ((4, 4), (4, 4), (0, 0)), constant_values=-1)  # black
        windows = np.lib.stride_tricks.sliding_window_view(padded, (32, 32, 3))[:, :, 0]
        assert (windows == augmented.numpy()).all((2, 3, 4)).any()
        moved += not np.array_equal(image, augmented)
    assert moved > 32


def batches(data, first, count):
    return [(x.numpy(), y.numpy()) for x, y in data.train_from(first).take(count)]


def test_train_from_continues_the_same_sequence():
    steps = load("digits", batch_size=256).steps_per_epoch
    whole = batches(load("digits", batch_size=256, seed=3), 0, 3 * steps)
    tail = batches(load("digits", batch_size=256, seed=3), 2, steps)
    for (x, y), (u, v) in zip(whole[2 * steps :], tail, strict=True):
        np.testing.assert_array_equal(x, u)
        np.testing.assert_array_equal(y, v)
    data = load("digits", batch_size=256, seed=3)
    batches(data, 0, 1)  # another iteration of the same object changes nothing
    np.testing.assert_array_equal(batches(data, 2, 1)[0][1], tail[0][1])
    other = batches(load("digits", batch_size=256, seed=4), 0, 1)
    assert (other[0][1] != whole[0][1]).any()


def make_folder(folder, rng, size=(20, 24)):
    for split, count in (("train", 4), ("test", 2)):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{i}.png")
    return folder


def test_folder(tmp_path, rng):
    data = load(str(make_folder(tmp_path, rng)), image_size=16, batch_size=3)
    assert data.class_names == ["cat", "dog"]
    assert (data.train_size, data.test_size, data.steps_per_epoch) == (8, 4, 3)
    images, labels = data.test_arrays()
    assert images.shape == (4, 16, 16, 3)
    assert labels.tolist() == [0, 0, 1, 1]
    assert sum(len(x) for x, _ in data.train) == 8


def test_folders_are_shuffled_whole_and_mirrored(tmp_path, rng):
    make_folder(tmp_path, rng, size=(16, 16))
    arguments = {"image_size": 16, "batch_size": 8}
    plain = load(str(tmp_path), augmentation=None, **arguments)
    assert len({tuple(next(iter(plain.train))[1].numpy()) for _ in range(8)}) > 1
    images = {image.tobytes() for image, _ in plain.train.unbatch().as_numpy_iterator()}
    mirrored = 0
    for image, _ in load(str(tmp_path), **arguments).train_from(0).unbatch().take(400):
        mirrored += image.numpy()[:, ::-1].tobytes() in images
    assert mirrored > 0  # some of them are mirrored and not shifted


@pytest.mark.slow
def test_cifar10(cifar10_dir):
    data = load("cifar10", data_dir=cifar10_dir, batch_size=500)
    assert (data.train_size, data.test_size, data.num_classes) == (50_000, 10_000, 10)
    assert data.class_names == lr.zoo.datasets.class_names("cifar10")
    images, labels = data.test_arrays()
    assert np.bincount(labels).tolist() == [1000] * 10
    assert abs(images.mean()) < 0.05
    assert abs(images.std() - 1) < 0.05
    pixels = images * data.std + data.mean  # are whole numbers
    np.testing.assert_allclose(pixels, pixels.round().clip(0, 255), atol=1e-3)


def test_holdout():
    whole, part = load("digits"), load("digits", holdout=100)
    assert (part.train_size, part.test_size) == (whole.train_size - 100, 100)
    train = {x.numpy().tobytes() for x, _ in load("digits", augmentation=None).train.unbatch()}
    rest = {
        x.numpy().tobytes()
        for x, _ in load("digits", augmentation=None, holdout=100).train.unbatch()
    }
    held = {image.tobytes() for image in part.test_arrays()[0]}
    assert held | rest == train
    assert not held & rest
    assert not held & {image.tobytes() for image in whole.test_arrays()[0]}


def test_crops(tmp_path):
    """The image has 64x48 pixels, whose red is their row and whose green is their column."""
    rows, columns = np.mgrid[:64, :48].astype(np.uint8)
    image = np.stack([rows, columns, np.full_like(rows, 200)], -1)
    for split in ("train", "test"):
        (tmp_path / split / "a").mkdir(parents=True)
        Image.fromarray(image).save(tmp_path / split / "a" / "0.png")
    data = load(str(tmp_path), image_size=14, augmentation="crop")

    def pixels(batch):
        return batch[0][0].numpy() * data.std + data.mean

    # The middle 42x42. Each pixel is an average of what is around it, at the border of one side.
    (test,) = map(pixels, data.test)
    for channel, first in ((0, 12), (1, 4)):
        wanted = np.mgrid[:14, :14][channel] * 3 + first
        np.testing.assert_allclose(test[1:-1, 1:-1, channel], wanted[1:-1, 1:-1], atol=1e-3)
        np.testing.assert_allclose(test[..., channel], wanted, atol=0.3)
    crops = [pixels(batch) for batch in data.train_from(0).unbatch().batch(1).take(100)]
    heights, widths = (np.array([np.ptp(c[..., i]) for c in crops]) * 14 / 13 for i in (0, 1))
    assert np.all((heights <= 65) & (widths <= 49))
    area = heights * widths / (64 * 48)
    assert 0.07 < area.min() < 0.2
    assert area.max() > 0.7
    assert np.all((widths / heights > 0.7) & (widths / heights < 1.43))
    mirrored = np.mean([c[0, 0, 1] > c[0, -1, 1] for c in crops])
    assert 0.3 < mirrored < 0.7
    assert len({c.tobytes() for c in crops}) == 100


@pytest.mark.parametrize("size", [4, 8, 16])
@pytest.mark.parametrize("augmentation", ["shift", "crop", None])
def test_grey_images_of_every_size(size, augmentation):
    """Smaller ones than the digits have go another way than larger ones."""
    data = load("digits", image_size=size, augmentation=augmentation)
    for images, _ in (next(iter(data.train)), next(iter(data.test))):
        assert images.shape == (64, size, size, 3)
        np.testing.assert_array_equal(images[..., 0], images[..., 2])


def test_bad_input(tmp_path, rng):
    with pytest.raises(ValueError, match="No data set is called 'cifar11'"):
        load("cifar11")
    with pytest.raises(ValueError, match="There is no folder"):
        load("cifar10", data_dir=tmp_path / "missing")
    with pytest.raises(ValueError, match="`crop`"):
        load("digits", crop=0)
    with pytest.raises(ValueError, match="`resize`"):
        load("digits", resize="seam")
    with pytest.raises(ValueError, match="both `mean` and `std`"):
        load("digits", mean=(1, 2, 3))
    with pytest.raises(ValueError, match="a number for each of three channels"):
        load("digits", mean=(1, 2, 3), std=(1, 2, 0))
    with pytest.raises(ValueError, match="`image_size`"):
        load("digits", image_size=0)
    with pytest.raises(ValueError, match="`batch_size`"):
        load("digits", batch_size=0)
    with pytest.raises(ValueError, match="`augmentation`"):
        load("digits", augmentation="cutout")
    for count in (-1, 1437):
        with pytest.raises(ValueError, match="`holdout` must leave"):
            load("digits", holdout=count)


def test_data_that_cannot_be_downloaded(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    def refuse(*args, **kwargs):
        raise ConnectionError("no network")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", refuse)
    monkeypatch.setattr(requests, "head", lambda address, **options: None)
    with pytest.raises(OSError, match=r"'mnist' is not in .* could not be downloaded"):
        load("mnist", data_dir=tmp_path)


@pytest.mark.parametrize("silent", [False, True])
def test_without_network_the_downloader_is_not_asked(tmp_path, monkeypatch, silent):
    """It would try again and again, for minutes."""
    import tensorflow_datasets as tfds

    def ask(address, **options):
        if silent:
            threading.Event().wait(20)
        raise requests.ConnectionError(address)

    asked = []
    monkeypatch.setattr(requests, "head", ask)
    monkeypatch.setattr(sources, "PATIENCE", 0.2)
    monkeypatch.setattr(
        tfds.core.DatasetBuilder, "download_and_prepare", lambda *a, **k: asked.append(1)
    )
    with pytest.raises(OSError, match=r"'mnist' is not in .* could not be downloaded"):
        load("mnist", data_dir=tmp_path)
    assert not asked


def test_pipelines_do_not_tune_themselves(digits):
    """Where there is one core, TensorFlow's search goes on after the last batch."""
    for data in (digits.train, digits.train_from(0), digits.test):
        assert data.options().autotune.enabled is False


def test_it_trains_with_fit(digits):
    model = tf.keras.Sequential(
        [tf.keras.layers.Input(digits.image_shape), tf.keras.layers.Flatten()]
    )
    model.add(tf.keras.layers.Dense(digits.num_classes))
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    history = model.fit(digits.train, validation_data=digits.test, epochs=3, verbose=0).history
    assert history["val_accuracy"][-1] > 0.8
