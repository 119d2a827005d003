"""What is done to the pixels of an image in a pipeline.

`larq_reactnet._shared.photos` defines how an image becomes an input. Here it is called from
TensorFlow's pipelines by `tf.numpy_function`, so that training sees exactly what `predict` makes of
the same file: TensorFlow decodes JPEG with another transformation by default, and does not know
EXIF, WebP and GIF of other channels. Pillow works outside of Python's lock, so that several images
are prepared at once. `cropping.py` has the one case in which TensorFlow decodes JPEG files.

Images of a fixed size that are not larger than wanted, such as those of CIFAR-10 and the digits,
are decoded and enlarged by TensorFlow's own operators, which give the same numbers and are faster.
"""

from larq_reactnet._shared import photos

import numpy as np
import tensorflow as tf
from PIL import Image

__all__ = ["center", "decoded", "random_crop", "shifted", "window"]

PADDING = 4  # pixels on each side before the random crop, for images of 32x32
# A random crop has a share of the image's area, and a ratio of width to height, in these ranges.
CROP_AREA, CROP_RATIO = (0.08, 1.0), (3 / 4, 4 / 3)


def decoded(encoded: tf.Tensor, *, is_path: bool = False) -> tf.Tensor:
    """The pixels of an encoded image, or of that in the file of a path: of unknown size, uint8."""

    def decode(content: bytes) -> np.ndarray:
        picture = content.decode("utf-8", "surrogateescape") if is_path else content
        return np.asarray(photos.decode(picture, 3))

    pixels = tf.numpy_function(decode, [encoded], tf.uint8, stateful=False)
    return tf.ensure_shape(pixels, (None, None, 3))


def center(image: tf.Tensor, size: int, crop: float, resize: str) -> tf.Tensor:
    """The middle of `image` as a square, as a network sees it in its tests."""
    height, width = image.shape[:2]
    if height is not None and width is not None:
        left, top, right, bottom = photos.center(height, width, size, size, crop, resize)
        return _enlarged(image[top:bottom, left:right], size)

    def cut(pixels: np.ndarray) -> np.ndarray:
        height, width, _ = pixels.shape
        box = photos.center(height, width, size, size, crop, resize)
        return photos.resized(Image.fromarray(pixels).crop(box), size, size)

    pixels = tf.numpy_function(cut, [image], tf.float32, stateful=False)
    return tf.ensure_shape(pixels, (size, size, 3))


def random_crop(image: tf.Tensor, size: int, seeds: tf.Tensor) -> tf.Tensor:
    """A part of `image`, of random place, size and form, as a square."""
    begin, extent = window(tf.shape(image), seeds)
    if image.shape[:2].is_fully_defined():
        # In color first: of a slice, TensorFlow does not know the number of channels.
        return _enlarged(tf.slice(_in_color(image), begin, extent), size)

    def cut(pixels: np.ndarray, begin: np.ndarray, extent: np.ndarray) -> np.ndarray:
        (top, left, _), (bottom, right, _) = begin, begin + np.minimum(extent, pixels.shape)
        part = Image.fromarray(pixels).crop((left, top, right, bottom))  # slow with a slice
        return photos.resized(part, size, size)

    pixels = tf.numpy_function(cut, [image, begin, extent], tf.float32, stateful=False)
    return tf.ensure_shape(pixels, (size, size, 3))


def window(shape: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A part of an image of a shape, of random place, size and form: its first pixel, its shape."""
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        shape,
        tf.zeros((0, 0, 4)),
        seeds,
        area_range=CROP_AREA,
        aspect_ratio_range=CROP_RATIO,
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    return begin, extent


def shifted(image: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    """A square image, shifted at random. Pixels from outside of it are black."""
    padding = image.shape[0] * PADDING // 32
    padded = tf.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    return tf.image.stateless_random_crop(padded, image.shape, seeds)


def _enlarged(image: tf.Tensor, size: int) -> tf.Tensor:
    """`image` as a square that is not smaller, of float32 and three channels."""
    image = tf.cast(_in_color(image), tf.float32)
    if image.shape[:2] != (size, size):
        image = tf.image.resize(image, (size, size))
    return tf.ensure_shape(image, (size, size, 3))


def _in_color(image: tf.Tensor) -> tf.Tensor:
    return tf.image.grayscale_to_rgb(image) if image.shape[-1] == 1 else image
