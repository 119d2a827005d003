"""Data for training and evaluation: tensorflow-datasets, image folders, and digits as a default.

    data = datasets.load("digits", batch_size=64)
    model.fit(data.train, validation_data=data.test)

`load` takes

- `"digits"`: the 1,797 handwritten digits that scikit-learn carries; needs no network;
- the name of an image classification set of tensorflow-datasets, like `"cifar10"`;
- the path of a folder with `train/CLASS/*.jpg` and `test/CLASS/*.jpg`.

Images come out as float32 `(height, width, 3)`, normalized per channel, labels as integers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["Dataset", "load"]

PADDING = 4  # pixels on each side before the random crop, for images of 32x32
CACHE_LIMIT = 2**30  # bytes of uint8 images below which a set is kept in memory and fully shuffled
SHUFFLE_BUFFER = 2_000  # images, for larger sets

# Mean and standard deviation of the pixels, 0 to 255; other sets are scaled to [-1, 1].
_STATISTICS = {
    "cifar10": ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
    "imagenet2012": ((123.7, 116.3, 103.5), (58.4, 57.1, 57.4)),
}
_NOT_MIRRORED = ("digits", "mnist", "svhn_cropped", "emnist")  # a mirrored digit is not a digit


@dataclass(frozen=True)
class Dataset:
    """Training and test pipelines, in batches of (images, labels), and what a model must know.

    Attributes:
        name: As given to `load`.
        train: One epoch, shuffled and augmented anew each time; the last, smaller batch is kept.
        train_from: Function of the number of an epoch that gives the endless sequence of batches
            from there on, `steps_per_epoch` of them to an epoch. A resumed training so sees what
            an uninterrupted one would have.
        test: In a fixed order, not augmented.
        image_shape: `(height, width, 3)`.
        class_names: One name for each label.
        train_size: Number of training images.
        test_size: Number of test images.
        steps_per_epoch: Number of training batches.
    """

    name: str
    train: tf.data.Dataset
    train_from: Callable[[int], tf.data.Dataset]
    test: tf.data.Dataset
    image_shape: tuple[int, int, int]
    class_names: list[str]
    train_size: int
    test_size: int
    steps_per_epoch: int

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def test_arrays(self, limit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The first `limit` test images and labels (all by default) as arrays."""
        count = self.test_size if limit is None else limit
        batches = list(self.test.unbatch().take(count).batch(256).as_numpy_iterator())
        images, labels = zip(*batches, strict=True)
        return np.concatenate(images), np.concatenate(labels)


def load(
    name: str,
    *,
    batch_size: int = 64,
    image_size: int | None = None,
    data_dir: str | Path | None = None,
    augment: bool = True,
    seed: int = 0,
) -> Dataset:
    """Load a data set.

    Args:
        name: `"digits"`, a name in tensorflow-datasets, or the path of a folder.
        batch_size: Images in a batch.
        image_size: Height and width to which images are resized; by default their own if all are
            equal, else 224, and 32 for digits.
        data_dir: Where tensorflow-datasets keeps its data.
        augment: Whether training images are shifted at random (by an eighth of their size, like
            the usual 4 pixels for 32) and, unless they are digits, mirrored.
        seed: Of the shuffling and the augmentation.

    Raises:
        ValueError: If there is no such data set, or it is not one of labelled images.
        OSError: If it has to be downloaded first and cannot be.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, got {batch_size}.")
    splits, class_names, image_size = _source(name, image_size, data_dir)
    mean, std = _STATISTICS.get(name, ((127.5,) * 3, (127.5,) * 3))

    def fit_size(image: tf.Tensor) -> tf.Tensor:
        image = tf.cast(image, tf.float32)
        if image.shape[-1] == 1:
            image = tf.image.grayscale_to_rgb(image)
        if image.shape[:2] != (image_size, image_size):
            image = tf.image.resize(image, (image_size, image_size))
        return tf.ensure_shape(image, (image_size, image_size, 3))

    def distort(image: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        padding = image_size * PADDING // 32
        image = tf.pad(image, ((padding, padding), (padding, padding), (0, 0)))  # black
        image = tf.image.stateless_random_crop(image, (image_size, image_size, 3), seeds)
        if name not in _NOT_MIRRORED:
            image = tf.image.stateless_random_flip_left_right(image, seeds + 1)
        return image

    def test_pair(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return (fit_size(image) - mean) / std, label

    def train_pair(pair: Any, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, label = pair
        image = distort(fit_size(image), seeds) if augment else fit_size(image)
        return (image - mean) / std, label

    sizes = {split: int(data.cardinality()) for split, data in splits.items()}
    for split, size in sizes.items():
        if size < 1:
            raise ValueError(f"The {split} split of {name!r} has no images.")
    in_memory = 3 * image_size**2 * sum(sizes.values()) <= CACHE_LIMIT
    if in_memory:
        splits = {split: data.cache() for split, data in splits.items()}

    steps_per_epoch = -(-sizes["train"] // batch_size)

    def train(first: int, repeat: int) -> tf.data.Dataset:
        # Made anew for every call, because shuffling differs with each iteration of one object.
        data = splits["train"].shuffle(sizes["train"] if in_memory else SHUFFLE_BUFFER, seed=seed)
        random = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2)
        data = tf.data.Dataset.zip((data.repeat(repeat), random))
        data = data.skip(first * steps_per_epoch * batch_size)
        data = data.map(train_pair, tf.data.AUTOTUNE)
        return data.batch(batch_size).prefetch(tf.data.AUTOTUNE)

    return Dataset(
        name=name,
        train=train(0, repeat=1),
        train_from=lambda first: train(first, repeat=-1),
        test=splits["test"].map(test_pair, tf.data.AUTOTUNE).batch(batch_size).prefetch(1),
        image_shape=(image_size, image_size, 3),
        class_names=class_names,
        train_size=sizes["train"],
        test_size=sizes["test"],
        steps_per_epoch=steps_per_epoch,
    )


Source = tuple[dict[str, tf.data.Dataset], list[str], int]


def _source(name: str, image_size: int | None, data_dir: str | Path | None) -> Source:
    """The raw splits (single images of uint8 or float, 0 to 255), class names and image size."""
    if name == "digits":
        return _digits(image_size or 32)
    if Path(name).is_dir():
        return _folder(Path(name), image_size or 224)
    return _tfds(name, image_size, data_dir)


def _digits(image_size: int) -> Source:
    """Scikit-learn's digits: every fifth image of each class is a test image."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images[..., None] * (255 / 16)).astype(np.uint8)
    order = np.argsort(digits.target, kind="stable")
    is_test = np.arange(len(order)) % 5 == 0
    splits = {
        split: tf.data.Dataset.from_tensor_slices((images[chosen], digits.target[chosen]))
        for split, chosen in (("train", order[~is_test]), ("test", order[is_test]))
    }
    return splits, [str(digit) for digit in digits.target_names], image_size


def _folder(folder: Path, image_size: int) -> Source:
    """A folder of folders; the classes are the names below `train`."""
    names = sorted(path.name for path in folder.glob("train/*") if path.is_dir())
    if not names or not (folder / "test").is_dir():
        raise ValueError(
            f"{folder} has no images in train/CLASS/ and test/CLASS/, which an image folder needs."
        )
    splits = {
        split: tf.keras.utils.image_dataset_from_directory(
            folder / split,
            class_names=names,
            batch_size=None,
            image_size=(image_size, image_size),
            shuffle=False,
        )
        for split in ("train", "test")
    }
    return splits, names, image_size


def _tfds(name: str, image_size: int | None, data_dir: str | Path | None) -> Source:
    import tensorflow_datasets as tfds

    if data_dir is not None and not Path(data_dir).is_dir():
        raise ValueError(f"There is no folder {data_dir} to find {name!r} in.")
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        raise ValueError(
            f"No data set is called {name!r}: give 'digits', a name from "
            "https://www.tensorflow.org/datasets/catalog, or an existing folder."
        ) from error
    features = builder.info.features
    if features is None or not {"image", "label"} <= set(features):
        raise ValueError(f"{name!r} is no set of labelled images.")
    try:
        builder.download_and_prepare()
    except Exception as error:
        raise OSError(
            f"{name!r} is not in {builder.data_dir} and could not be downloaded: "
            f"{type(error).__name__}. Give the folder of a prepared copy as `data_dir`."
        ) from error
    test = "test" if "test" in builder.info.splits else "validation"
    if "train" not in builder.info.splits or test not in builder.info.splits:
        raise ValueError(f"{name!r} has the splits {[*builder.info.splits]}: no train and test.")
    read = tfds.ReadConfig(shuffle_seed=0)
    splits = {
        key: builder.as_dataset(split=split, as_supervised=True, read_config=read)
        for key, split in (("train", "train"), ("test", test))
    }
    height, width = features["image"].shape[:2]
    if image_size is None:
        image_size = height if height is not None and height == width else 224
    return splits, features["label"].names, image_size
