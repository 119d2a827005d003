"""Of several processes that run the same script, which one writes files."""

import tensorflow as tf

__all__ = ["has_several_workers", "is_chief"]


def has_several_workers(strategy: tf.distribute.Strategy) -> bool:
    """Whether several processes run the same script, each with its part of the replicas."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the files. Of several workers one does, the first."""
    return not has_several_workers(strategy) or bool(strategy.extended.should_checkpoint)
