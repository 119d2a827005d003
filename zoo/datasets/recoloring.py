r"""Random changes of the colors of training images: RandAugment, jitter and PCA noise.

RandAugment, which also moves the image, and the jitter are Pillow's operations, as in PyTorch's
`torchvision`. They are called like those of `pixels.py`, from `tf.numpy_function`, with a NumPy
generator that is made of the seeds of the image.

References:
    - [RandAugment: Practical Automated Data Augmentation with a Reduced Search
        Space](https://arxiv.org/abs/1909.13719)
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

__all__ = ["JITTERED", "MAX_MAGNITUDE", "OPERATIONS", "lighting", "recolored"]

Operation: TypeAlias = Callable[[Image.Image, float], Image.Image]
MAX_MAGNITUDE = 30
# The principal components of the colors of ImageNet's pixels, 0 to 1, and their deviations. They
# are those of the official code of ReActNet, and of fb.resnet.torch before it.
DEVIATIONS = (0.2175, 0.0188, 0.0045)
COMPONENTS = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)


def _moved(image: Image.Image, *matrix: float) -> Image.Image:
    """What an affine transformation makes of an image. Pixels from outside of it are black."""
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)


# What RandAugment chooses from: a function of an image and a value, the value at the magnitudes 0
# and 30, and whether its sign is random. The values are torchvision's.
OPERATIONS: dict[str, tuple[Operation, float, float, bool]] = {
    "identity": (lambda image, _: image, 0, 0, False),
    "shear_x": (lambda image, v: _moved(image, 1, v, 0, 0, 1, 0), 0, 0.3, True),
    "shear_y": (lambda image, v: _moved(image, 1, 0, 0, v, 1, 0), 0, 0.3, True),
    "translate_x": (
        lambda image, v: _moved(image, 1, 0, round(v * image.width), 0, 1, 0),
        0,
        150 / 331,
        True,
    ),
    "translate_y": (
        lambda image, v: _moved(image, 1, 0, 0, 0, 1, round(v * image.height)),
        0,
        150 / 331,
        True,
    ),
    "rotate": (lambda image, v: image.rotate(v), 0, 30, True),
    "brightness": (lambda image, v: ImageEnhance.Brightness(image).enhance(1 + v), 0, 0.9, True),
    "color": (lambda image, v: ImageEnhance.Color(image).enhance(1 + v), 0, 0.9, True),
    "contrast": (lambda image, v: ImageEnhance.Contrast(image).enhance(1 + v), 0, 0.9, True),
    "sharpness": (lambda image, v: ImageEnhance.Sharpness(image).enhance(1 + v), 0, 0.9, True),
    "posterize": (lambda image, v: ImageOps.posterize(image, round(v)), 8, 4, False),
    "solarize": (lambda image, v: ImageOps.solarize(image, math.ceil(v)), 255, 0, False),
    "autocontrast": (lambda image, _: ImageOps.autocontrast(image), 0, 0, False),
    "equalize": (lambda image, _: ImageOps.equalize(image), 0, 0, False),
}
# What the jitter changes, in a random order, as torchvision's `ColorJitter`.
JITTERED = ("brightness", "contrast", "color")


def recolored(
    image: tf.Tensor, seeds: tf.Tensor, operations: int, magnitude: int, jitter: float
) -> tf.Tensor:
    """An image after RandAugment and after the jitter of its colors, of float32.

    Args:
        image: Pixels from 0 to 255: `(height, width, 3)`. They are rounded.
        seeds: Two integers, which decide all that is random.
        operations: How many operations of RandAugment follow one another.
        magnitude: How strong they are: 0 to 30.
        jitter: Brightness, contrast and saturation are multiplied by a factor between
            `max(0, 1 - jitter)` and `1 + jitter`, each by its own.
    """

    def change(pixels: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        random = np.random.default_rng(seeds)
        picture = Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
        picture = _jittered(_randaugmented(picture, random, operations, magnitude), random, jitter)
        return np.asarray(picture, np.float32)

    pixels = tf.numpy_function(change, [image, seeds], tf.float32, stateful=False)
    return tf.ensure_shape(pixels, image.shape)


def lighting(image: tf.Tensor, seeds: tf.Tensor, deviation: float) -> tf.Tensor:
    r"""An image whose light has another color and strength (Krizhevsky et al., 2012, section 4.1).

    To each pixel, from 0 to 255, the same color is added:
    \\(255 \sum_k \alpha_k \lambda_k p_k\\), with the principal components \\(p_k\\) of ImageNet's
    colors, their deviations \\(\lambda_k\\), and \\(\alpha_k\\) from a normal distribution.

    The official code of ReActNet forgets the 255, so that it subtracts 0 or 1 at most.

    Args:
        image: Pixels from 0 to 255: `(height, width, 3)`.
        seeds: Two integers, which decide all that is random.
        deviation: Standard deviation of \\(\alpha_k\\).
    """
    strengths = tf.random.stateless_normal((3,), seeds, stddev=deviation)
    color = tf.linalg.matvec(tf.constant(COMPONENTS), strengths * tf.constant(DEVIATIONS))
    return tf.clip_by_value(image + 255 * color, 0, 255)


def _randaugmented(
    picture: Image.Image, random: np.random.Generator, operations: int, magnitude: int
) -> Image.Image:
    """A picture after some operations, each of which may come several times."""
    names = list(OPERATIONS)
    for name in (names[index] for index in random.integers(len(names), size=operations)):
        operation, least, most, is_signed = OPERATIONS[name]
        value = least + (most - least) * magnitude / MAX_MAGNITUDE
        picture = operation(picture, value * random.choice((-1, 1)) if is_signed else value)
    return picture


def _jittered(picture: Image.Image, random: np.random.Generator, jitter: float) -> Image.Image:
    """A picture whose brightness, contrast and saturation are others."""
    if jitter:
        for name in random.permutation(JITTERED):
            factor = random.uniform(max(0.0, 1 - jitter), 1 + jitter)
            picture = OPERATIONS[name][0](picture, factor - 1)
    return picture
