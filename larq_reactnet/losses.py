r"""ReActNet's distributional loss."""

from typing import Any

import larq as lq
import tensorflow as tf

__all__ = ["DistributionLoss", "distribution_loss"]


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
