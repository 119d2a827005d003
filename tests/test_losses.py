"""The distributional loss against NumPy and finite differences."""

import larq_reactnet as lr
from larq_reactnet.losses import DistributionLoss, distribution_loss

import numpy as np
import pytest
import tensorflow as tf
from helpers import gradient


def expected_loss(teacher, student, temperature):
    """The formula, in float64."""

    def log_softmax(x):
        x = np.asarray(x, np.float64) / temperature
        x = x - x.max(-1, keepdims=True)
        return x - np.log(np.exp(x).sum(-1, keepdims=True))

    return -(temperature**2) * (np.exp(log_softmax(teacher)) * log_softmax(student)).sum(-1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.float16, 2e-2), (np.float32, 1e-5), (np.float64, 1e-12)]
)
def test_value(dtype, tolerance, temperature, rng):
    teacher, student = rng.normal(size=(2, 6, 10)).astype(dtype)
    found = distribution_loss(tf.constant(teacher), tf.constant(student), temperature)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected_loss(teacher, student, temperature), rtol=tolerance)
    mean = DistributionLoss(temperature)(teacher, student)
    np.testing.assert_allclose(mean, np.mean(found, dtype=np.float64), rtol=tolerance)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_gradient(temperature, rng):
    teacher, student = rng.normal(size=(2, 1, 5))
    (found,) = gradient(lambda s: distribution_loss(teacher, s, temperature), student)
    for i, shift in enumerate(np.eye(5) * 1e-6):
        up, down = (expected_loss(teacher, student + s, temperature)[0] for s in (shift, -shift))
        assert found[0, i] == pytest.approx((up - down) / 2e-6, abs=1e-8)


def test_huge_logits_do_not_overflow():
    teacher, student = np.float32([[3e4, -3e4]]), np.float32([[-3e4, 3e4]])
    assert distribution_loss(tf.constant(teacher), tf.constant(student)).numpy() == 6e4
    assert distribution_loss(tf.constant(teacher), tf.constant(teacher)).numpy() == 0
    assert np.isnan(distribution_loss(tf.constant(teacher), tf.constant(student * np.nan)))


def test_round_trip():
    twin = tf.keras.losses.deserialize(tf.keras.losses.serialize(DistributionLoss(3.0)))
    assert isinstance(twin, DistributionLoss)
    assert twin.temperature == 3.0


@pytest.mark.parametrize("temperature", [0, -1.0, np.nan, np.inf])
def test_bad_temperature(temperature):
    with pytest.raises(ValueError, match="`temperature`"):
        lr.losses.DistributionLoss(temperature)
