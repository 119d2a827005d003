"""Training images of sets that do not fit in memory, as tens of gigabytes of ImageNet do not.

Their order can be entered anywhere: it is computed of the seed and the number of the epoch. So a
training that is resumed in its hundredth epoch does not have to go through ninety-nine others, and
no image is decoded to be passed over.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import tensorflow as tf

__all__ = ["Large", "LargeFolder", "Records", "seeds_of"]

# How many files of records are read in turn, and how many images of each at a time.
FILES, BLOCK = 16, 16


class Large(Protocol):
    """The training images of a large set."""

    def epoch(self, seed: int, epoch: tf.Tensor, first: tf.Tensor) -> tf.data.Dataset:
        """Pairs of (encoded image, label) of an epoch in its order, without the `first` ones."""

    def held_out(self, count: int) -> tuple[tf.data.Dataset, "Large"]:
        """The first `count` images, and the others."""


@dataclass(frozen=True)
class LargeFolder:
    """Files of a folder. Paths and labels are tensors; nothing else is in memory.

    Attributes:
        paths: Of strings.
        labels: Of integers.
    """

    paths: tf.Tensor
    labels: tf.Tensor

    def epoch(self, seed: int, epoch: tf.Tensor, first: tf.Tensor) -> tf.data.Dataset:
        """The files of an epoch: all of them are shuffled, each by a formula of its place."""
        count = len(self.labels)

        def pair(place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            key = tf.stack([tf.constant(seed, tf.int64), epoch])
            chosen = tf.random.experimental.index_shuffle(place, tf.cast(key, tf.int32), count - 1)
            return tf.gather(self.paths, chosen), tf.gather(self.labels, chosen)

        return tf.data.Dataset.range(first, count).map(pair)

    def held_out(self, count: int) -> tuple[tf.data.Dataset, "LargeFolder"]:
        """The first `count` files, and the others."""
        first = tf.data.Dataset.from_tensor_slices((self.paths[:count], self.labels[:count]))
        return first, replace(self, paths=self.paths[count:], labels=self.labels[count:])


@dataclass(frozen=True)
class Records:
    """A split of tensorflow-datasets in files of records.

    In each epoch the files are shuffled, several of them are read in turn, and then the encoded
    images are shuffled in a buffer.

    Attributes:
        builder: What knows the data set.
        split: Name of the split, or a part of it, like `train[5000:]`.
        buffer: Number of encoded images that are in memory for the shuffling.
    """

    builder: Any
    split: str
    buffer: int

    def epoch(self, seed: int, epoch: tf.Tensor, first: tf.Tensor) -> tf.data.Dataset:
        """The images of an epoch. What is passed over is read and not decoded."""
        # In this function's graph only: the order depends on `seed` alone, and TensorFlow does not
        # take a tensor as seed of a shuffle beside a global seed of 0.
        tf.random.set_seed(1)
        paths, skips, takes = self._files()
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        order = tf.argsort(tf.random.stateless_uniform((len(takes),), key))
        files = tf.data.Dataset.from_tensor_slices(
            tuple(tf.gather(values, order) for values in (paths, skips, takes))
        )
        records = files.interleave(
            _records, FILES, BLOCK, num_parallel_calls=FILES, deterministic=True
        )
        largest = tf.int32.max
        number = tf.random.stateless_uniform((), key + 1, 1, largest, dtype=tf.int32)
        records = records.shuffle(self.buffer, seed=tf.cast(number, tf.int64))
        return records.skip(first).map(self._pair)

    def in_order(self) -> tf.data.Dataset:
        """The images one file after the other."""
        files = tf.data.Dataset.from_tensor_slices(self._files())
        return files.flat_map(_records).map(self._pair)

    def held_out(self, count: int) -> tuple[tf.data.Dataset, "Records"]:
        """The first `count` images, and the others."""
        first = replace(self, split=f"{self.split}[:{count}]").in_order()
        first = first.apply(tf.data.experimental.assert_cardinality(count))
        return first, replace(self, split=f"{self.split}[{count}:]")

    def _files(self) -> tuple[Sequence[str], Sequence[int], Sequence[int]]:
        """Of each file its path, how many records are passed over, and how many are taken."""
        found = self.builder.info.splits[self.split].file_instructions
        return (
            [str(file.filename) for file in found],
            tf.constant([file.skip for file in found], tf.int64),
            tf.constant([file.take for file in found], tf.int64),
        )

    def _pair(self, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        import tensorflow_datasets as tfds

        found = self.builder.info.features.deserialize_example(
            record, decoders={"image": tfds.decode.SkipDecoding()}
        )
        return found["image"], found["label"]


def seeds_of(seed: int, epoch: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """Two integers from 0 on, which decide all that is random in the image at a place of an epoch.

    Two rounds, because TensorFlow takes two integers where there are three.
    """
    key = tf.stack([tf.constant(seed, tf.int64), epoch])
    key = tf.random.stateless_uniform((2,), key, 0, 2**32, tf.int64)
    return tf.random.stateless_uniform((2,), key + place, 0, 2**32, tf.int64)


def _records(path: tf.Tensor, skip: tf.Tensor, take: tf.Tensor) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(path).skip(skip).take(take)
