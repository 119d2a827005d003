"""The distributional loss against NumPy and finite differences, and losses of soft labels."""

import larq_reactnet as lr
from larq_reactnet.losses import (
    DistributionLoss,
    SoftCategoricalCrossentropy,
    distribution_loss,
)
from larq_reactnet.metrics import SoftCategoricalAccuracy

import numpy as np
import pytest
import tensorflow as tf
from helpers import binary_model, gradient


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


# Labels of both kinds.


def soft(labels, outputs, smoothing):
    """The formula, in float64, of probabilities."""
    targets = (1 - smoothing) * labels + smoothing / labels.shape[-1]
    return -(targets * np.log(outputs.astype(np.float64))).sum(-1)


@pytest.fixture
def outputs(rng):
    return rng.dirichlet(np.ones(5), 6).astype(np.float32)


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_labels_of_both_kinds(smoothing, from_logits, outputs, rng):
    loss = SoftCategoricalCrossentropy(from_logits, smoothing, reduction="none")
    given = np.log(outputs) + 3 if from_logits else outputs
    numbers, shares = rng.integers(0, 5, 6), rng.dirichlet(np.ones(5), 6)
    expected = soft(np.eye(5)[numbers], outputs, smoothing)
    for labels in (numbers, numbers[:, None], np.eye(5)[numbers], numbers.astype(np.float32)):
        np.testing.assert_allclose(loss(labels, given), expected, rtol=1e-4)
    np.testing.assert_allclose(loss(shares, given), soft(shares, outputs, smoothing), rtol=1e-4)
    if not smoothing:
        sparse = tf.keras.losses.SparseCategoricalCrossentropy(from_logits, reduction="none")
        np.testing.assert_allclose(loss(numbers, given), sparse(numbers, given), rtol=1e-5)


def test_class_numbers_that_are_not_there(outputs):
    loss = SoftCategoricalCrossentropy()
    for wrong in (5, -1):
        with pytest.raises(tf.errors.InvalidArgumentError, match="class numbers from 0 to 4"):
            loss(np.array([0, 1, 2, 3, 4, wrong]), outputs)
        with pytest.raises(tf.errors.InvalidArgumentError, match="class numbers from 0 to 4"):
            tf.function(loss)(np.array([0, 1, 2, 3, 4, wrong]), outputs)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_bad_smoothing(smoothing):
    with pytest.raises(ValueError, match="`label_smoothing` must be at least 0 and below 1"):
        SoftCategoricalCrossentropy(label_smoothing=smoothing)


def test_accuracy_of_both_kinds(outputs):
    """Keras's own counts one kind only, that of the first labels."""
    answers = outputs.argmax(-1)
    numbers = np.where(np.arange(6) < 4, answers, (answers + 1) % 5)
    metric = SoftCategoricalAccuracy()
    assert metric.name == "accuracy"
    for labels in (np.eye(5)[numbers] * 0.7, numbers, numbers[:, None]):
        metric.reset_state()
        metric.update_state(labels, outputs)
        assert float(metric.result()) == pytest.approx(4 / 6)


def test_mixed_labels_in_training_and_numbers_in_tests(rng, tmp_path):
    """One model learns from both, and is loaded again with its loss and its metric."""
    model = binary_model()
    model.add(tf.keras.layers.Softmax())
    model.compile("sgd", SoftCategoricalCrossentropy(), metrics=[SoftCategoricalAccuracy()])
    images, numbers = rng.normal(size=(8, 8, 8, 3)).astype(np.float32), rng.integers(0, 4, 8)
    shares = rng.dirichlet(np.ones(4), 8).astype(np.float32)
    history = model.fit(images, shares, validation_data=(images, numbers), verbose=0).history
    assert history.keys() == {"loss", "accuracy", "val_loss", "val_accuracy"}
    probabilities = model.predict(images, verbose=0)
    assert history["val_accuracy"] == [np.mean(probabilities.argmax(-1) == numbers)]
    wanted = soft(np.eye(4)[numbers], probabilities, 0.0).mean()
    assert history["val_loss"] == [pytest.approx(wanted, rel=1e-4)]
    model.save(str(tmp_path / "model.h5"))
    twin = tf.keras.models.load_model(str(tmp_path / "model.h5"))
    assert twin.evaluate(images, numbers, verbose=0) == model.evaluate(images, numbers, verbose=0)
