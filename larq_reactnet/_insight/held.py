"""The images on which signs are counted: given ones, or the first that the training sees."""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

__all__ = ["Held", "count_for", "hold_first_batch"]

LIMIT = 256  # images
SHARE = 128  # of the images of an epoch, one in so many; each costs less than it does in training
LEAST = 16  # images


@dataclass(frozen=True)
class Held:
    """A batch.

    Attributes:
        inputs: What the model is called with.
        labels: What the loss is told, if anything.
        weights: Weights of the samples in the loss, or `None`.
    """

    inputs: Any
    labels: Any = None
    weights: Any = None

    @classmethod
    def of(cls, batch: Any, count: int | None = None) -> "Held":
        """The first `count` images of what a data set gives, or all."""
        batch = tf.nest.map_structure(lambda part: tf.convert_to_tensor(part)[:count], batch)
        return cls(*tf.keras.utils.unpack_x_y_sample_weight(batch))

    @property
    def size(self) -> int:
        """Number of images."""
        return int(tf.nest.flatten(self.inputs)[0].shape[0])


def count_for(images: int, batch_size: int) -> int:
    """How many of the `images` of an epoch are held: so few that they cost little time."""
    return min(batch_size, LIMIT, max(LEAST, images // SHARE))


def hold_first_batch(model: tf.keras.Model, steps: int | None, keep: Any) -> None:
    """Give the first batch of the training that begins to `keep`, before it is trained with.

    `model.fit` tells a callback nothing of its data. But it calls `model.train_function` with the
    iterator of its data set, so the first call is made here: with an iterator that gives the same
    batches, of which one has been looked at. All later calls are Keras's own.

    Where the batches are distributed to several replicas, or are ragged or sparse, nothing is held.

    Args:
        model: The model, for which `on_train_begin` was called.
        steps: Number of batches in an epoch, if it is known.
        keep: Function that gets a `Held`.
    """
    train = model.train_function

    def first(iterator: Any) -> Any:
        model.train_function = train
        if not isinstance(iterator, tf.data.Iterator):
            return train(iterator)
        try:
            batch = next(iterator)
        except StopIteration:
            return train(iterator)
        parts = tf.nest.flatten(batch)
        if all(isinstance(part, tf.Tensor) and part.shape.rank for part in parts):
            size = int(parts[0].shape[0])
            keep(Held.of(batch, count_for(size * (steps or 1), size)))

        def again() -> Any:
            yield batch
            yield from iterator

        data = tf.data.Dataset.from_generator(again, output_signature=iterator.element_spec)
        # Nothing is fetched ahead, so the iterator goes on where the first call has stopped.
        options = tf.data.Options()
        options.autotune.enabled = False
        options.experimental_optimization.inject_prefetch = False
        return train(iter(data.with_options(options)))

    if train is not None:
        model.train_function = first
