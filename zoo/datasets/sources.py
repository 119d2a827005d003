"""Where images come from, before anything is done to them."""

import os
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from larq_reactnet.zoo.datasets.cropping import random_crop_of
from larq_reactnet.zoo.datasets.large import Large, Records
from larq_reactnet.zoo.datasets.pixels import decoded, random_crop

import numpy as np
import tensorflow as tf

__all__ = ["Source", "cores", "digits", "tfds_builder", "tfds_source"]

CACHE_LIMIT = 2**30  # bytes of encoded images that are in memory: a whole set, or to shuffle it
SHUFFLE_BUFFER = 10_000  # encoded images, for sets that do not fit in memory
PATIENCE = 5  # seconds for the first answer of the network


@dataclass(frozen=True)
class Source:
    """A data set before anything is done to it.

    Attributes:
        splits: Pairs of (encoded image, label), which are small enough to shuffle and to skip.
        decode: Function that gives the pixels, 0 to 255, of an encoded image. Their shape is fixed
            and not larger than wanted, or else is not known and has three channels.
        class_names: One name for each label.
        image_size: Height and width that the images are to get.
        large: The training images once more, if not all of `train` fits in memory.
        crop: Function that gives a random part of an encoded image, of a size, by seeds; by default
            that of the decoded image.
        labels: Those of the images of each split, where they are known without reading images.
        is_path: Whether an encoded image is the path of a file.
        left_out: What is said of each file that cannot be read.
    """

    splits: dict[str, tf.data.Dataset]
    decode: Callable[[tf.Tensor], tf.Tensor]
    class_names: list[str]
    image_size: int
    large: Large | None = None
    crop: Callable[[tf.Tensor, int, tf.Tensor], tf.Tensor] | None = None
    labels: Mapping[str, np.ndarray] | None = None
    is_path: bool = False
    left_out: tuple[str, ...] = ()

    def size(self, split: str) -> int:
        """Number of images in a split."""
        return int(self.splits[split].cardinality())

    def random_crop(self, encoded: tf.Tensor, size: int, seeds: tf.Tensor) -> tf.Tensor:
        """A random part of an encoded image as a square: float32, 0 to 255."""
        if self.crop is not None:
            return self.crop(encoded, size, seeds)
        return random_crop(self.decode(encoded), size, seeds)

    def held_out(self, count: int) -> "Source":
        """This data set with the first `count` training images as its test images."""
        train, size = self.splits["train"], self.size("train")
        if not 0 < count < size:
            raise ValueError(f"`holdout` must leave some of {size:,} training images, got {count}.")
        labels = self.labels and {
            "train": self.labels["train"][count:],
            "test": self.labels["train"][:count],
        }
        first, large = train.take(count), None
        if self.large is not None:
            first, large = self.large.held_out(count)
        splits = {"train": train.skip(count), "test": first}
        return replace(self, splits=splits, large=large, labels=labels)

    def beside(self, numbers: np.ndarray) -> "Source":
        """This data set, where the label of each training image is a pair of it and of numbers."""
        if len(numbers) != self.size("train") or self.large is not None:
            raise ValueError(
                f"`beside` needs a row for each of {self.size('train'):,} training images of a set "
                f"that fits in memory, got {len(numbers):,}."
            )
        pairs = tf.data.Dataset.zip(
            (self.splits["train"], tf.data.Dataset.from_tensor_slices(numbers))
        )
        train = pairs.map(lambda pair, row: (pair[0], (pair[1], row)))
        return replace(self, splits={**self.splits, "train": train})


def cores() -> int:
    """Number of the processor's cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def digits(image_size: int) -> Source:
    """Scikit-learn's digits: every fifth image of each class is a test image."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images = np.round(found.images[..., None] * (255 / 16)).astype(np.uint8)
    order = np.argsort(found.target, kind="stable")
    is_test = np.arange(len(order)) % 5 == 0
    chosen = {"train": order[~is_test], "test": order[is_test]}
    labels = {split: found.target[numbers] for split, numbers in chosen.items()}
    splits = {
        split: tf.data.Dataset.from_tensor_slices((images[numbers], labels[split]))
        for split, numbers in chosen.items()
    }
    names = [str(digit) for digit in found.target_names]
    if image_size >= images.shape[1]:
        return Source(splits, lambda image: image, names, image_size, labels=labels)

    # Smaller ones are made by Pillow, from images whose size TensorFlow does not know.
    splits = {
        split: data.map(lambda image, label: (tf.io.encode_png(image), label))
        for split, data in splits.items()
    }
    return Source(splits, decoded, names, image_size, labels=labels)


def tfds_builder(name: str, data_dir: str | Path | None) -> Any:
    """What knows all of the set called `name` in tensorflow-datasets.

    Raises:
        ValueError: If there is none, or it is not one of labelled images.
    """
    import tensorflow_datasets as tfds

    if data_dir is not None:
        data_dir = Path(data_dir).expanduser()
        if not data_dir.is_dir():
            raise ValueError(f"There is no folder {data_dir} to find {name!r} in.")
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:  # ValueError: not even a name
        raise ValueError(
            f"No data set is called {name!r}: give 'digits', a name from "
            "https://www.tensorflow.org/datasets/catalog, or a folder with images in CLASS/, or in "
            "train/CLASS/ and test/CLASS/."
        ) from error
    features = builder.info.features
    if features is None or not {"image", "label"} <= set(features):
        raise ValueError(f"{name!r} is not a set of labelled images.")
    return builder


def tfds_source(
    name: str, image_size: int | None, default_size: int, data_dir: str | Path | None
) -> Source:
    """A set of tensorflow-datasets."""
    import tensorflow_datasets as tfds

    builder = tfds_builder(name, data_dir)
    try:
        _check_network(builder)
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
    large = None
    if is_small:
        splits = {key: data.cache() for key, data in splits.items()}
    else:
        large = _records(builder)
    image, label = builder.info.features["image"], builder.info.features["label"]
    height, width = image.shape[:2]
    if image_size is None:
        image_size = height if height is not None and height == width else default_size
    is_fixed = height is not None and width is not None and max(height, width) <= image_size
    if is_fixed:
        return Source(splits, image.decode_example, label.names, image_size, large)
    return Source(splits, decoded, label.names, image_size, large, random_crop_of)


def _records(builder: Any) -> Records:
    """The training images of a set that does not fit in memory.

    Raises:
        ValueError: If they are not in TFRecord files.
    """
    info = builder.info
    if info.file_format.value != "tfrecord":
        raise ValueError(
            f"{info.name!r} is prepared in {builder.data_dir} as {info.file_format.value}: a set "
            "of this size is read from tfrecord files only. Prepare it with file_format='tfrecord'."
        )
    count = sum(split.num_examples for split in info.splits.values())
    buffer = min(SHUFFLE_BUFFER, max(1, CACHE_LIMIT * count // info.dataset_size))
    return Records(builder, "train", buffer)


def _check_network(builder: Any) -> None:
    """Raise ConnectionError if a data set has to be downloaded and there is no network.

    tensorflow-datasets itself tries each file again and again, for minutes. No single address tells
    whether there is a network, because some are blocked in some places: one answer is enough.
    """
    folder = Path(builder.data_dir)
    downloads = folder.parents[1] / "downloads"
    if (
        folder.exists()
        or builder.MANUAL_DOWNLOAD_INSTRUCTIONS  # these files are downloaded by hand
        or any(downloads.glob("*.INFO"))  # some have been downloaded before
    ):
        return
    import requests

    answers: queue.Queue[bool] = queue.Queue()

    def ask(address: str) -> None:
        try:
            requests.head(address, timeout=PATIENCE)
            answers.put(True)
        except (requests.RequestException, OSError, ValueError):
            answers.put(False)

    addresses = {"https://storage.googleapis.com", "https://www.tensorflow.org", "https://pypi.org"}
    addresses |= {builder.info.homepage} if builder.info.homepage else set()
    for address in addresses:
        threading.Thread(target=ask, args=(address,), daemon=True).start()
    try:
        if any(answers.get(timeout=PATIENCE) for _ in addresses):
            return
    except queue.Empty:
        pass
    raise ConnectionError("there is no network")
