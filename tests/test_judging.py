"""How outputs are compared, against NumPy and SciPy; and that rounding stays below its bound."""

import larq_reactnet as lr  # noqa: F401
from larq_reactnet._graph.calls import rebuild
from larq_reactnet.converters.judging import (
    compare,
    is_close,
    is_more_than_chance,
    relative_errors,
    rounding_of,
)
from larq_reactnet.converters.tasks import Output, logits_of

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from faulty_models import binary_conv, model_of, noise, randomized

layers = tf.keras.layers


@pytest.mark.parametrize("total", [1, 8, 50, 1000])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.5, 1.0])
def test_chance_is_that_of_the_binomial_distribution(total, share):
    for count in {0, 1, 2, 3, 4, 5, 18, 19, total // 2, total} & {*range(total + 1)}:
        expected = scipy.stats.binom.sf(count - 1, total, share) < 0.01
        assert is_more_than_chance(count, total, share) == (expected and count > 0), count


def test_a_few_of_few_are_chance():
    assert not is_more_than_chance(3, 50, 0.01)
    assert is_more_than_chance(4, 50, 0.01)
    assert not is_more_than_chance(18, 1000, 0.01)
    assert is_more_than_chance(19, 1000, 0.01)


def test_answers_count_where_the_margin_exceeds_what_rounding_explains():
    expected = np.array([[1.0, 0.0], [1.0, 0.99], [1.0, 0.99], [1.0, 0.0]])
    found = np.array([[1.0, 0.0], [1.0, 0.999], [0.99, 1.0], [0.0, 1.0]])
    agreement = compare(found, expected, rounding=0.0)
    assert agreement.images == 4
    assert agreement.same_class == 0.5
    assert (agreement.decided, agreement.other_class) == (4, 2)
    assert agreement.flipped == 3
    assert agreement.max_distance == agreement.largest_change == 1.0
    assert agreement.mean_distance == pytest.approx((0.009 + 0.02 + 2) / 8)

    agreement = compare(found, expected, rounding=0.011)
    assert (agreement.decided, agreement.other_class) == (3, 1)  # the third is a near tie
    assert agreement.flipped == 1

    stored = np.array([0.0, 0.0, 0.0, 0.5])
    agreement = compare(found, expected, rounding=0.011, stored=stored)
    assert agreement.other_class == 0  # a margin of 1.0, and each logit may be 0.511 off


def test_maps_of_classes_are_compared_position_by_position():
    expected = np.zeros((2, 3, 3, 4))
    expected[..., 1] = 1
    found = expected.copy()
    found[0, 0, 0] = [2, 1, 0, 0]
    agreement = compare(found, expected, rounding=1e-6)
    assert (agreement.decided, agreement.other_class, agreement.flipped) == (18, 1, 1)
    assert agreement.same_class == 17 / 18


SIGMOID = Output("score", by_class=True, by_numbers=True, activation="sigmoid")
NUMBERS = Output("numbers", by_class=False, by_numbers=True)


def test_one_probability_is_a_class_and_a_number():
    expected = np.array([[0.1], [0.9], [0.500001], [0.6]])
    found = np.array([[0.1], [0.9], [0.499999], [0.4]])
    agreement = compare(found, expected, output=SIGMOID, rounding=1e-4)
    assert agreement.same_class == 0.5
    assert (agreement.decided, agreement.other_class) == (3, 1)  # the third is a near tie
    assert agreement.error_of_numbers == pytest.approx(0.1 / expected.std(), rel=1e-4)
    assert agreement.largest_change == pytest.approx(0.2)
    close = compare(expected + 1e-3, expected, output=SIGMOID, rounding=1e-4)
    assert is_close(close, 0.99)


def test_a_probability_near_one_is_not_taken_for_another():
    """Where float32 has few numbers left, rounding moves the logit by far more than the output."""
    expected = np.array([[1 - 1e-7], [0.2], [1e-9]])
    agreement = compare(expected + 6e-8, expected, output=SIGMOID, rounding=1e-5)
    assert agreement.flipped == 0
    assert agreement.error_of_numbers == 0


def test_one_number_has_no_class():
    expected = np.array([[0.0], [1.0], [2.0]])
    found = expected + np.array([[0.0], [0.008], [0.1]])  # of a standard deviation of 0.816
    agreement = compare(found, expected, output=NUMBERS, rounding=1e-6)
    assert agreement.same_class is None
    assert (agreement.decided, agreement.other_class) == (0, 0)
    error = ((0.008**2 + 0.1**2) / 3) ** 0.5 / expected.std()
    assert agreement.error_of_numbers == agreement.relative_error == pytest.approx(error)
    assert is_close(agreement, 0.99)
    assert is_close(agreement, 1 - error**2)
    assert not is_close(agreement, 1 - error**2 * 0.99)
    assert not is_close(compare(expected * np.nan, expected, output=NUMBERS, rounding=1e-6), 0.0)


def test_each_number_is_judged_by_itself():
    """A score beside a number of pixels, which is always the larger."""
    rng = np.random.default_rng(0)
    score, pixels = rng.uniform(size=(100, 1)), 100 + 50 * rng.uniform(size=(100, 1))
    expected = np.concatenate([score, pixels], 1)
    found = np.concatenate([rng.permutation(score), pixels], 1)
    as_classes = compare(found, expected, rounding=1e-5)
    assert as_classes.same_class == 1
    agreement = compare(found, expected, output=NUMBERS, rounding=1e-5)
    assert agreement.errors[0] > 0.5
    assert agreement.errors[1] == 0
    assert agreement.flipped > 90
    assert not is_close(agreement, 0.99)


def test_what_rounding_explains_is_not_an_error():
    """A number that hardly varies: its rounding is as large as what it varies by."""
    rng = np.random.default_rng(0)
    expected = 1 + 1e-5 * rng.normal(size=(50, 3))
    found = expected + 1e-5 * rng.normal(size=(50, 3))
    agreement = compare(found, expected, output=NUMBERS, rounding=1e-4)
    assert agreement.relative_error > 0.5
    assert agreement.error_of_numbers == 0
    assert is_close(agreement, 1.0)
    assert not is_close(compare(found, expected, output=NUMBERS, rounding=1e-6), 0.99)


def test_storage_excuses_classes_and_not_numbers():
    expected, found = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.4, 0.5], [0.0, 1.0]])
    moved = np.abs(found - expected)
    assert compare(found, expected, rounding=1e-6, stored=moved).other_class == 0
    agreement = compare(found, expected, output=NUMBERS, rounding=1e-6, stored=moved)
    assert agreement.flipped == 0
    assert not is_close(agreement, 0.5)


def test_relative_errors():
    expected = np.array([[0.0, 100.0], [1.0, 300.0]])
    np.testing.assert_allclose(relative_errors(expected + 0.1, expected), [0.2, 0.001])
    found = relative_errors(expected + np.array([0.0, 10.0]), expected)
    np.testing.assert_allclose(found, [0, 0.1])
    one = np.array([[2.0, 4.0]])  # which has no spread
    np.testing.assert_allclose(relative_errors(one + 0.2, one), [0.1, 0.05])
    assert relative_errors(np.zeros((2, 1)) + 1e-3, np.zeros((2, 1))) == np.inf
    assert np.isnan(relative_errors(np.full((2, 1), np.nan), np.zeros((2, 1))))


def test_logits_are_those_of_the_softmax(rng):
    logits = rng.normal(size=(5, 7)) * 5
    found = logits_of(scipy.special.softmax(logits, axis=-1))
    np.testing.assert_allclose(found, logits - logits.mean(-1, keepdims=True), atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_rounding_stays_below_its_bound(seed):
    """The same network in float32 and in float64, where no sign can tell the two apart."""
    rng = np.random.default_rng(seed)
    model = randomized(
        model_of(
            layers.Conv2D(64, 3, padding="same"),
            layers.BatchNormalization(),
            layers.PReLU(shared_axes=[1, 2]),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(256, activation="relu"),
            layers.Dense(10),
        ),
        rng,
    )
    images = noise(model, rng, 16)
    exact = rebuild(model, dtype="float64")(images.astype(np.float64)).numpy()
    error = np.abs(model(images).numpy() - exact).max() / np.abs(exact).max()
    assert 0 < error < rounding_of(model) / 8  # and not far below it
    assert rounding_of(model) < 1e-3


def test_binary_convolutions_round_nothing():
    """They count: only the multiplication after the count is rounded."""
    real, binary = (
        model_of(conv, layers.GlobalAveragePooling2D(), shape=(8, 8, 64))
        for conv in (layers.Conv2D(64, 3), binary_conv(64))
    )
    bound = 8 * 16 * 2.0**-24
    assert rounding_of(binary) == pytest.approx(bound * 2**0.5)
    assert rounding_of(real) == pytest.approx(bound * (9 * 64 + 1) ** 0.5)
