"""Forward and backward of every quantizer, against NumPy and finite differences."""

import logging

import larq_reactnet as lr
from larq_reactnet.quantizers import (
    BNNPlusSign,
    ReActSign,
    RSign,
    SwishSign,
    bnn_plus_sign,
    react_sign,
    rsign,
    swish_sign,
)

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from helpers import assert_same_outputs, binary_model, gradient, reloaded, some

FLOATS = [np.float16, np.float32, np.float64]
ALIASES = {
    "bnn_plus_swish_sign": SwishSign,
    "rsign": RSign,
    "react_sign": ReActSign,
    "bnn_plus_sign": BNNPlusSign,
}
OLD_ALIASES = {"bnnplus_swish_sign": SwishSign, "bnnplus_sign": BNNPlusSign}
# Every quantizer with other arguments than the default, and where it is used.
CONFIGURED = {
    "swish": ("input", lambda: SwishSign(beta=10.0)),
    "trainable swish": ("input", lambda: SwishSign(trainable_beta=True)),
    "swish kernel": ("kernel", lambda: SwishSign(beta=10.0)),
    "rsign": ("input", lambda: RSign("swish_sign", threshold_initializer="ones")),
    "react": ("kernel", lambda: ReActSign()),
    "bnn+": ("kernel", lambda: BNNPlusSign(10.0, lr.regularizers.R1(1e-3))),
    "bnn+ without": ("kernel", lambda: BNNPlusSign()),
    "bnn+ straight through": ("kernel", lambda: BNNPlusSign(None)),
}


def sign(x):
    return np.where(x >= 0, 1.0, -1.0)


def sign_swish(x, beta):
    """BNN+'s definition, from the logistic function, in float64."""
    s = 1 / (1 + np.exp(-beta * x))
    return 2 * s * (1 + beta * x * (1 - s)) - 1


def sign_swish_slope(x, beta):
    """Its derivative as published, with cosh."""
    return beta * (2 - beta * x * np.tanh(beta * x / 2)) / (1 + np.cosh(beta * x))


@pytest.mark.parametrize("dtype", FLOATS)
def test_forward_is_a_sign_that_is_never_zero(dtype):
    largest = np.finfo(dtype).max
    x = np.array([-largest, -1, -1e-4, -0.0, 0.0, 1e-4, 1, largest], dtype)
    for function in (swish_sign, lambda x: rsign(x[:, None], tf.zeros(1, x.dtype))[:, 0]):
        np.testing.assert_array_equal(function(tf.constant(x)), sign(x))
    assert np.isnan(swish_sign(tf.constant(np.nan, dtype)))


@pytest.mark.parametrize("beta", [1.0, 5.0, 10.0])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.float16, 4e-3), (np.float32, 2e-6), (np.float64, 1e-12)]
)
def test_swish_sign_gradient(dtype, tolerance, beta):
    x = np.linspace(-3, 3, 601).astype(dtype)
    exact = x.astype(np.float64)
    (found,) = gradient(lambda x: swish_sign(x, beta), x)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, sign_swish_slope(exact, beta), atol=tolerance * beta)
    step = 1e-6
    difference = (sign_swish(exact + step, beta) - sign_swish(exact - step, beta)) / (2 * step)
    np.testing.assert_allclose(found, difference, atol=tolerance * beta + 1e-8)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("beta", [0.01, 5.0, 60.0])
def test_swish_sign_gradient_is_finite_for_every_finite_input(dtype, beta):
    info = np.finfo(dtype)
    exponents = np.linspace(np.log10(info.tiny), np.log10(info.max), 500)[:-1]
    magnitudes = (10.0**exponents).astype(dtype)
    x = np.concatenate([-magnitudes, [0], magnitudes, [-info.max, info.max]]).astype(dtype)
    for found in gradient(swish_sign, x, np.asarray(beta, dtype)):
        assert np.isfinite(found).all()
    (found,) = gradient(lambda x: swish_sign(x, beta), x)
    assert (found[np.abs(x.astype(np.longdouble)) * beta > 800] == 0).all()
    assert np.isnan(gradient(swish_sign, np.array([np.nan], dtype), np.asarray(beta, dtype))[0])


def test_larq_swish_sign_is_the_same_where_it_is_finite():
    x = np.linspace(-2, 2, 401).astype(np.float32)
    ours, larqs = (gradient(f, x)[0] for f in (swish_sign, lq.quantizers.swish_sign))
    np.testing.assert_allclose(ours, larqs, atol=1e-5)
    assert np.isnan(gradient(lq.quantizers.swish_sign, np.float32([3e38]))[0]).all()


def test_gradient_of_beta_is_that_of_the_surrogate(rng):
    x, dy, beta, step = rng.normal(size=50), rng.normal(size=50), 3.0, 1e-6
    _, found = gradient(swish_sign, x, np.float64(beta), upstream=dy)
    difference = (sign_swish(x, beta + step) - sign_swish(x, beta - step)) / (2 * step)
    np.testing.assert_allclose(found, np.sum(dy * difference), rtol=1e-7)


def test_trainable_beta_trains_and_stays_positive(rng):
    quantizer = SwishSign(beta=0.01, trainable_beta=True)
    model = binary_model(input_quantizer=quantizer)
    model.compile(tf.keras.optimizers.SGD(100.0), "mse")
    model.fit(rng.normal(size=(8, 8, 8, 3)), rng.normal(size=(8, 4)), epochs=3, verbose=0)
    assert len(quantizer.trainable_weights) == 1
    assert quantizer.beta_weight.numpy() != np.float32(0.01)
    assert quantizer.beta_weight.numpy() >= np.float32(1e-6)


@pytest.mark.parametrize("shape", [(6, 3), (2, 4, 4, 3)])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("surrogate", ["approx_sign", "swish_sign", "ste_sign"])
def test_rsign(shape, training, surrogate, rng):
    slope = {
        "approx_sign": lambda u: np.maximum(0, 2 - 2 * np.abs(u)),
        "swish_sign": lambda u: sign_swish_slope(u, 5.0),
        "ste_sign": lambda u: (np.abs(u) <= 1).astype(float),
    }[surrogate]
    x, dy, threshold = rng.normal(size=shape), rng.normal(size=shape), rng.normal(size=3)
    forward = rsign(tf.constant(x), tf.constant(threshold), surrogate, training)
    np.testing.assert_array_equal(forward, sign(x - threshold))
    dx, dt = gradient(lambda x, t: rsign(x, t, surrogate, training), x, threshold, upstream=dy)
    expected = dy * slope(x - threshold)
    np.testing.assert_allclose(dx, expected, atol=1e-12)
    np.testing.assert_allclose(dt, -expected.reshape(-1, 3).sum(0), atol=1e-12)


@pytest.mark.parametrize("training", [False, True])
def test_rsign_of_an_input_at_its_threshold_is_one(training):
    assert rsign(tf.constant([[0.5]]), tf.constant([0.5]), training=training).numpy() == 1


@pytest.mark.parametrize("dtype", FLOATS)
def test_react_sign(dtype, rng):
    w, dy = rng.normal(size=(2, 3, 3, 4, 5)).astype(dtype)
    w[0, 0, 0], w[0, 0, 1] = 0, [1, -1, 1.5, -1.5, 0]
    scale = np.abs(w.astype(np.float64)).mean((0, 1, 2))
    rounding = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(react_sign(tf.constant(w)), scale * sign(w), rtol=rounding)
    (found,) = gradient(react_sign, w, upstream=dy)
    np.testing.assert_array_equal(found, np.where(np.abs(w) <= 1, dy, 0))


def test_images_of_many_sizes_are_not_warned_of(rng):
    """TensorFlow warns of functions that it has to trace again and again."""
    said = []
    watch = logging.Handler()
    watch.emit = said.append
    quantizer = RSign()
    tf.get_logger().addHandler(watch)
    try:
        for size in range(1, 10):
            gradient(lambda x: quantizer(x, training=True), tf.ones((1, size, size, 2)))
    finally:
        tf.get_logger().removeHandler(watch)
    assert not said


def test_react_sign_differs_from_larqs_by_the_scale_in_the_gradient(rng):
    w, dy = (rng.normal(size=(3, 3, 4, 5)).astype(np.float32) for _ in range(2))
    larqs = lq.quantizers.MagnitudeAwareSign()
    np.testing.assert_allclose(react_sign(tf.constant(w)), larqs(tf.constant(w)), rtol=1e-6)
    ours, theirs = (gradient(f, w, upstream=dy)[0] for f in (react_sign, larqs))
    scale = np.abs(w).mean((0, 1, 2))
    np.testing.assert_allclose(theirs, scale * ours, rtol=1e-5, atol=1e-7)
    assert not np.allclose(theirs, ours)


@pytest.mark.parametrize("beta", [5.0, 10.0, None])
def test_bnn_plus_sign(beta, rng):
    """With the derivative of SignSwish, and with the straight-through estimator (`None`)."""
    w, dy, alpha = rng.normal(size=(3, 3, 4, 5)), rng.normal(size=(3, 3, 4, 5)), rng.random(5)
    w[0, 0, 0] = -1, 0, 1, np.nextafter(1, 2), -1e300
    forward = bnn_plus_sign(tf.constant(w), tf.constant(alpha), beta)
    np.testing.assert_allclose(forward, alpha * sign(w))
    dw, da = gradient(lambda w, alpha: bnn_plus_sign(w, alpha, beta), w, alpha, upstream=dy)
    slope = abs(w) <= 1 if beta is None else sign_swish_slope(np.clip(w, -50, 50), beta)
    np.testing.assert_allclose(dw, dy * alpha * slope, atol=1e-12)
    np.testing.assert_allclose(da, (dy * sign(w)).sum((0, 1, 2)), atol=1e-12)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("build", ["functional", "subclassed", "eager"])
def test_alpha_starts_at_the_75th_percentile(build, policy, rng):
    tf.keras.mixed_precision.set_global_policy(policy)
    layer = lq.layers.QuantConv2D(
        6, 3, kernel_quantizer=BNNPlusSign(), kernel_constraint="weight_clip"
    )
    images = rng.normal(size=(2, 8, 8, 4)).astype(np.float32)
    if build == "functional":
        inputs = tf.keras.layers.Input((8, 8, 4))
        tf.keras.Model(inputs, layer(inputs))
    elif build == "subclassed":
        tf.function(layer)(tf.constant(images))
    else:
        layer(images)
    magnitude = np.abs(layer.kernel.latent_variable.numpy()).reshape(-1, 6)
    expected = np.percentile(magnitude, 75, axis=0)
    rounded = build == "eager" and policy == "mixed_float16"  # the quantizer sees float16 only
    np.testing.assert_allclose(
        layer.kernel_quantizer.alpha, expected, rtol=1e-3 if rounded else 1e-6
    )


def test_regularizer_of_bnn_plus_sign_uses_its_alpha_once_and_trains_it(rng):
    regularizer = lr.regularizers.R2(0.1)
    model = binary_model(kernel_quantizer=BNNPlusSign(regularizer=regularizer))
    model.compile(tf.keras.optimizers.SGD(0.0), "mse")
    images = rng.normal(size=(4, 8, 8, 3)).astype(np.float32)
    for _ in range(2):
        model(images, training=True)
    layer = model.get_layer("binary")
    w, alpha = layer.kernel.latent_variable, layer.kernel_quantizer.alpha
    expected = np.float32(0.1) * np.sum((alpha.numpy() - np.abs(w.numpy())) ** 2)
    assert len(model.losses) == 1
    np.testing.assert_allclose(model.losses[0], expected, rtol=1e-5)
    zeros = np.zeros((4, 4), np.float32)
    history = model.fit(images, model(images, training=True) + zeros, verbose=0).history
    assert history["loss"][0] == pytest.approx(expected, rel=0.2)  # the rest is the task's

    with tf.GradientTape() as tape:
        model(images, training=True)
        loss = tf.add_n(model.losses)
    dw, da = tape.gradient(loss, [w, alpha])
    distance = alpha.numpy() - np.abs(w.numpy())
    # From the formulas of the penalty itself; the forward pass adds nothing to this loss.
    np.testing.assert_allclose(da, 0.2 * distance.sum((0, 1, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(dw, -0.2 * np.sign(w) * distance, rtol=1e-4, atol=1e-7)


def test_alpha_stays_positive(rng):
    layer = lq.layers.QuantConv2D(3, 1, kernel_quantizer=BNNPlusSign(), use_bias=False)
    images = np.ones((2, 4, 4, 5), np.float32)
    layer(images)
    optimizer = tf.keras.optimizers.SGD(1e3)
    with tf.GradientTape() as tape:
        # Its gradient with respect to every alpha is positive, so that alpha falls.
        loss = tf.reduce_sum(layer(images) * np.sign(tf.reduce_sum(layer(images), (0, 1, 2))))
    alpha = layer.kernel_quantizer.alpha
    optimizer.minimize(loss, [alpha], tape=tape)
    np.testing.assert_array_equal(alpha, np.float32([1e-6] * 3))


def test_bnn_plus_sign_is_for_kernels():
    layer = lq.layers.QuantConv2D(3, 1, input_quantizer=BNNPlusSign())
    with pytest.raises(ValueError, match="BNNPlusSign is a `kernel_quantizer`"):
        layer(tf.keras.layers.Input((8, 8, 4)))


@pytest.fixture(scope="module")
def trained(request):
    """A trained network with a quantizer, the role of the quantizer, and images."""
    role, make = CONFIGURED[request.param]
    model = binary_model(**{f"{role}_quantizer": make()})
    rng = np.random.default_rng(0)
    images = rng.normal(size=(4, 8, 8, 3)).astype(np.float32)
    model.compile("adam", "mse")
    model.fit(images, rng.normal(size=(4, 4)), epochs=2, verbose=0)
    return model, role, images


def assert_round_trip(trained, how, tmp_path):
    """The same outputs and the same quantizer after it. Returns the twin."""
    model, role, images = trained
    twin = reloaded(model, how, tmp_path)
    assert_same_outputs(model, twin, images)
    quantizers = [getattr(m.get_layer("binary"), f"{role}_quantizer") for m in (model, twin)]
    assert type(quantizers[0]) is type(quantizers[1])
    configs = [quantizer.get_config() for quantizer in quantizers]
    assert configs[0] == configs[1]
    return twin


@pytest.mark.parametrize("trained", CONFIGURED, indirect=True)
def test_round_trip(trained, tmp_path):
    assert_round_trip(trained, "h5", tmp_path)


# The formats differ in how they keep what a quantizer has: weights, another quantizer, or a
# regularizer.
@pytest.mark.slow
@pytest.mark.parametrize("how", ["tf", "keras"])
@pytest.mark.parametrize(
    "trained", some(CONFIGURED, "trainable swish", "rsign", "bnn+"), indirect=True
)
def test_round_trip_in_other_formats(trained, how, tmp_path):
    assert_round_trip(trained, how, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("trained", CONFIGURED, indirect=True)
def test_a_twin_of_the_config_trains(trained, tmp_path, rng):
    """The formats are such a twin, with weights from a file."""
    twin = assert_round_trip(trained, "config", tmp_path)
    twin.compile("adam", "mse")
    twin.fit(trained[2], rng.normal(size=(4, 4)), verbose=0)


@pytest.mark.parametrize("alias", ALIASES | OLD_ALIASES)
def test_alias(alias):
    kind = (ALIASES | OLD_ALIASES)[alias]
    assert type(lq.quantizers.get(alias)) is kind
    assert lq.quantizers.get(alias).precision == 1
    config = {"class_name": alias, "config": kind().get_config()}
    assert type(lq.quantizers.get(config)) is kind


@pytest.mark.parametrize("alias", ALIASES)
def test_alias_is_the_name_of_the_class(alias):
    """In snake_case, and the alias of no other class."""
    assert alias.replace("_", "") == ALIASES[alias].__name__.lower()


def test_what_is_registered():
    """Our classes, and aliases of the quantizers alone. Larq's own names stay Larq's."""
    objects = tf.keras.utils.get_custom_objects().items()
    ours = {name: kind for name, kind in objects if kind.__module__.startswith("larq_reactnet.")}
    assert {name: kind for name, kind in ours.items() if name != kind.__name__} == (
        ALIASES | OLD_ALIASES
    )
    larqs = {name for name, kind in objects if kind.__module__.startswith("larq.")}
    aliases = {"approx_sign", "dorefa_quantizer", "magnitude_aware_sign", "ste_heaviside"}
    assert {"SwishSign", "swish_sign", "ste_sign", "ste_tern", "weight_clip", *aliases} <= larqs
    assert type(lq.quantizers.get("swish_sign")) is lq.quantizers.SwishSign
    config = lq.quantizers.serialize(lq.quantizers.SwishSign())
    assert type(lq.quantizers.get(config)) is lq.quantizers.SwishSign


@pytest.mark.parametrize("name", CONFIGURED)
def test_summary_counts_no_multiplications_of_the_quantizer(name, capsys):
    role, make = CONFIGURED[name]
    plain, ours = binary_model(), binary_model(**{f"{role}_quantizer": make()})
    macs = []
    for model in (plain, ours):
        lq.models.summary(model)
        macs.append([row for row in capsys.readouterr().out.split("\n") if "MACs" in row])
    assert macs[0] == macs[1]


@pytest.mark.parametrize("beta", [0, -1.0, np.inf, np.nan])
@pytest.mark.parametrize("quantizer", [SwishSign, BNNPlusSign])
def test_bad_beta(quantizer, beta):
    with pytest.raises(ValueError, match="`beta` must be positive and finite"):
        quantizer(beta)


def test_bad_arguments():
    with pytest.raises(ValueError, match="'tanh'"):
        RSign("tanh")
    with pytest.raises(ValueError, match="number of channels"):
        RSign()(tf.keras.layers.Input((8, 8, None)))
    with pytest.raises(ValueError, match="kernel_regularizer"):
        BNNPlusSign(regularizer="l2")
