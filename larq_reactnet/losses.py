r"""ReActNet's distributional loss, and cross-entropy with labels of either kind."""

from typing import Any

from larq_reactnet._labels import distribution_of

import larq as lq
import tensorflow as tf

__all__ = ["DistributionLoss", "SoftCategoricalCrossentropy", "distribution_loss"]


def distribution_loss(
    teacher_logits: tf.Tensor, logits: tf.Tensor, temperature: float = 1.0
) -> tf.Tensor:
    """Cross-entropy of each sample between two distributions. See `DistributionLoss`."""
    targets = tf.nn.softmax(tf.cast(teacher_logits, logits.dtype) / temperature)
    loss = tf.nn.softmax_cross_entropy_with_logits(targets, logits / temperature)
    return temperature**2 * loss


@lq.utils.register_keras_custom_object
class DistributionLoss(tf.keras.losses.Loss):
    r"""Cross-entropy between the distributions of a real-valued teacher and a binary student.

    \\[
    \mathcal{L} = -\frac{T^2}{n} \sum_{i=1}^n \sum_c
      \text{softmax}(t_i / T)_c \, \log \text{softmax}(s_i / T)_c
    \\]

    ReActNet section 4.3. The paper writes the Kullback-Leibler divergence, its code this
    cross-entropy: they differ by the teacher's entropy, which has no gradient. \\(T = 1\\) in the
    paper; the factor \\(T^2\\) keeps the size of the gradient for other temperatures (Hinton,
    Vinyals and Dean, 2015).

    Called with the teacher's logits as `y_true` and the student's as `y_pred`, both of shape
    `(batch, classes)` and before any softmax.

    Args:
        temperature: \\(T > 0\\).
        **kwargs: Arguments of `tf.keras.losses.Loss`.

    Raises:
        ValueError: If `temperature` is not positive and finite.

    References:
        - [ReActNet: Towards Precise Binary Neural Network with Generalized Activation
            Functions](https://arxiv.org/abs/2003.03488)
        - [Distilling the Knowledge in a Neural Network](https://arxiv.org/abs/1503.02531)
    """

    def __init__(self, temperature: float = 1.0, **kwargs: Any):
        if not 0 < temperature < float("inf"):
            raise ValueError(f"`temperature` must be positive and finite, got {temperature}.")
        super().__init__(**{"name": "distribution_loss", **kwargs})
        self.temperature = temperature

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of each sample, of shape `(batch,)`."""
        return distribution_loss(y_true, y_pred, self.temperature)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "temperature": self.temperature}


@lq.utils.register_keras_custom_object
class SoftCategoricalCrossentropy(tf.keras.losses.CategoricalCrossentropy):
    r"""Cross-entropy with labels that are class numbers or distributions, smoothed if wanted.

    \\[
    \mathcal{L} = -\frac{1}{n} \sum_{i=1}^n \sum_{c=1}^K
      \left((1 - \epsilon) \, y_{ic} + \frac{\epsilon}{K}\right) \log p_{ic}
    \\]

    Keras has one loss for each kind of labels, and smooths distributions only. Here both kinds go
    through the same loss, as training with mixup or cutmix needs, where labels are distributions
    in training and class numbers in tests. Label smoothing is that of Szegedy et al. (2016),
    section 7: \\(\epsilon\\) of each label is spread evenly over all \\(K\\) classes.

    Labels of the shape of the outputs, `(batch, K)`, are distributions \\(y\\). Those of shape
    `(batch,)` or `(batch, 1)` are class numbers from 0 to K - 1.

    !!! example
        ```python
        data = lr.zoo.datasets.load("digits", mixup=0.2)
        model = lr.zoo.ReActNet18(input_shape=data.image_shape, num_classes=10)
        loss = lr.losses.SoftCategoricalCrossentropy(label_smoothing=0.1)
        model.compile("adam", loss, metrics=[lr.metrics.SoftCategoricalAccuracy()])
        ```

    Args:
        from_logits: Whether the outputs are logits and not probabilities \\(p\\).
        label_smoothing: \\(0 \le \epsilon < 1\\).
        **kwargs: Other arguments of `tf.keras.losses.CategoricalCrossentropy`.

    Raises:
        ValueError: If `label_smoothing` is not in its range.

    References:
        - [Rethinking the Inception Architecture for Computer
            Vision](https://arxiv.org/abs/1512.00567)
    """

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, **kwargs: Any):
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                f"`label_smoothing` must be at least 0 and below 1, got {label_smoothing}."
            )
        super().__init__(
            from_logits,
            label_smoothing,
            **{"name": "soft_categorical_crossentropy", **kwargs},
        )

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of each sample, of shape `(batch,)`."""
        return super().call(distribution_of(y_true, y_pred), y_pred)
