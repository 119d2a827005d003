"""Labels of two kinds: numbers of classes, and distributions over classes."""

import tensorflow as tf

__all__ = ["are_distributions", "distribution_of"]


def are_distributions(labels: tf.Tensor, outputs: tf.Tensor) -> bool:
    """Whether labels have a number for each class, as the outputs have: the shapes tell."""
    theirs, ours = labels.shape, outputs.shape
    return theirs.rank == ours.rank and theirs[-1] == ours[-1]


def distribution_of(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Labels as distributions, of the shape and type of the outputs.

    Args:
        labels: Distributions of the shape `(..., classes)`, or class numbers of the shape `(...)`
            or `(..., 1)`.
        outputs: What a network gives: `(..., classes)`.

    Raises:
        InvalidArgumentError: If a class number is not from 0 to `classes - 1`.
    """
    labels, outputs = tf.convert_to_tensor(labels), tf.convert_to_tensor(outputs)
    if are_distributions(labels, outputs):
        return tf.cast(labels, outputs.dtype)
    if labels.shape.rank == outputs.shape.rank:
        labels = tf.squeeze(labels, -1)
    labels, classes = tf.cast(labels, tf.int64), outputs.shape[-1]
    # `one_hot` would make zeros of other numbers, of which the loss is 0.
    message = f"Labels must be class numbers from 0 to {classes - 1}."
    checks = [
        tf.debugging.assert_non_negative(labels, message),
        tf.debugging.assert_less(labels, tf.constant(classes, tf.int64), message),
    ]
    with tf.control_dependencies([check for check in checks if check is not None]):
        return tf.one_hot(labels, classes, dtype=outputs.dtype)
