"""Two networks in float64, where rounding decides nothing."""

import larq_reactnet as lr
from larq_reactnet._graph.calls import rebuild
from larq_reactnet.converters import convert, export, fold, verify_in_float64, verify_layers

import numpy as np
import pytest
import tensorflow as tf
from faulty_models import binary_conv, model_of, noise, randomized

layers = tf.keras.layers
BN = layers.BatchNormalization


def test_float64_shows_the_smallest_fault(rng):
    stages = lr.layers.RPReLU(), layers.GlobalAveragePooling2D(), layers.Dense(3)
    model = randomized(
        model_of(layers.Conv2D(4, 3), lr.layers.RPReLU(), binary_conv(8), *stages), rng
    )
    images = noise(model, rng)
    assert verify_in_float64(model, fold, images) < 1e-12
    assert verify_in_float64(model, lambda exact: exact, images) == 0

    def wrong(exact):
        folded = fold(exact)
        weights = folded.get_weights()
        folded.set_weights([*weights[:-1], weights[-1] + 1e-6])
        return folded

    assert 1e-9 < verify_in_float64(model, wrong, images) < 1e-5
    assert np.isnan(verify_in_float64(model, lambda exact: scaled(exact, np.nan), images))


def scaled(model, factor):
    copy = rebuild(model, dtype="float64")
    copy.set_weights([weight * factor for weight in copy.get_weights()])
    return copy


def test_float64_of_a_network_that_gives_zeros(rng):
    model = model_of(layers.Conv2D(4, 3, kernel_initializer="zeros"))

    def ones(exact):
        copy = rebuild(exact, dtype="float64")
        copy.set_weights([weight + 1 for weight in copy.get_weights()])
        return copy

    assert verify_in_float64(model, lambda exact: exact, noise(model, rng)) == 0
    assert verify_in_float64(model, ones, noise(model, rng)) > 0.1


def test_layers_that_know_float32_only(rng, tmp_path):
    class Plus(layers.Layer):
        def call(self, x):
            return x + tf.ones(4, tf.float32)

    model = model_of(layers.Conv2D(4, 3), Plus(), lr.layers.RPReLU(), binary_conv(4))
    randomized(model, rng)
    images = noise(model, rng)
    with pytest.raises(ValueError, match="'small' does not run in float64: "):
        verify_in_float64(model, fold, images)
    with pytest.raises(ValueError, match="'small' does not run in float64: "):
        verify_layers(model, convert(model), images)
    report = export(model, tmp_path / "m.tflite", verify_with=images, min_agreement=0)
    assert report.folding_error is None
    assert "not folded            'small' does not run in float64" in str(report)
