"""Data sets as pipelines of batches."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import tensorflow as tf

__all__ = ["STATISTICS", "Dataset", "load"]

PADDING = 4  # pixels on each side before the random crop, for images of 32x32
# A random crop has a share of the image's area, and a ratio of width to height, in these ranges.
CROP_AREA, CROP_RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
CENTER = 224 / 256  # of the shorter side, for tests, where training images are random crops
CACHE_LIMIT = 2**30  # bytes of encoded images up to which a set is kept in memory, fully shuffled
SHUFFLE_BUFFER = 10_000  # encoded images, for larger sets

# Mean and standard deviation of the pixels, 0 to 255; other sets are scaled to [-1, 1].
STATISTICS = {
    "cifar10": ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
    "imagenet2012": ((123.7, 116.3, 103.5), (58.4, 57.1, 57.4)),
}
Pair: TypeAlias = tuple[tf.Tensor, tf.Tensor]  # image and label

_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_NOT_MIRRORED = ("digits", "mnist", "svhn_cropped", "emnist")  # a mirrored digit is not a digit


@dataclass(frozen=True)
class Dataset:
    """Training and test pipelines, in batches of (images, labels), and what a model needs to know.

    Attributes:
        name: As given to `load`.
        train: The batches of one epoch, shuffled and augmented anew each time. The last, smaller
            batch is kept.
        train_from: Function of the number of an epoch. It gives the endless sequence of batches
            from that epoch on, with `steps_per_epoch` batches in each. So a resumed training sees
            the same batches as an uninterrupted one.
        test: The batches of test images, in a fixed order, not augmented.
        image_shape: `(height, width, 3)`.
        class_names: One name for each label.
        mean: Mean of each channel of the pixels, 0 to 255. Images are `(pixels - mean) / std`.
        std: Standard deviation of each channel.
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
    mean: tuple[float, ...]
    std: tuple[float, ...]
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
    augmentation: str | None = "shift",
    holdout: int = 0,
    seed: int = 0,
) -> Dataset:
    """Load a data set.

    Args:
        name: `"digits"`, a name in tensorflow-datasets, or the path of a folder.
        batch_size: Images in a batch.
        image_size: Height and width to which images are resized; by default their own if all are
            equal, else 224, and 32 for digits.
        data_dir: Where tensorflow-datasets keeps its data.
        augmentation: What is done to training images. `"shift"`: they are shifted at random, by up
            to an eighth of their size, like the usual 4 pixels of 32. `"crop"`: a part of random
            place, size and form is cut out of each, as is usual for ImageNet; of each test image
            the middle is then taken. With both, images are also mirrored at random, unless they
            are digits. `None`: nothing.
        holdout: If it is not 0, this number of training images, the first ones, are the test
            images, and the real test images are not looked at. This is for choosing
            hyper-parameters.
        seed: Seed of the shuffling and the augmentation.

    Raises:
        ValueError: If there is no such data set, or it is not one of labelled images.
        OSError: If it has to be downloaded first and cannot be.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, got {batch_size}.")
    if image_size is not None and image_size < 1:
        raise ValueError(f"`image_size` must be at least 1, got {image_size}.")
    if augmentation not in (None, "shift", "crop"):
        raise ValueError(f"`augmentation` must be 'shift', 'crop' or None, got {augmentation!r}.")
    source = _source(name, image_size, data_dir)
    if holdout:
        source = source.held_out(holdout)
    image_size = source.image_size
    mean, std = STATISTICS.get(name, ((127.5,) * 3, (127.5,) * 3))

    def pixels(image: tf.Tensor) -> tf.Tensor:
        image = tf.cast(source.decode(image), tf.float32)
        return tf.image.grayscale_to_rgb(image) if image.shape[-1] == 1 else image

    def whole(image: tf.Tensor) -> tf.Tensor:
        image = pixels(image)
        if augmentation == "crop":
            image = center(image)
        return resized(image, image_size)

    def distorted(image: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        if augmentation is None:
            return whole(image)
        if augmentation == "crop":
            image = resized(random_crop(pixels(image), seeds), image_size)
        else:
            image = shifted(whole(image), seeds)
        if name not in _NOT_MIRRORED:
            image = tf.image.stateless_random_flip_left_right(image, seeds + 1)
        return image

    def test_pair(image: tf.Tensor, label: tf.Tensor) -> Pair:
        return (whole(image) - mean) / std, label

    def train_pair(pair: Pair, seeds: tf.Tensor) -> Pair:
        image, label = pair
        return (distorted(image, seeds) - mean) / std, label

    sizes = {split: int(data.cardinality()) for split, data in source.splits.items()}
    for split, size in sizes.items():
        if size < 1:
            raise ValueError(f"The {split} split of {name!r} has no images.")
    buffer = sizes["train"] if source.is_small else SHUFFLE_BUFFER
    steps_per_epoch = -(-sizes["train"] // batch_size)

    def train(first: int, repeat: int) -> tf.data.Dataset:
        # Made anew for every call, because each iteration of one object shuffles differently.
        data = source.splits["train"].shuffle(buffer, seed=seed)
        random = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2)
        data = tf.data.Dataset.zip((data.repeat(repeat), random))
        data = data.skip(first * steps_per_epoch * batch_size)
        data = data.map(train_pair, tf.data.AUTOTUNE)
        return data.batch(batch_size).prefetch(tf.data.AUTOTUNE)

    return Dataset(
        name=name,
        train=train(0, repeat=1),
        train_from=lambda first: train(first, repeat=-1),
        test=source.splits["test"].map(test_pair, tf.data.AUTOTUNE).batch(batch_size).prefetch(1),
        image_shape=(image_size, image_size, 3),
        class_names=source.class_names,
        mean=mean,
        std=std,
        train_size=sizes["train"],
        test_size=sizes["test"],
        steps_per_epoch=steps_per_epoch,
    )


def resized(image: tf.Tensor, size: int) -> tf.Tensor:
    """`image` as a square."""
    if image.shape[:2] != (size, size):
        image = tf.image.resize(image, (size, size))
    return tf.ensure_shape(image, (size, size, 3))


def shifted(image: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    """A square image, shifted at random. Pixels from outside of it are black."""
    padding = image.shape[0] * PADDING // 32
    padded = tf.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    return tf.image.stateless_random_crop(padded, image.shape, seeds)


def random_crop(image: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    """A part of `image`, of random place, size and form."""
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.shape(image),
        tf.zeros((0, 0, 4)),
        seeds,
        area_range=CROP_AREA,
        aspect_ratio_range=CROP_RATIO,
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    return tf.slice(image, begin, size)


def center(image: tf.Tensor) -> tf.Tensor:
    """The square in the middle of `image`, 7/8 of its shorter side."""
    height, width = tf.unstack(tf.shape(image)[:2])
    side = tf.cast(tf.cast(tf.minimum(height, width), tf.float32) * CENTER, tf.int32)
    return tf.image.crop_to_bounding_box(
        image, (height - side) // 2, (width - side) // 2, side, side
    )


@dataclass(frozen=True)
class _Source:
    """A data set before anything is done to it.

    Attributes:
        splits: Pairs of (encoded image, label), which are small enough to shuffle and to skip.
        decode: Function that gives the pixels, 0 to 255, of an encoded image.
        class_names: One name for each label.
        image_size: Height and width of the images.
        is_small: Whether all of `train` fits in memory.
    """

    splits: dict[str, tf.data.Dataset]
    decode: Callable[[tf.Tensor], tf.Tensor]
    class_names: list[str]
    image_size: int
    is_small: bool

    def held_out(self, count: int) -> "_Source":
        """This data set with the first `count` training images as its test images."""
        train = self.splits["train"]
        size = int(train.cardinality())
        if not 0 < count < size:
            raise ValueError(f"`holdout` must leave some of {size:,} training images, got {count}.")
        return replace(self, splits={"train": train.skip(count), "test": train.take(count)})


def _source(name: str, image_size: int | None, data_dir: str | Path | None) -> _Source:
    if name == "digits":
        return _digits(image_size or 32)
    if Path(name, "train").is_dir():
        return _folder(Path(name), image_size or 224)
    return _tfds(name, image_size, data_dir)


def _digits(image_size: int) -> _Source:
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
    names = [str(digit) for digit in digits.target_names]
    return _Source(splits, lambda image: image, names, image_size, is_small=True)


def _folder(folder: Path, image_size: int) -> _Source:
    """A folder of folders, whose classes are the names below `train`. Only paths are in memory."""
    names = sorted(path.name for path in folder.glob("train/*") if path.is_dir())
    splits = {}
    for split in ("train", "test"):
        files = [
            (str(path), label)
            for label, name in enumerate(names)
            for path in sorted((folder / split / name).glob("*"))
            if path.suffix.lower() in _SUFFIXES
        ]
        if not files:
            raise ValueError(
                f"{folder} has no images in {split}/CLASS/: an image folder needs JPEG, PNG, GIF "
                "or BMP files in train/CLASS/ and test/CLASS/."
            )
        paths, labels = zip(*files, strict=True)
        splits[split] = tf.data.Dataset.from_tensor_slices((list(paths), list(labels)))

    def decode(path: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        return tf.ensure_shape(image, (None, None, 3))

    return _Source(splits, decode, names, image_size, is_small=True)


def _tfds(name: str, image_size: int | None, data_dir: str | Path | None) -> _Source:
    import tensorflow_datasets as tfds

    if data_dir is not None and not Path(data_dir).is_dir():
        raise ValueError(f"There is no folder {data_dir} to find {name!r} in.")
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:  # ValueError: not even a name
        raise ValueError(
            f"No data set is called {name!r}: give 'digits', a name from "
            "https://www.tensorflow.org/datasets/catalog, or a folder with images in train/CLASS/ "
            "and test/CLASS/."
        ) from error
    features = builder.info.features
    if features is None or not {"image", "label"} <= set(features):
        raise ValueError(f"{name!r} is not a set of labelled images.")
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
    is_small = builder.info.dataset_size <= CACHE_LIMIT
    splits = {
        key: builder.as_dataset(
            split=split, as_supervised=True, decoders={"image": tfds.decode.SkipDecoding()}
        )
        for key, split in (("train", "train"), ("test", test))
    }
    if is_small:
        splits = {key: data.cache() for key, data in splits.items()}
    height, width = features["image"].shape[:2]
    if image_size is None:
        image_size = height if height is not None and height == width else 224
    decode = features["image"].decode_example
    return _Source(splits, decode, features["label"].names, image_size, is_small)
