"""Adam in one pass over memory, and as PyTorch computes it."""

from typing import Any

import larq as lq
import tensorflow as tf

__all__ = ["FusedAdam", "TorchAdam"]


@lq.utils.register_keras_custom_object
class FusedAdam(tf.keras.optimizers.Adam):
    """Keras's Adam, with one operation of TensorFlow for each weight instead of a dozen.

    That operation is the one of `tf.keras.optimizers.legacy.Adam`. It computes the same up to
    rounding.
    """

    epsilon: float | tf.Tensor

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Update one weight."""
        if self.amsgrad or isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable)
            return
        dtype = variable.dtype
        step = tf.cast(self.iterations + 1, dtype)
        # As in Keras, what is raised to a power is rounded to float32 first.
        power_1, power_2 = (tf.cast(beta, dtype) ** step for beta in (self.beta_1, self.beta_2))
        index = self._index_dict[self._var_key(variable)]
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].handle,
            v=self._velocities[index].handle,
            beta1_power=power_1,
            beta2_power=power_2,
            lr=tf.cast(self.learning_rate, dtype),
            beta1=tf.constant(self.beta_1, dtype),
            beta2=tf.constant(self.beta_2, dtype),
            epsilon=tf.convert_to_tensor(self.epsilon, dtype),
            grad=gradient,
        )


@lq.utils.register_keras_custom_object
class TorchAdam(FusedAdam):
    r"""Adam as PyTorch computes it.

    \\[
    w \leftarrow w - \eta \, \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}
    \\]

    Keras adds epsilon to the root of v itself, and its default is 1e-7 instead of 1e-8. So in
    Keras a weight whose gradients are near 1e-7 moves half as far, and less in the first steps.
    """

    def __init__(self, learning_rate: Any = 1e-3, *, epsilon: float = 1e-8, **kwargs: Any):
        super().__init__(learning_rate, epsilon=epsilon, **kwargs)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Update one weight."""
        epsilon = self.epsilon
        step = tf.cast(self.iterations + 1, variable.dtype)
        # What Keras divides by is the root of v; PyTorch's is larger by one over this factor.
        self.epsilon = epsilon * tf.sqrt(1 - tf.cast(self.beta_2, variable.dtype) ** step)
        try:
            super().update_step(gradient, variable)
        finally:
            self.epsilon = epsilon
