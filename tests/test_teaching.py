"""The teacher's logits, computed once where images are the same in all epochs."""

from dataclasses import replace

import larq_reactnet as lr
from larq_reactnet.training import Run, teaching
from larq_reactnet.training.loop import train
from larq_reactnet.training.teaching import can_be_kept, kept_logits
from larq_reactnet.zoo.datasets import load
from larq_reactnet.zoo.recipes import Recipe, Step

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image


def teacher_of(data, seed=0):
    tf.keras.utils.set_random_seed(seed)
    return tf.keras.Sequential(
        [tf.keras.layers.Flatten(input_shape=data.image_shape), tf.keras.layers.Dense(10)]
    )


@pytest.fixture(scope="module")
def plain():
    return load("digits", image_size=16, batch_size=100, augmentation=None)


def test_which_data_can_be(plain):
    assert can_be_kept(plain)
    for change in ({"augmentation": "shift"}, {"flip": True}, {"mixup": 0.2}, {"lighting": 0.1}):
        assert not can_be_kept(load("digits", **{"augmentation": None, **change}))


def test_logits_come_with_their_images(plain, tmp_path):
    teacher = teacher_of(plain)
    logits = kept_logits(teacher, plain, tmp_path / "logits.safetensors", 0)
    assert logits.shape == (plain.train_size, 10)
    data = load("digits", image_size=16, batch_size=100, augmentation=None, beside=logits)
    for (images, (labels, beside)), (same, their) in zip(
        data.train_from(3).take(3), plain.train_from(3).take(3), strict=True
    ):
        np.testing.assert_array_equal(images, same)
        np.testing.assert_array_equal(labels, their)
        np.testing.assert_allclose(beside, teacher(images), rtol=1e-4, atol=1e-4)


def test_the_file_is_checked(plain, tmp_path, monkeypatch):
    """It is used again only for the same teacher and images, and only if it is whole."""
    path, teacher = tmp_path / "logits.safetensors", teacher_of(plain)
    first = kept_logits(teacher, plain, path, 0)
    written = path.stat().st_mtime_ns
    np.testing.assert_array_equal(kept_logits(teacher, plain, path, 0), first)
    assert path.stat().st_mtime_ns == written

    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    np.testing.assert_array_equal(kept_logits(teacher, plain, path, 0), first)
    path.write_bytes(content[:-5])
    np.testing.assert_array_equal(kept_logits(teacher, plain, path, 0), first)

    other = kept_logits(teacher_of(plain, seed=1), plain, path, 0)
    assert np.abs(other - first).max() > 0.1
    fewer = load("digits", image_size=16, augmentation=None, holdout=37)
    assert len(kept_logits(teacher, fewer, path, 0)) == plain.train_size - 37


def test_a_file_that_changed_is_another(tmp_path):
    for number in range(12):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (number, 0, 0)).save(path)
    data = load(str(tmp_path / "photos"), image_size=16, augmentation=None)
    teacher = teacher_of(data)
    before = teaching._key(teacher, data)
    assert teaching._key(teacher, data) == before
    first = next(iter(data.source.splits["train"].as_numpy_iterator()))[0].decode()
    Image.new("RGB", (16, 16), (99, 99, 0)).save(first)
    assert teaching._key(teacher, data) != before


def test_numbers_beside_that_do_not_fit(plain):
    with pytest.raises(ValueError, match=r"a row for each of 1,437 training images .* got 3"):
        load("digits", augmentation=None, beside=np.zeros((3, 10), np.float32))
    with pytest.raises(ValueError, match="Images are mixed"):
        load("digits", mixup=0.2, beside=np.zeros((plain.train_size, 10), np.float32))


def test_distiller_learns_the_same(plain, tmp_path):
    """From logits that come with the batch as from those it computes."""
    teacher = teacher_of(plain)
    logits = kept_logits(teacher, plain, tmp_path / "logits.safetensors", 0)
    beside = load("digits", image_size=16, batch_size=100, augmentation=None, beside=logits)
    found = []
    for data in (plain, beside):
        student = teacher_of(data, seed=2)
        distiller = lr.Distiller(student, teacher, label_loss_weight=0.1)
        loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        distiller.compile(tf.keras.optimizers.SGD(0.01), loss, metrics=["accuracy"])
        history = distiller.fit(data.train_from(0), steps_per_epoch=5, verbose=0).history
        found.append((student.get_weights(), history))
    for one, other in zip(found[0][0], found[1][0], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    for name, values in found[0][1].items():
        np.testing.assert_allclose(values, found[1][1][name], rtol=1e-4, err_msg=name)


@pytest.mark.slow
@pytest.mark.usefixtures("few_digits")
def test_a_run_keeps_them(tmp_path):
    """They are there again when the run goes on, and the teacher says nothing more."""
    step = Step(epochs=1, learning_rate=1e-3)
    recipe = Recipe(
        model="bnn_plus_alexnet", options={"width": 0.05}, steps=(step,), batch_size=128
    )
    train(recipe, tmp_path / "teacher", verbose=0)
    recipe = replace(recipe, augmentation=None, teacher="resnet18_cifar10")
    train(recipe, tmp_path / "run", teacher=tmp_path / "teacher", verbose=0)
    assert (tmp_path / "run" / "teacher_logits.safetensors").exists()
    assert 0 <= Run(tmp_path / "run").read()["results"]["accuracy"] <= 1
