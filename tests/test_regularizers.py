"""BNN+'s regularizers against NumPy and finite differences, and their schedule."""

import larq_reactnet as lr
from larq_reactnet.callbacks import RegularizerSchedule
from larq_reactnet.regularizers import R1, R2

import numpy as np
import pytest
import tensorflow as tf
from helpers import assert_same_outputs, binary_model, gradient, reloaded

PENALTIES = {R1: np.abs, R2: np.square}


def value(kind, w, alpha, strength):
    return strength * PENALTIES[kind](alpha - np.abs(w)).sum()


@pytest.mark.parametrize("kind", PENALTIES)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_value_and_gradient(kind, dtype, rng):
    w = rng.normal(size=(3, 3, 4, 5))
    w = w[np.abs(w) > 0.01].astype(dtype)  # away from the kink at 0
    regularizer = kind(0.5, alpha=0.7)
    exact = w.astype(np.float64)
    rounding = 200 * np.finfo(dtype).eps
    found = regularizer(tf.constant(w))
    assert found.dtype == max(dtype(0), np.float32(0), key=lambda x: x.itemsize).dtype
    np.testing.assert_allclose(found, value(kind, exact, 0.7, 0.5), rtol=rounding)
    if dtype == np.float64:
        (dw,) = gradient(regularizer, w)
        step = 1e-7
        for i in range(0, len(w), 7):
            shift = np.eye(len(w))[i] * step
            up, down = (value(kind, w + s, 0.7, 0.5) for s in (shift, -shift))
            assert dw[i] == pytest.approx((up - down) / (2 * step), abs=1e-6)


@pytest.mark.parametrize("kind", PENALTIES)
def test_gradient_of_alpha(kind, rng):
    w, alpha, step = rng.normal(size=(3, 3, 4, 5)), 0.5 + rng.random(5), 1e-7
    regularizer = kind(0.3)
    _, found = gradient(lambda w, alpha: regularizer(w, alpha=alpha), w, alpha)
    for o, shift in enumerate(np.eye(5) * step):
        up, down = (value(kind, w, alpha + s, np.float32(0.3)) for s in (shift, -shift))
        assert found[o] == pytest.approx((up - down) / (2 * step), abs=1e-5)


@pytest.mark.parametrize("kind", PENALTIES)
@pytest.mark.parametrize("shape", [(), (5,), (4, 5), (1, 5)])
def test_loops_give_what_operations_give(kind, shape, rng):
    """One loop where there is one alpha, or one for each filter; else the operations themselves."""

    def by_operations(w, alpha):
        return np.float32(0.3) * tf.reduce_sum(regularizer.penalty(alpha - tf.abs(w)))

    regularizer = kind(0.3)
    w, alpha = rng.normal(size=(3, 3, 4, 5)), np.asarray(0.5 + rng.random(shape))
    in_graph = tf.function(lambda w, alpha: regularizer(w, alpha=alpha))
    for found, expected in zip(
        gradient(in_graph, w, alpha), gradient(by_operations, w, alpha), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", PENALTIES)
def test_external_alpha(kind, rng):
    w, alpha = rng.normal(size=(3, 3, 4, 5)), 0.5 + rng.random(5)
    variable = tf.Variable(alpha)
    expected = value(kind, w, alpha, 1.0)
    for given in (alpha, variable, lambda: variable):
        assert kind(1.0, alpha=given)(tf.constant(w)).numpy() == pytest.approx(expected)
    regularizer = kind(1.0, alpha=variable)
    variable.assign(2 * alpha)
    assert regularizer(tf.constant(w)).numpy() == pytest.approx(value(kind, w, 2 * alpha, 1.0))
    np.testing.assert_allclose(regularizer.get_config()["alpha"], 2 * alpha)


@pytest.mark.parametrize("kind", PENALTIES)
def test_as_kernel_regularizer_it_sees_latent_weights_once_a_step(kind, rng):
    model = binary_model(kernel_regularizer=kind(0.01, alpha=0.2))
    images = rng.normal(size=(4, 8, 8, 3)).astype(np.float32)
    for _ in range(2):
        model(images, training=True)
    latent = model.get_layer("binary").kernel.latent_variable.numpy()
    assert len(model.losses) == 1
    np.testing.assert_allclose(model.losses[0], value(kind, latent, 0.2, 0.01), rtol=1e-5)


def test_schedule_changes_the_strength_without_retracing(rng):
    plain = R1(0.01, alpha=0.2)
    trained = R2(0.02)
    model = binary_model(
        kernel_quantizer=lr.quantizers.BNNPlusSign(regularizer=trained), kernel_regularizer=plain
    )
    traces, losses = [], []

    def loss(y_true, y_pred):
        traces.append(1)
        return tf.reduce_mean(0 * y_pred)

    model.compile(tf.keras.optimizers.SGD(0.0), loss)
    images, labels = rng.normal(size=(8, 8, 8, 3)), rng.normal(size=(8, 4))
    record = tf.keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: losses.append((logs["loss"], len(traces)))
    )
    schedule = RegularizerSchedule(lambda epoch: [0.0, 0.5, 1.0, 1.0][epoch])
    model.fit(images, labels, epochs=4, verbose=0, callbacks=[schedule, record])
    losses, traced = zip(*losses, strict=True)
    assert len(set(traced)) == 1  # all tracing was done in the first epoch
    model(images, training=True)  # after `fit`, `losses` holds tensors of its graph
    assert losses[0] == 0
    assert losses[1] == pytest.approx(0.5 * losses[2])
    assert losses[2] == losses[3] == pytest.approx(float(tf.add_n(model.losses)))
    assert plain.strength.numpy() == np.float32(0.01)


def test_schedule_refuses_nonsense(rng):
    images, labels = rng.normal(size=(8, 8, 8, 3)), rng.normal(size=(8, 4))
    model = binary_model()
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match="no R1 or R2"):
        model.fit(images, labels, callbacks=[RegularizerSchedule(lambda epoch: 1.0)])
    model = binary_model(kernel_regularizer=R1(0.1))
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"gave -1\.0 for epoch 0"):
        model.fit(images, labels, callbacks=[RegularizerSchedule(lambda epoch: -1)])


def test_strength_is_no_weight_of_the_layer():
    names = [weight.name for weight in binary_model(kernel_regularizer=R1(0.1)).weights]
    assert not [name for name in names if "strength" in name]


@pytest.mark.parametrize("how", ["h5", "tf", "keras", "config"])
@pytest.mark.parametrize("kind", PENALTIES)
def test_round_trip(kind, how, tmp_path, rng):
    alpha = np.linspace(0.1, 0.8, 8)
    model = binary_model(kernel_regularizer=kind(0.25, alpha=alpha))
    twin = reloaded(model, how, tmp_path)
    images = rng.normal(size=(2, 8, 8, 3)).astype(np.float32)
    assert_same_outputs(model, twin, images)
    np.testing.assert_allclose(twin.losses[0], model.losses[0], rtol=1e-6)


def test_bad_arguments():
    for strength in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="`strength`"):
            R1(strength)
    for alpha in (0, -0.5, np.array([1.0, -1.0]), np.nan):
        with pytest.raises(ValueError, match="`alpha`"):
            R2(1.0, alpha=alpha)
