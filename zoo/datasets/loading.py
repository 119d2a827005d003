"""Data sets as pipelines of batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from larq_reactnet._shared.photos import RESIZES
from larq_reactnet.zoo.datasets.augmenting import Augmentation
from larq_reactnet.zoo.datasets.folders import folder_classes, folder_source, is_folder, say
from larq_reactnet.zoo.datasets.ordering import once, sequence
from larq_reactnet.zoo.datasets.pixels import center
from larq_reactnet.zoo.datasets.sources import Source, cores, digits, tfds_builder, tfds_source

import numpy as np
import tensorflow as tf

__all__ = ["STATISTICS", "Dataset", "absolute", "class_names", "load", "statistics"]

CENTER = 224 / 256  # of the shorter side, for tests, where training images are random crops

# Mean and standard deviation of the pixels, 0 to 255.
STATISTICS = {
    "cifar10": ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
    "imagenet2012": ((123.7, 116.3, 103.5), (58.4, 57.1, 57.4)),
}
# tensorflow-datasets knows these only once it has the images.
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
Pair: TypeAlias = tuple[tf.Tensor, tf.Tensor]  # image and label
Triple: TypeAlias = tuple[tf.Tensor, tf.Tensor, tf.Tensor]  # and what was random
InputContext: TypeAlias = tf.distribute.InputContext
# Of functions without branches and loops over tensors, for which AutoGraph would look in vain.
_plain = tf.autograph.experimental.do_not_convert

_NOT_MIRRORED = ("digits", "mnist", "svhn_cropped", "emnist")  # a mirrored digit is not a digit


@dataclass(frozen=True)
class Dataset:
    """Training and test pipelines, in batches of (images, labels), and what a model needs to know.

    Attributes:
        name: As given to `load`; of a folder, its absolute path.
        train: The batches of one epoch, shuffled and augmented anew each time. The last, smaller
            batch is kept. With mixup or cutmix, labels are distributions over the classes.
        train_from: Function of the number of an epoch, and of a batch in it (0). It gives the
            endless sequence of batches from there on, with `steps_per_epoch` batches in each epoch.
            So a resumed training sees the same batches as an uninterrupted one. Given a
            `tf.distribute.InputContext` too, it gives the part of one input pipeline: images are
            dealt out in turn, and only its own ones are decoded.
        test: The batches of test images, in a fixed order, not augmented.
        test_part: Function of a `tf.distribute.InputContext`: the part of one input pipeline.
        image_shape: `(height, width, 3)`.
        class_names: One name for each label.
        mean: Mean of each channel of the pixels, 0 to 255. Images are `(pixels - mean) / std`.
        std: Standard deviation of each channel.
        crop: The share of the sides of test images that is seen. See `load`.
        resize: How test images of another aspect become squares. See `load`.
        train_size: Number of training images.
        test_size: Number of test images.
        steps_per_epoch: Number of training batches.
        test_steps: Number of test batches.
        augmentations: What is done to training images, with its values.
        left_out: What is said of each file of a folder that cannot be read.
        source: Encoded images, as they are before anything is done to them.
        test_image: Function that gives of an encoded image that of the tests, 0 to 255.
        train_image: Function that gives of an encoded image and of two integers an augmented one.
    """

    name: str
    train: tf.data.Dataset
    train_from: Callable[..., tf.data.Dataset]
    test: tf.data.Dataset
    test_part: Callable[[tf.distribute.InputContext], tf.data.Dataset]
    image_shape: tuple[int, int, int]
    class_names: list[str]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop: float
    resize: str
    train_size: int
    test_size: int
    steps_per_epoch: int
    test_steps: int
    augmentations: dict[str, Any]
    left_out: tuple[str, ...]
    source: Source
    test_image: Callable[[tf.Tensor], tf.Tensor]
    train_image: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

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
    flip: bool | None = None,
    randaugment: int = 0,
    randaugment_magnitude: int = 9,
    color_jitter: float = 0.0,
    lighting: float = 0.0,
    mixup: float = 0.0,
    cutmix: float = 0.0,
    holdout: int = 0,
    seed: int = 0,
    crop: float | None = None,
    resize: str = "fit",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    default_size: int = 224,
    strict: bool = False,
    beside: np.ndarray | None = None,
) -> Dataset:
    """Load a data set.

    The pixels of test images, and of training images before they are augmented, are those that
    `predict` makes of the same files: each is turned upright as its EXIF data say, cropped around
    its center, and resized with antialiasing. Images that already have the wanted size are left as
    they are.

    Of a folder, every file is looked at first. Those that cannot be read are named and left out.

    Args:
        name: `"digits"`, a name in tensorflow-datasets, or the path of a folder. A folder with
            images in it goes before a name.
        batch_size: Images in a batch.
        image_size: Height and width to which images are resized; by default their own if all are
            equal, else `default_size`, and 32 for digits.
        data_dir: Where tensorflow-datasets keeps its data.
        augmentation: What is done to training images. `"shift"`: they are shifted at random, by up
            to an eighth of their size, like the usual 4 pixels of 32. `"crop"`: a part of random
            place, size and form is cut out of each, as is usual for ImageNet ("random resized
            crop"); of each test image the middle is then taken. `None`: neither.
        flip: Whether half of the training images are mirrored; by default with an `augmentation`,
            unless they are digits.
        randaugment: Number of operations of RandAugment for each training image, chosen at random;
            2 is usual. The operations and their strengths are those of torchvision.
        randaugment_magnitude: How strong they are, from 0 to 30.
        color_jitter: Brightness, contrast and saturation of each training image are multiplied by
            factors between 1 minus this and 1 plus this, in a random order; 0.4 is usual.
        lighting: Standard deviation of noise along the principal components of ImageNet's colors,
            one color for all pixels of an image. It is 0.1 in the recipe of ReActNet, whose code
            adds a 255th of it.
        mixup: Alpha of mixup: images and labels of a training batch are mixed in pairs, by a share
            from Beta(alpha, alpha); 0.2 is usual. Labels are distributions then, which
            `losses.SoftCategoricalCrossentropy` and `metrics.SoftCategoricalAccuracy` take.
        cutmix: Alpha of cutmix: a rectangle of each training image comes from another one, and so
            does its share of the label; 1.0 is usual. With `mixup` too, each batch has one of both.
        holdout: If it is not 0, this number of training images, the first ones, are the test
            images, and the real test images are not looked at. This is for choosing
            hyper-parameters.
        seed: Seed of the shuffling and the augmentation.
        crop: The share of the sides of test images that is seen, around the center; by default 7/8
            with `augmentation="crop"`, else all.
        resize: How test images of another aspect become squares. `"fit"`: what is too wide or too
            high is cut off at both sides. `"stretch"`: nothing is cut off, and the aspect changes.
        mean: With `std`, how images are normalized; by default as `STATISTICS` says, or to -1 to 1.
        std: See `mean`.
        default_size: See `image_size`.
        strict: Whether files of a folder that cannot be read are refused, and not left out.
        beside: Numbers that come beside the label of each training image, `(images, ...)` in the
            order of `source`; batches are `(images, (labels, numbers))` then.

    Raises:
        ValueError: If there is no such data set, it is not one of labelled images, or a value is
            bad.
        OSError: If it has to be downloaded first and cannot be.
    """
    for label, value in (("batch_size", batch_size), ("image_size", image_size)):
        if value is not None and value < 1:
            raise ValueError(f"`{label}` must be at least 1, got {value}.")
    name = absolute(name)
    changes = Augmentation(
        augmentation=augmentation,
        flip=bool(augmentation) and name not in _NOT_MIRRORED if flip is None else flip,
        randaugment=randaugment,
        randaugment_magnitude=randaugment_magnitude,
        color_jitter=color_jitter,
        lighting=lighting,
        mixup=mixup,
        cutmix=cutmix,
    )
    if crop is None:
        crop = CENTER if augmentation == "crop" else 1.0
    if not 0 < crop <= 1:
        raise ValueError(f"`crop` must be above 0 and at most 1, got {crop}.")
    if resize not in RESIZES:
        raise ValueError(f"`resize` must be one of {RESIZES}, got {resize!r}.")
    means, stds = _normalization(name, mean, std)
    source = _source(name, image_size, default_size, data_dir, strict)
    if holdout:
        source = source.held_out(holdout)
    if beside is not None:
        if changes.mixes:
            raise ValueError("Images are mixed, so there can be no numbers beside their labels.")
        source = source.beside(beside)
    size = source.image_size

    def whole(image: tf.Tensor) -> tf.Tensor:
        return center(source.decode(image), size, crop, resize)

    @_plain
    def test_pair(image: tf.Tensor, label: tf.Tensor) -> Pair:
        return (whole(image) - means) / stds, label

    def augmented(image: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        return changes.image(image, seeds, crop=source.random_crop, whole=whole, size=size)

    @_plain
    def train_triple(pair: Pair, seeds: tf.Tensor) -> Triple:
        return (augmented(pair[0], seeds) - means) / stds, pair[1], seeds

    @_plain
    def train_batch(images: tf.Tensor, labels: tf.Tensor, seeds: tf.Tensor) -> Pair:
        if changes.mixes:
            return changes.batch(images, labels, seeds, len(source.class_names))
        return images, labels

    sizes = {split: source.size(split) for split in source.splits}
    for split, count in sizes.items():
        if count < 1:
            raise ValueError(f"The {split} split of {name!r} has no images.")
    steps_per_epoch = -(-sizes["train"] // batch_size)

    def train(data: tf.data.Dataset, context: InputContext | None = None) -> tf.data.Dataset:
        data, size = part(data, context)
        return _batches(data.map(train_triple, cores()), size, train_batch)

    def test(context: InputContext | None = None) -> tf.data.Dataset:
        data, size = part(source.splits["test"], context)
        return _batches(data.map(test_pair, cores()), size)

    def part(data: tf.data.Dataset, context: InputContext | None) -> tuple[tf.data.Dataset, int]:
        if context is None:
            return data, batch_size
        data = data.shard(context.num_input_pipelines, context.input_pipeline_id)
        return data, context.get_per_replica_batch_size(batch_size)

    def train_from(
        epoch: int, batch: int = 0, context: InputContext | None = None
    ) -> tf.data.Dataset:
        start = (epoch * steps_per_epoch + batch) * batch_size
        return train(sequence(source, seed, start), context)

    return Dataset(
        name=name,
        train=train(once(source, seed)),
        train_from=train_from,
        test=test(),
        test_part=test,
        image_shape=(size, size, 3),
        class_names=source.class_names,
        mean=means,
        std=stds,
        crop=crop,
        resize=resize,
        train_size=sizes["train"],
        test_size=sizes["test"],
        steps_per_epoch=steps_per_epoch,
        test_steps=-(-sizes["test"] // batch_size),
        augmentations=changes.as_dict(),
        left_out=source.left_out,
        source=source,
        test_image=whole,
        train_image=augmented,
    )


def class_names(name: str, data_dir: str | Path | None = None) -> list[str]:
    """The names of the classes of a data set, without its images.

    Raises:
        ValueError: If there is no such data set, or it is not one of labelled images.
    """
    if name == "digits":
        return [str(digit) for digit in range(10)]
    if name == "cifar10":
        return [*CIFAR10]
    if is_folder(name):
        return folder_classes(Path(absolute(name)))
    return list(tfds_builder(name, data_dir).info.features["label"].names)


def statistics(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation with which a data set is normalized, by default to [-1, 1]."""
    return STATISTICS.get(name, ((127.5,) * 3, (127.5,) * 3))


def absolute(name: str) -> str:
    """`name`, or the absolute path of the folder that it is the path of."""
    return str(Path(name).expanduser().resolve()) if name != "digits" and is_folder(name) else name


def _normalization(
    name: str, mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel."""
    if (mean is None) != (std is None):
        raise ValueError("Give both `mean` and `std`, or none of them.")
    if mean is None or std is None:
        return statistics(name)
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError(
            f"`mean` and `std` must have a number for each of three channels, and those of `std` "
            f"be above 0, got {mean} and {std}."
        )
    return tuple(mean), tuple(std)


def _source(
    name: str, image_size: int | None, default_size: int, data_dir: str | Path | None, strict: bool
) -> Source:
    if name == "digits":
        return digits(image_size or 32)
    if is_folder(name):
        if image_size is None:
            size = f"{default_size}x{default_size}"
            say(f"Images of {name} become {size} pixels: --image-size (`image_size`) is another")
        return folder_source(Path(name), image_size or default_size, strict=strict)
    try:
        return tfds_source(name, image_size, default_size, data_dir)
    except ValueError:
        folder = Path(name).expanduser()
        if folder.is_dir():
            folder_classes(folder)  # says what it misses
        raise


def _batches(
    data: tf.data.Dataset, batch_size: int, function: Callable[..., Pair] | None = None
) -> tf.data.Dataset:
    """Batches, of which the next ones are made while one is used; `function` changes each.

    How many images are prepared at once is fixed. Where there is one core, TensorFlow's search for
    a better number goes on after the last batch, and `fit` waits for it.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    data = data.batch(batch_size)
    data = data if function is None else data.map(function)
    return data.prefetch(2).with_options(options)
