"""The accuracy, for labels that are class numbers or distributions."""

from larq_reactnet._labels import are_distributions

import larq as lq
import tensorflow as tf

__all__ = ["SoftCategoricalAccuracy"]


@lq.utils.register_keras_custom_object
class SoftCategoricalAccuracy(tf.keras.metrics.MeanMetricWrapper):
    """How often the largest output is that of the label; of a distribution, of its largest share.

    For `metrics=["accuracy"]` Keras chooses one kind of labels when it sees the first ones, which
    are those of training. With mixup and cutmix these are distributions, and those of tests are
    not. Labels and outputs have the shapes that `losses.SoftCategoricalCrossentropy` takes.

    !!! example
        ```python
        loss = lr.losses.SoftCategoricalCrossentropy()
        model.compile("adam", loss, metrics=[lr.metrics.SoftCategoricalAccuracy()])
        ```

    Args:
        name: Its name in histories.
        dtype: As of any Keras metric.
    """

    def __init__(self, name: str = "accuracy", dtype: str | None = None):
        super().__init__(_is_right, name, dtype)


def _is_right(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """1.0 or 0.0 for each sample, of shape `(batch,)`."""
    if are_distributions(y_true, y_pred):
        return tf.keras.metrics.categorical_accuracy(y_true, y_pred)
    return tf.keras.metrics.sparse_categorical_accuracy(y_true, y_pred)
