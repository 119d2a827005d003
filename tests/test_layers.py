"""RPReLU and the learnable shift, against NumPy and finite differences."""

import larq_reactnet as lr
from larq_reactnet.layers import LearnableBias, RPReLU

import numpy as np
import pytest
import tensorflow as tf
from helpers import assert_same_outputs, gradient, reloaded

SHAPES = [(7, 5), (2, 4, 4, 5)]


def rprelu(x, gamma, slope, zeta):
    """ReActNet's equation 6."""
    return np.where(x > gamma, x - gamma + zeta, slope * (x - gamma) + zeta)


def configured(layer, rng, shape):
    """`layer`, built, with random weights of its dtype."""
    layer.build(shape)
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.weights])
    return layer


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_rprelu(shape, dtype, tolerance, training, rng):
    layer = configured(RPReLU(dtype=dtype), rng, shape)
    x = rng.normal(size=shape).astype(dtype)
    gamma, slope, zeta = layer.get_weights()
    expected = rprelu(x, gamma, slope, zeta)
    found = layer(x, training=training)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [False, True])
def test_rprelu_gradients(shape, training, rng):
    layer = configured(RPReLU(dtype="float64"), rng, shape)
    x, dy, step = rng.normal(size=shape), rng.normal(size=shape), 1e-7
    weights = layer.get_weights()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x, training=training) * dy)
    for index, found in enumerate(tape.gradient(loss, layer.trainable_weights)):
        for channel, shift in enumerate(np.eye(shape[-1]) * step):
            up, down = (
                np.sum(dy * rprelu(x, *[w + s * (i == index) for i, w in enumerate(weights)]))
                for s in (shift, -shift)
            )
            assert float(found[channel]) == pytest.approx(
                (up - down) / (2 * step), rel=1e-5, abs=1e-6
            )
    (dx,) = gradient(lambda x: layer(x, training=training), x, upstream=dy)
    np.testing.assert_allclose(dx, dy * np.where(x > weights[0], 1, weights[1]))


def test_rprelu_starts_as_prelu_with_slope_a_quarter():
    layer = RPReLU()
    x = np.float32([[-4, 0, 4]])
    np.testing.assert_array_equal(layer(x), [[-1, 0, 4]])
    assert [weight.name.split("/")[-1] for weight in layer.weights] == [
        "gamma:0",
        "slope:0",
        "zeta:0",
    ]


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 6e4, -6e4])
@pytest.mark.parametrize("training", [False, True])
def test_rprelu_passes_extremes_on(value, training):
    for dtype in ("float16", "float32"):
        result = RPReLU(dtype=dtype)(np.array([[value]], dtype), training=training).numpy()
        expected = value if value > 0 else value / 4
        np.testing.assert_allclose(result, [[expected]], rtol=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_learnable_bias(shape, rng):
    layer = configured(LearnableBias(dtype="float64"), rng, shape)
    x = rng.normal(size=shape)
    np.testing.assert_array_equal(layer(x), x + layer.get_weights()[0])
    np.testing.assert_array_equal(LearnableBias()(np.float32(x)), np.float32(x))


@pytest.mark.parametrize("how", ["h5", "tf", "keras", "config"])
@pytest.mark.parametrize("shape", SHAPES)
def test_round_trip(shape, how, tmp_path, rng):
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Input(shape[1:]),
            RPReLU(slope_initializer="ones", name="rprelu"),
            LearnableBias(bias_initializer="ones"),
        ]
    )
    model.set_weights([rng.normal(size=weight.shape) for weight in model.weights])
    twin = reloaded(model, how, tmp_path)
    assert_same_outputs(model, twin, rng.normal(size=shape).astype(np.float32))
    configs = [m.get_layer("rprelu").get_config() for m in (model, twin)]
    assert configs[0] == configs[1]


@pytest.mark.parametrize("shape", [(5,), (4, 4, 5)])
def test_rprelu_converts_to_add_prelu_add(shape, rng):
    inputs = tf.keras.layers.Input(shape)
    model = tf.keras.Model(inputs, configured(RPReLU(), rng, (None, *shape))(inputs))
    flatbuffer = lr.converters.convert(model)
    assert lr.converters.count_operators(flatbuffer) == {"ADD": 2, "PRELU": 1}
    x = rng.normal(size=(3, *shape)).astype(np.float32)
    found = lr.converters.predict_tflite(flatbuffer, x, progress=False)
    np.testing.assert_allclose(found, model(x), rtol=1e-6, atol=1e-6)


def test_unknown_channels():
    for layer in (RPReLU(name="first"), LearnableBias(name="first")):
        with pytest.raises(ValueError, match="first needs to know the number of channels"):
            layer(tf.keras.layers.Input((8, 8, None)))
