"""Under mixed precision, sums and thresholds are those of float32."""

import larq_reactnet as lr
from larq_reactnet.layers import LearnableBias, RPReLU
from larq_reactnet.quantizers import BNNPlusSign, RSign, SwishSign, react_sign

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

POLICIES = ["mixed_bfloat16", "mixed_float16"]
SHAPE = (32, 16, 16, 2)  # 8,192 numbers for each channel: a sum in bfloat16 stops at about 256
LAYERS = {
    "RPReLU": RPReLU,
    "LearnableBias": LearnableBias,
    **{f"RSign {name}": lambda name=name: RSign(name) for name in ("approx_sign", "swish_sign")},
    "SwishSign": lambda: SwishSign(trainable_beta=True),
}


def half(shape, policy, rng):
    """Numbers that both types of the policy have."""
    dtype = tf.keras.mixed_precision.Policy(policy).compute_dtype
    return tf.cast(rng.uniform(-0.5, 1, size=shape).astype(np.float32), dtype)


def gradients(layer, x, dy, training):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=training) if layer._expects_training_arg else layer(x)
    return y, tape.gradient(y, [x, *layer.trainable_weights], output_gradients=tf.cast(dy, y.dtype))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_gradients(name, training, policy, rng):
    """They are those of float64, up to the rounding of what has two bytes."""
    x, dy = half(SHAPE, policy, rng), half(SHAPE, policy, rng)
    tf.keras.mixed_precision.set_global_policy(policy)
    layer = LAYERS[name]()
    layer.build(SHAPE)
    layer.set_weights([rng.uniform(0.1, 0.2, weight.shape) for weight in layer.weights])
    assert {weight.dtype for weight in layer.weights} == {tf.float32}
    tf.keras.mixed_precision.set_global_policy("float64")
    exact = LAYERS[name]()
    exact.build(SHAPE)
    exact.set_weights(layer.get_weights())
    y, found = gradients(layer, x, dy, training)
    expected_y, expected = gradients(exact, tf.cast(x, tf.float64), dy, False)
    np.testing.assert_allclose(tf.cast(y, tf.float64), expected_y, rtol=2**-8, atol=2**-9)
    for gradient, wanted in zip(found, expected, strict=True):
        assert gradient.dtype == (x.dtype if gradient is found[0] else tf.float32)
        np.testing.assert_allclose(tf.cast(gradient, tf.float64), wanted, rtol=0.02, atol=2**-8)


@pytest.mark.parametrize("policy", POLICIES)
def test_signs_are_those_of_float32(policy, rng):
    """A threshold of two bytes would be rounded, by more than what is between it and inputs."""
    tf.keras.mixed_precision.set_global_policy(policy)
    layer = RSign()
    layer.build((1, 1))
    threshold = np.array(1 / 3, np.float32)
    layer.set_weights([threshold[None]])
    near = threshold + np.linspace(-2e-2, 2e-2, 41, dtype=np.float32)[:, None]
    x = tf.cast(near, layer.compute_dtype)
    for training in (False, True):
        np.testing.assert_array_equal(
            tf.cast(layer(x, training=training), tf.float32),
            np.where(tf.cast(x, tf.float32) >= threshold, 1, -1),
        )


@pytest.mark.parametrize("policy", POLICIES)
def test_scales(policy, rng):
    w = half((3, 3, 256, 4), policy, rng)
    scale = np.abs(tf.cast(w, tf.float64)).mean((0, 1, 2))
    found = np.abs(tf.cast(react_sign(w), tf.float64))
    np.testing.assert_allclose(found, np.broadcast_to(scale, w.shape), rtol=2**-8)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("penalty", [lr.regularizers.R1, lr.regularizers.R2])
def test_regularizer_and_scale_of_bnn_plus(policy, penalty, rng):
    tf.keras.mixed_precision.set_global_policy(policy)
    quantizer = BNNPlusSign(regularizer=penalty(1e-3))
    layer = lq.layers.QuantConv2D(2, 3, kernel_quantizer=quantizer, use_bias=False)
    x = half((2, 6, 6, 256), policy, rng)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        (loss,) = layer.losses
    assert loss.dtype == tf.float32
    w, alpha = layer.get_weights()[0].astype(np.float64), quantizer.alpha.numpy()
    distance = np.abs(alpha - np.abs(w))
    power = 1 if penalty is lr.regularizers.R1 else 2
    assert float(loss) == pytest.approx(1e-3 * np.sum(distance**power), rel=0.01)
    gradient = tape.gradient(y, quantizer.alpha, output_gradients=tf.ones_like(y))
    patches = np.lib.stride_tricks.sliding_window_view(tf.cast(x, tf.float64), (3, 3), (1, 2))
    expected = np.einsum("bijckl,klcf->f", patches, np.where(w >= 0, 1.0, -1.0))
    assert gradient.dtype == tf.float32
    np.testing.assert_allclose(gradient, expected, rtol=0.03, atol=0.5)


def test_training_is_passed_on_to_quantizers(rng):
    """So that they take few passes over memory in training, and LCE's form otherwise."""
    layer = lq.layers.QuantConv2D(2, 3, input_quantizer="rsign")
    model = tf.keras.Sequential([tf.keras.Input((6, 6, 3)), layer, RPReLU()])
    x = rng.normal(size=(2, 6, 6, 3)).astype(np.float32)

    def calls(training):
        graph = tf.function(lambda x: model(x, training=training)).get_concrete_function(x).graph
        return sum("Call" in operation.type for operation in graph.get_operations())

    assert calls(training=True) == 2
    assert calls(training=False) == 0
