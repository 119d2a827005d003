"""What is done to training images, against NumPy and against what defines it."""

import larq_reactnet as lr
from larq_reactnet.zoo.datasets import mixing, recoloring
from larq_reactnet.zoo.datasets.recoloring import OPERATIONS, recolored

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

load = lr.zoo.datasets.load
HEIGHT, WIDTH = 12, 10
EVERYTHING = {
    "augmentation": "crop",
    "flip": True,
    "randaugment": 2,
    "color_jitter": 0.4,
    "lighting": 0.1,
    "mixup": 0.4,
    "cutmix": 1.0,
}


def seeds(number):
    return tf.constant([number, 7], tf.int64)


@pytest.fixture
def pixels(rng):
    return rng.integers(20, 230, (HEIGHT, WIDTH, 3), dtype=np.uint8)


# RandAugment: each operation in NumPy, by its definition.


def sampled(pixels, matrix):
    """The nearest pixel to where an affine matrix says that each one comes from, else black."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    a, b, c, d, e, f = matrix
    x = np.floor(a * columns + b * rows + c).astype(int)
    y = np.floor(d * columns + e * rows + f).astype(int)
    inside = (x >= 0) & (x < WIDTH) & (y >= 0) & (y < HEIGHT)
    return pixels[y.clip(0, HEIGHT - 1), x.clip(0, WIDTH - 1)] * inside[..., None]


def rotated(pixels, degrees):
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    x, y = WIDTH / 2, HEIGHT / 2  # it turns around the center, against the clock
    return sampled(pixels, (cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y))


def grey(pixels):
    return (pixels @ [0.299, 0.587, 0.114])[..., None]


def blended(other, pixels, value):
    return (other + (1.0 + value) * (pixels - other)).clip(0, 255)


def smoothed(pixels):
    """Pillow's filter before it sharpens; the border stays as it is."""
    windows = np.lib.stride_tricks.sliding_window_view(pixels.astype(float), (3, 3), (0, 1))
    kernel = np.ones((3, 3)) + 4 * (np.mgrid[:3, :3] == 1).all(0)
    result = pixels.astype(float)
    result[1:-1, 1:-1] = (windows * kernel).sum((-2, -1)) / 13
    return result


def stretched(pixels):
    least, most = pixels.min((0, 1)), pixels.max((0, 1))
    return (pixels.astype(float) - least) * 255 / (most - least)


def equalized(pixels):
    """The table of Pillow: how many pixels are darker, in steps of equal size."""
    result = np.empty_like(pixels)
    for channel in range(3):
        counts = np.bincount(pixels[..., channel].ravel(), minlength=256)
        step = (counts.sum() - counts[counts.nonzero()[0][-1]]) // 255
        table = (step // 2 + counts.cumsum() - counts) // step if step else np.arange(256)
        result[..., channel] = table.clip(0, 255)[pixels[..., channel]]
    return result


REFERENCE = {
    "identity": lambda pixels, _: pixels,
    "shear_x": lambda pixels, v: sampled(pixels, (1, v, 0, 0, 1, 0)),
    "shear_y": lambda pixels, v: sampled(pixels, (1, 0, 0, v, 1, 0)),
    "translate_x": lambda pixels, v: sampled(pixels, (1, 0, round(v * WIDTH), 0, 1, 0)),
    "translate_y": lambda pixels, v: sampled(pixels, (1, 0, 0, 0, 1, round(v * HEIGHT))),
    "rotate": rotated,
    "brightness": lambda pixels, v: blended(0.0, pixels, v),
    "color": lambda pixels, v: blended(grey(pixels), pixels, v),
    "contrast": lambda pixels, v: blended(grey(pixels).mean(), pixels, v),
    "sharpness": lambda pixels, v: blended(smoothed(pixels), pixels, v),
    "posterize": lambda pixels, v: pixels // 2 ** (8 - round(v)) * 2 ** (8 - round(v)),
    "solarize": lambda pixels, v: np.where(pixels < v, pixels, 255 - pixels),
    "autocontrast": lambda pixels, _: stretched(pixels),
    "equalize": lambda pixels, _: equalized(pixels),
}


def values_of(name, magnitude):
    _, least, most, is_signed = OPERATIONS[name]
    value = least + (most - least) * magnitude / 30
    return (value, -value) if is_signed else (value,)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(name, rng):
    pixels = rng.integers(20, 230, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    if name == "equalize":  # which does nothing to images of less than 255 pixels
        pixels = rng.integers(20, 230, (30, 30, 3), dtype=np.uint8)
    for value in (*values_of(name, 9), *values_of(name, 30)):
        found = np.asarray(OPERATIONS[name][0](Image.fromarray(pixels), value), float)
        # Pillow rounds down in some of its steps; contrast and color round the grey first.
        np.testing.assert_allclose(found, REFERENCE[name](pixels, value), atol=2)
        assert name == "identity" or not np.array_equal(found, pixels)


def test_operations_are_chosen_at_random(pixels):
    """All of them with both signs, each as often as the others; two follow one another."""
    variants = {
        (name, value < 0): np.asarray(OPERATIONS[name][0](Image.fromarray(pixels), value)).tobytes()
        for name in OPERATIONS
        for value in values_of(name, 20)
    }
    names = {content: variant for variant, content in variants.items()}
    image = tf.constant(pixels, tf.float32)
    counts = dict.fromkeys(OPERATIONS, 0)
    signs = set()
    for number in range(700):
        found = recolored(image, seeds(number), 1, 20, 0.0).numpy().astype(np.uint8)
        name, is_negative = names[found.tobytes()]
        counts["identity" if name == "equalize" else name] += 1  # the image is a small one
        signs.add((name, is_negative))
    assert signs == set(names.values())
    assert counts.pop("identity") > counts.pop("equalize") == 0
    assert 25 < min(counts.values()) < max(counts.values()) < 85  # 50 are expected
    twice = {
        recolored(image, seeds(n), 2, 20, 0.0).numpy().astype(np.uint8).tobytes() for n in (1, 2, 3)
    }
    assert not twice <= set(variants.values())


# Colors.


def test_jitter(pixels):
    image, orders = tf.constant(pixels, tf.float32), set()
    for number in range(8):
        random = np.random.default_rng([number, 7])
        expected = pixels.astype(float)
        random.integers(len(OPERATIONS), size=0)
        order = tuple(random.permutation(recoloring.JITTERED))
        for name in order:
            factor = random.uniform(0.6, 1.4)
            expected = np.round(REFERENCE[name](expected, factor - 1))
        found = recolored(image, seeds(number), 0, 9, 0.4)
        np.testing.assert_allclose(found, expected, atol=4)  # of three roundings
        orders.add(order)
    assert len(orders) > 2


def test_jitter_of_a_grey_image_is_its_brightness():
    image = tf.fill((2, 2, 3), 100.0)
    factors = [recolored(image, seeds(n), 0, 9, 0.4).numpy() / 100 for n in range(100)]
    assert np.ptp(factors, axis=(1, 2, 3)).max() == 0
    assert 0.59 < np.min(factors) < 0.65
    assert 1.35 < np.max(factors) < 1.41
    # A factor is never negative: of those between -2 and 4, a third would make the image black.
    assert sum(recolored(image, seeds(n), 0, 9, 3.0).numpy().max() == 0 for n in range(60)) < 3


def test_lighting(rng):
    """One color is added, along the principal components and as strongly as they vary."""
    image = rng.uniform(100, 150, (4, 5, 3)).astype(np.float32)
    components, deviations = np.array(recoloring.COMPONENTS), np.array(recoloring.DEVIATIONS)
    np.testing.assert_allclose(components.T @ components, np.eye(3), atol=2e-3)
    added = []
    for number in range(50):
        found = recoloring.lighting(tf.constant(image), seeds(number), 0.1) - image
        np.testing.assert_allclose(found, np.broadcast_to(found[0, 0], found.shape), atol=1e-4)
        strengths = tf.random.stateless_normal((3,), seeds(number)).numpy() * 0.1
        expected = 255 * sum(strengths[k] * deviations[k] * components[:, k] for k in range(3))
        np.testing.assert_allclose(found[0, 0], expected, atol=1e-3)
        added.append(found[0, 0])
    assert 3 < np.std(added) < 4.5  # 255 * 0.1 * 0.2175 / sqrt(3) = 3.2 is that of the first one
    bright = recoloring.lighting(tf.fill((2, 2, 3), 254.0), seeds(0), 5.0)
    assert 0 <= np.min(bright) < np.max(bright) <= 255 or np.ptp(bright) == 0


# Mixing.


def marked(count, size=8):
    """A batch in which every pixel of an image is the number of the image, and its label too."""
    numbers = tf.range(count, dtype=tf.float32)
    return tf.tile(numbers[:, None, None, None], (1, size, size, 3)), tf.one_hot(
        tf.range(count), count
    )


def test_mixup():
    images, labels = marked(5)
    shares = []
    for number in range(200):
        mixed, targets = mixing.mixed(images, labels, seeds(number), 0.4, 0.0)
        assert np.ptp(mixed, axis=(1, 2, 3)).max() == 0
        # The mean of the numbers in the label is the number that the pixels have.
        np.testing.assert_allclose(targets @ tf.range(5.0)[:, None], mixed[:, 0, 0, :1], atol=1e-5)
        np.testing.assert_allclose(tf.reduce_sum(targets, -1), 1, atol=1e-6)
        assert float(targets[2, 2]) == pytest.approx(1)  # the one in the middle is its own partner
        share = float(targets[0, 0])
        np.testing.assert_allclose(targets[0], [share, 0, 0, 0, 1 - share], atol=1e-6)
        shares.append(share)
    # Beta(a, a) has a mean of 1/2 and a variance of 1 / (4 (2a + 1)).
    assert np.mean(shares) == pytest.approx(0.5, abs=0.08)
    assert np.var(shares) == pytest.approx(1 / (4 * 1.8), rel=0.2)


def test_cutmix():
    """A rectangle comes from the partner; the label has just the share of its pixels."""
    images, labels = marked(4, size=32)
    shares = []
    for number in range(200):
        mixed, targets = mixing.mixed(images, labels, seeds(number), 0.0, 1.0)
        foreign = mixed[0, ..., 0].numpy() == 3
        assert set(np.unique(mixed[0])) <= {0, 3}
        rows, columns = foreign.any(1), foreign.any(0)
        np.testing.assert_array_equal(foreign, np.outer(rows, columns))
        for line in (rows, columns):  # without gaps
            assert np.abs(np.diff(line.astype(int))).sum() <= 2
        np.testing.assert_allclose(targets[0], [1 - foreign.mean(), 0, 0, foreign.mean()])
        np.testing.assert_array_equal(mixed[1, ..., 0] == 2, foreign)  # in all images
        shares.append(foreign.mean())
    assert min(shares) < 0.01
    assert max(shares) > 0.5
    # With sides of r, r - r^2 / 4 of an axis is inside of the image, on average over all centers.
    # For a uniform 1 - lambda = r^2, the mean of its square is 1/2 - 1/5 + 1/48.
    assert np.mean(shares) == pytest.approx(0.321, abs=0.05)


def test_cutmix_keeps_its_area_inside():
    images, labels = marked(2, size=10)
    mixed, targets = mixing.cutmix(images, labels, tf.constant(0.64), tf.constant((0.5, 0.5)))
    wanted = np.zeros((10, 10))
    wanted[2:8, 2:8] = 1  # sides of sqrt(1 - 0.64) = 0.6
    np.testing.assert_array_equal(mixed[0, ..., 0], wanted)
    np.testing.assert_allclose(targets, [[0.64, 0.36], [0.36, 0.64]], atol=1e-6)
    mixed, targets = mixing.cutmix(images, labels, tf.constant(0.64), tf.constant((0.0, 0.0)))
    assert mixed[0, ..., 0].numpy().sum() == 9  # a quarter of it is inside
    np.testing.assert_allclose(targets[0], [0.91, 0.09], atol=1e-6)


def test_both_are_chosen_equally_often():
    images, labels = marked(2)
    cut = 0
    for number in range(100):
        mixed, _ = mixing.mixed(images, labels, seeds(number), 1.0, 1.0)
        cut += set(np.unique(mixed)) <= {0.0, 1.0}
    assert 35 < cut < 65


def test_a_tiny_alpha_has_no_nan():
    shares = [float(mixing.beta(1e-4, seeds(number))) for number in range(50)]
    assert np.isfinite(shares).all()


# In a pipeline.


def batches(data, first, count):
    return [(x.numpy(), y.numpy()) for x, y in data.train_from(first).take(count)]


@pytest.mark.slow
def test_everything_at_once_is_the_same_for_a_seed_and_after_a_resume():
    arguments = {"image_size": 12, "batch_size": 100, "holdout": 1200, "seed": 5, **EVERYTHING}
    data = load("digits", **arguments)
    whole = batches(data, 0, 2 * data.steps_per_epoch)
    tail = batches(load("digits", **arguments), 1, data.steps_per_epoch)
    for (x, y), (u, v) in zip(whole[data.steps_per_epoch :], tail, strict=True):
        np.testing.assert_array_equal(x, u)
        np.testing.assert_array_equal(y, v)
        assert x.dtype == y.dtype == np.float32
        assert y.shape == (len(x), 10)
        np.testing.assert_allclose(y.sum(1), 1, atol=1e-5)
        assert np.abs(x).max() <= 1
    assert not np.array_equal(whole[0][0], tail[0][0])
    other = batches(load("digits", **arguments | {"seed": 6}), 0, 1)
    assert not np.array_equal(other[0][0], whole[0][0])
    assert data.test_arrays(3)[1].tolist() == [0, 0, 0]  # class numbers


@pytest.mark.parametrize("name", ["randaugment", "color_jitter", "lighting", "mixup", "cutmix"])
def test_each_changes_the_images(name):
    """Alone, and not the test images."""
    arguments = {"image_size": 8, "batch_size": 64, "augmentation": None}
    plain, changed = load("digits", **arguments), load("digits", **arguments, **{name: 1})
    before, after = (next(iter(data.train_from(0)))[0].numpy() for data in (plain, changed))
    assert (before != after).any((1, 2, 3)).mean() > 0.3
    np.testing.assert_array_equal(plain.test_arrays(9)[0], changed.test_arrays(9)[0])


def test_flip():
    arguments = {"image_size": 8, "batch_size": 200, "augmentation": None}
    plain, flipped = (
        next(iter(load("digits", **arguments, flip=f).train))[0] for f in (None, True)
    )
    same = (plain.numpy() == flipped.numpy()).all((1, 2, 3))
    mirrored = (plain.numpy()[:, :, ::-1] == flipped.numpy()).all((1, 2, 3))
    assert (same | mirrored).all()
    assert 0.35 < same.mean() < 0.65


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mixup", -1),
        ("cutmix", float("inf")),
        ("lighting", float("nan")),
        ("color_jitter", -0.1),
        ("randaugment", 1.5),
        ("randaugment", -1),
        ("randaugment_magnitude", 31),
    ],
)
def test_refusals(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        load("digits", **{name: value})
