"""Statistics of batch normalization, estimated again."""

import larq_reactnet as lr

import numpy as np
import pytest
import tensorflow as tf

layers = tf.keras.layers


def test_the_statistics_of_all_batches(rng):
    """Those of NumPy, for batches of different sizes too; dropout does nothing."""
    images = (3 * rng.normal(size=(128, 4, 4, 2)) + 5).astype("f")
    model = tf.keras.Sequential(
        [layers.Input((4, 4, 2)), layers.Dropout(0.5), layers.BatchNormalization()]
    )
    found = lr.recalibrate(model, images, print_fn=None)
    norm = model.layers[-1]
    np.testing.assert_allclose(norm.moving_mean, images.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, images.var((0, 1, 2)), rtol=1e-4)
    assert found.batches == 2
    (name, moved, factor), *rest = found.layers
    assert (name, rest) == (norm.name, [])
    assert moved == pytest.approx(np.abs(images.mean((0, 1, 2))).mean(), rel=1e-2)
    assert factor == pytest.approx(3, rel=0.1)
    assert norm.name in str(found)
    again = lr.recalibrate(model, images, print_fn=None)
    assert again.layers[0][1] < 1e-5


def test_deeper_layers_see_normalized_maps_and_inner_models_count(rng):
    inner = tf.keras.Sequential([layers.Input((4,)), layers.BatchNormalization(name="inner")])
    model = tf.keras.Sequential(
        [layers.Input((4,)), layers.BatchNormalization(name="outer"), layers.ReLU(), inner]
    )
    x = 10 * rng.normal(size=(64, 4)).astype("f") + 7
    data = tf.data.Dataset.from_tensor_slices((x, np.zeros(64))).batch(64)
    lr.recalibrate(model, data, print_fn=None)
    normal = np.maximum((x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3), 0)
    norm = inner.get_layer("inner")
    np.testing.assert_allclose(norm.moving_mean, normal.mean(0), rtol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, normal.var(0), rtol=1e-4)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((0, 3), "f"), "no data"),
        (np.full((2, 3), np.nan, "f"), "not finite"),
    ],
)
def test_nothing_changes_when_it_fails(data, message):
    model = tf.keras.Sequential([layers.Input((3,)), layers.BatchNormalization()])
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        lr.recalibrate(model, data, print_fn=None)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_models_without_statistics_of_their_own():
    plain = tf.keras.Sequential([layers.Input((3,)), layers.Dense(2)])
    with pytest.raises(ValueError, match="no batch normalization"):
        lr.recalibrate(plain, np.zeros((2, 3), "f"), print_fn=None)
    norm, inputs = layers.BatchNormalization(name="twice"), layers.Input((3,))
    shared = tf.keras.Model(inputs, norm(norm(inputs)))
    with pytest.raises(ValueError, match="twice is shared"):
        lr.recalibrate(shared, np.zeros((2, 3), "f"), print_fn=None)
