r"""The scaled regularizers of BNN+, which pull latent weights towards \\(\pm\alpha\\).

L1 and L2 decay pull weights to zero, where a sign is least certain. BNN+ (section 3.1) replaces
them by penalties whose minima are at the two values that a binary weight can take:

\\[
R_1(w) = \left|\alpha - |w|\right|, \qquad R_2(w) = (\alpha - |w|)^2
\\]

Both are summed over the weights and multiplied by a strength \\(\lambda\\). The strength is a
`tf.Variable`, so `callbacks.RegularizerSchedule` can change it without retracing.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from larq_reactnet._fused import at_least_float32
from larq_reactnet._penalties import absolute, squared

import larq as lq
import numpy as np
import tensorflow as tf

__all__ = ["R1", "R2", "ScaledRegularizer"]

Alpha: TypeAlias = float | np.ndarray | tf.Variable | Callable[[], tf.Tensor]


class ScaledRegularizer(tf.keras.regularizers.Regularizer, tf.Module):
    r"""Base of `R1` and `R2`: \\(\lambda \sum_i \rho(\alpha - |w_i|)\\).

    Args:
        strength: \\(\lambda \ge 0\\). BNN+ uses 1e-6 (CIFAR-10) and 1e-7 to 1e-6 (ImageNet).
        alpha: The scale \\(\alpha > 0\\): a number, an array that broadcasts against the weights
            (one value per output filter has shape `(filters,)`), a `tf.Variable` or a function
            that returns the current value. A `BNNPlusSign` quantizer passes its own instead.

    Raises:
        ValueError: If `strength` is negative or not finite, or a constant `alpha` not positive.
    """

    # It is a `tf.Module`, so that SavedModel finds the strength. But the strength is not a weight
    # of the layer, also not of a frozen one, of which Keras takes all variables.
    variables = trainable_variables = non_trainable_variables = ()

    # The sum of all penalties in one loop over the weights, for one alpha or one for each filter.
    _summed: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None

    def __init__(self, strength: float = 1e-6, alpha: Alpha = 1.0):
        super().__init__()
        if not 0 <= strength < float("inf"):
            raise ValueError(f"`strength` must be finite and not negative, got {strength}.")
        if not (callable(alpha) or np.all(np.asarray(alpha) > 0)):
            raise ValueError(f"`alpha` must be positive, got {alpha}.")
        self.strength = tf.Variable(strength, trainable=False, dtype=tf.float32, name="strength")
        self.initial_strength = float(strength)
        self.alpha = alpha

    def penalty(self, distance: tf.Tensor) -> tf.Tensor:
        r"""The function \\(\rho\\) of \\(\alpha - |w|\\)."""
        raise NotImplementedError

    def __call__(self, x: tf.Tensor, alpha: tf.Tensor | None = None) -> tf.Tensor:
        """The penalty of the latent weights `x`, a scalar of float32, or of float64 as `x` is.

        Args:
            x: Latent weights, of any shape.
            alpha: Overrides the scale given at construction.
        """
        x = tf.convert_to_tensor(x)
        x = tf.cast(x, at_least_float32(x.dtype))
        if alpha is None:
            alpha = self._value_of_alpha()
        alpha = tf.cast(alpha, x.dtype)
        # Outside a graph, a loop would be compiled anew for the shape of each kernel.
        fits = alpha.shape in (tf.TensorShape(()), x.shape[-1:]) and not tf.executing_eagerly()
        if self._summed is not None and fits:
            total = self._summed(x, alpha)
        else:
            total = tf.reduce_sum(self.penalty(alpha - tf.abs(x)))
        return tf.cast(self.strength, x.dtype) * total

    def get_config(self) -> dict[str, Any]:
        """The strength and the scale; an external scale is saved by its present value."""
        alpha = np.asarray(self._value_of_alpha())
        return {"strength": self.initial_strength, "alpha": alpha.tolist()}

    def _value_of_alpha(self) -> tf.Tensor | np.ndarray:
        """The scale at present, in the precision in which it was given."""
        if isinstance(self.alpha, tf.Variable):
            return self.alpha
        return self.alpha() if callable(self.alpha) else np.asarray(self.alpha)


@lq.utils.register_keras_custom_object
class R1(ScaledRegularizer):
    r"""BNN+'s Manhattan regularizer \\(\lambda \sum_i \left|\alpha - |w_i|\right|\\).

    !!! example
        ```python
        lq.layers.QuantConv2D(64, 3, kernel_regularizer=lr.regularizers.R1(1e-6, alpha=0.5))
        ```

    References:
        - [BNN+: Improved Binary Network Training](https://arxiv.org/abs/1812.11800)
    """

    _summed = staticmethod(absolute)

    def penalty(self, distance: tf.Tensor) -> tf.Tensor:
        """The absolute value."""
        return tf.abs(distance)


@lq.utils.register_keras_custom_object
class R2(ScaledRegularizer):
    r"""BNN+'s Euclidean regularizer \\(\lambda \sum_i (\alpha - |w_i|)^2\\).

    References:
        - [BNN+: Improved Binary Network Training](https://arxiv.org/abs/1812.11800)
    """

    _summed = staticmethod(squared)

    def penalty(self, distance: tf.Tensor) -> tf.Tensor:
        """The square."""
        return tf.square(distance)
