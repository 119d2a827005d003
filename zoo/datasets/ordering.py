"""The order in which training images come, and the seeds of what is done to each."""

from typing import TypeAlias

from larq_reactnet.zoo.datasets.large import Large, seeds_of
from larq_reactnet.zoo.datasets.sources import Source

import tensorflow as tf

__all__ = ["once", "sequence"]

Pair: TypeAlias = tuple[tf.Tensor, tf.Tensor]  # encoded image and label


def once(source: Source, seed: int) -> tf.data.Dataset:
    """One epoch of (pair, seeds), which is another one in each iteration."""
    if source.large is None:
        return _shuffled(source, seed, repeat=1)
    epochs = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).take(1)
    epochs = epochs.map(lambda number: (number, tf.constant(0, tf.int64)))
    data = _epochs(source.large, epochs, seed)
    return data.apply(tf.data.experimental.assert_cardinality(source.size("train")))


def sequence(source: Source, seed: int, start: int) -> tf.data.Dataset:
    """The endless sequence of (pair, seeds) through all epochs, from image number `start` on.

    It is always the same. Nothing is decoded to get there; of a set that does not fit in memory,
    only what comes before `start` in the same epoch is passed over.
    """
    if source.large is None:
        # Made anew for every call, because each iteration of one object shuffles differently.
        return _shuffled(source, seed, repeat=-1).skip(start)
    first, passed = divmod(start, source.size("train"))
    epochs = tf.data.Dataset.range(first, tf.int64.max).map(
        lambda epoch: (epoch, tf.where(epoch == first, tf.constant(passed, tf.int64), 0))
    )
    return _epochs(source.large, epochs, seed)


def _shuffled(source: Source, seed: int, repeat: int) -> tf.data.Dataset:
    data = source.splits["train"].shuffle(source.size("train"), seed=seed)
    random = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).batch(2)
    return tf.data.Dataset.zip((data.repeat(repeat), random))


def _epochs(large: Large, epochs: tf.data.Dataset, seed: int) -> tf.data.Dataset:
    """The images of epochs, which are pairs of a number and of how many images are passed over."""

    def images(epoch: tf.Tensor, passed: tf.Tensor) -> tf.data.Dataset:
        def with_seeds(pair: Pair, place: tf.Tensor) -> tuple[Pair, tf.Tensor]:
            return pair, seeds_of(seed, epoch, place)

        places = tf.data.Dataset.range(passed, tf.int64.max)
        data = tf.data.Dataset.zip((large.epoch(seed, epoch, passed), places))
        return data.map(with_seeds)

    return epochs.flat_map(images)
