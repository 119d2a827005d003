r"""Binary quantizers of BNN+ and ReActNet, for Larq's `input_quantizer` and `kernel_quantizer`.

Each is a pure function and a thin class that is registered with Keras, also under a string alias:

| class | alias | for | forward | backward |
| --- | --- | --- | --- | --- |
| `SwishSign` | `"bnn_plus_swish_sign"` | both | sign(x) | derivative of SignSwish |
| `RSign` | `"rsign"` | inputs | sign(x - threshold) | a surrogate at x - threshold |
| `ReActSign` | `"react_sign"` | kernels | mean abs(w) * sign(w) | identity where abs(w) <= 1 |
| `BNNPlusSign` | `"bnn_plus_sign"` | kernels | alpha * sign(w) | derivative of SignSwish |

The forward pass is always `larq.math.sign`, up to a shift before and a scale per output channel
after it: that is the form which Larq Compute Engine turns into bits.

Under mixed precision, thresholds and scales stay float32, and so does the arithmetic with them.

An alias is the name of the registered class in snake_case, as in Larq. `SwishSign` is registered as
`BNNPlusSwishSign`, because Larq registers a class and an alias of the shorter names. Two older
aliases, `"bnnplus_swish_sign"` and `"bnnplus_sign"`, work for ever, because saved models have them.
"""

from typing import Any

from larq_reactnet._alpha import MINIMUM, eager_value, percentile_of_magnitude
from larq_reactnet._binary_quantizer import BinaryQuantizer
from larq_reactnet._fused import Gradient, at_least_float32, sum_of_channels
from larq_reactnet._surrogates import (
    SLOPES,
    clipped_gradient,
    shifted_gradients,
    shifted_sign,
    swish_gradient,
    swish_gradients,
)
from larq_reactnet._types import Initializer, Shape
from larq_reactnet.regularizers import ScaledRegularizer

import larq as lq
import numpy as np
import tensorflow as tf

__all__ = [
    "BNNPlusSign",
    "RSign",
    "ReActSign",
    "SwishSign",
    "bnn_plus_sign",
    "react_sign",
    "rsign",
    "swish_sign",
]


@lq.utils.register_keras_custom_object
class Positive(tf.keras.constraints.Constraint):
    """Constrains a weight to be at least 1e-6."""

    def __call__(self, w: tf.Tensor) -> tf.Tensor:
        """Clip `w` from below."""
        return tf.maximum(w, tf.cast(MINIMUM, w.dtype))


def swish_sign(x: tf.Tensor, beta: float | tf.Tensor = 5.0) -> tf.Tensor:
    r"""Sign, with the derivative of BNN+'s SignSwish as gradient. See `SwishSign`."""
    is_trained = tf.is_tensor(beta)
    wide = at_least_float32(x.dtype)
    # A Python number is not cast, because `tf.cast` makes a float32 of it first.
    beta = tf.cast(beta, wide) if is_trained else tf.constant(beta, wide)

    @tf.custom_gradient
    def _call(x: tf.Tensor, beta: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        def grad(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
            if not is_trained:
                return swish_gradient(dy, x, beta), None
            dx, dbeta = swish_gradients(dy, x, beta)
            return dx, tf.reduce_sum(dbeta)

        return lq.math.sign(x), grad

    return _call(x, beta)


def rsign(
    x: tf.Tensor, threshold: tf.Tensor, surrogate: str = "approx_sign", training: bool = False
) -> tf.Tensor:
    """Sign of `x - threshold`, with the gradient of `surrogate`. See `RSign`.

    Args:
        x: Input, whose last axis is channels.
        threshold: One for each channel.
        surrogate: See `RSign`.
        training: Compute the sign in one pass over memory, which LCE's converter does not know.
    """

    @tf.custom_gradient
    def _call(x: tf.Tensor, threshold: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        def grad(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            dx = shifted_gradients[surrogate](dy, x, threshold)
            return dx, -sum_of_channels(dx, threshold.dtype)

        if training:
            return shifted_sign(x, threshold), grad
        shifted = tf.nn.bias_add(tf.cast(x, threshold.dtype), -threshold)
        return tf.cast(lq.math.sign(shifted), x.dtype), grad

    return _call(x, tf.cast(threshold, at_least_float32(x.dtype)))


def react_sign(w: tf.Tensor) -> tf.Tensor:
    """Sign times the mean magnitude of each output filter. See `ReActSign`."""

    @tf.custom_gradient
    def _call(w: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        magnitude = tf.cast(tf.abs(w), at_least_float32(w.dtype))
        scale = tf.reduce_mean(magnitude, axis=list(range(len(w.shape) - 1)), keepdims=True)
        return tf.cast(scale, w.dtype) * lq.math.sign(w), lambda dy: clipped_gradient(dy, w)

    return _call(w)


def bnn_plus_sign(
    w: tf.Tensor, alpha: tf.Tensor, beta: float | tf.Tensor | None = 5.0
) -> tf.Tensor:
    """Sign times the scale `alpha` of each output filter. See `BNNPlusSign`."""
    sign = lq.quantizers.ste_sign(w) if beta is None else swish_sign(w, beta)
    wide = at_least_float32(w.dtype)
    return tf.cast(tf.cast(alpha, wide) * tf.cast(sign, wide), w.dtype)


@lq.utils.register_alias("bnn_plus_swish_sign")
@lq.utils.register_alias("bnnplus_swish_sign")
@lq.utils.register_keras_custom_object
class BNNPlusSwishSign(BinaryQuantizer):
    r"""Sign with the SignSwish gradient of BNN+.

    \\[
    q(x) = \begin{cases} -1 & x < 0 \\\ 1 & x \geq 0 \end{cases}
    \\]

    The gradient is that of \\(SS_\beta(x) = 2\sigma(\beta x)
    \left[1 + \beta x (1 - \sigma(\beta x))\right] - 1\\), BNN+ section 3.2:

    \\[
    \frac{\partial q}{\partial x} = \beta \, g(\beta x), \qquad
    g(u) = \frac{2 - u \tanh(u / 2)}{1 + \cosh(u)}
    \\]

    It peaks at \\(\beta\\), is negative beyond \\(|\beta x| = 2.4\\) and is evaluated in a form
    that is finite for every finite `x`, also in float16. (Larq's own `SwishSign` divides by
    `cosh`, and gives NaN once \\(\beta x\\) itself overflows.)

    Args:
        beta: How closely the surrogate follows the sign; BNN+ uses 5 and 10.
        trainable_beta: Train beta, one number per layer, kept positive. Its gradient is that of
            the surrogate, \\(\partial SS_\beta(x) / \partial \beta = x \, g(\beta x)\\). The paper
            keeps beta fixed.
        **kwargs: `metrics`, as for Larq's quantizers, and arguments of `tf.keras.layers.Layer`.

    Raises:
        ValueError: If `beta` is not positive and finite.

    References:
        - [BNN+: Improved Binary Network Training](https://arxiv.org/abs/1812.11800)
    """

    def __init__(self, beta: float = 5.0, trainable_beta: bool = False, **kwargs: Any):
        _check_beta(beta)
        super().__init__(**kwargs)
        self.beta = beta
        self.trainable_beta = trainable_beta

    def build(self, input_shape: Shape) -> None:
        """Create beta, if it is trained."""
        if self.trainable_beta:
            # "bias" in its name keeps `lq.models.summary` from counting it as multiplications.
            self.beta_weight = self.add_weight(
                "beta_bias",
                shape=(),
                initializer=tf.keras.initializers.Constant(self.beta),
                constraint=Positive(),
                experimental_autocast=False,
            )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Quantize `inputs`."""
        beta = self.beta_weight if self.trainable_beta else self.beta
        return self.counted(swish_sign(inputs, beta))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        config = {"beta": self.beta, "trainable_beta": self.trainable_beta}
        return {**super().get_config(), **config}


# Classes are registered under their names, and Larq registers a `SwishSign` of its own.
SwishSign = BNNPlusSwishSign


@lq.utils.register_alias("rsign")
@lq.utils.register_keras_custom_object
class RSign(BinaryQuantizer):
    r"""ReActNet's sign with a learnable threshold per channel (ReActNet section 4.2).

    \\[
    q(x_c) = \begin{cases} -1 & x_c < \alpha_c \\\ 1 & x_c \geq \alpha_c \end{cases}
    \\]

    Threshold and input get the gradient of `surrogate` at \\(x_c - \alpha_c\\), the former with
    opposite sign and summed over everything but channels.

    Args:
        surrogate: `"approx_sign"` (the paper's), `"swish_sign"` (BNN+, beta 5) or `"ste_sign"`.
        threshold_initializer: The paper starts at 0.
        **kwargs: `metrics`, as for Larq's quantizers, and arguments of `tf.keras.layers.Layer`.

    Raises:
        ValueError: If `surrogate` is unknown, or the number of channels is.

    References:
        - [ReActNet: Towards Precise Binary Neural Network with Generalized Activation
            Functions](https://arxiv.org/abs/2003.03488)
    """

    def __init__(
        self,
        surrogate: str = "approx_sign",
        threshold_initializer: Initializer = "zeros",
        **kwargs: Any,
    ):
        if surrogate not in SLOPES:
            raise ValueError(f"`surrogate` must be one of {[*SLOPES]}, got {surrogate!r}.")
        super().__init__(**kwargs)
        self.surrogate = surrogate
        self.threshold_initializer = tf.keras.initializers.get(threshold_initializer)

    def build(self, input_shape: Shape) -> None:
        """Create the threshold, of shape `(channels,)`."""
        channels = tf.TensorShape(input_shape)[-1]
        if channels is None:
            raise ValueError(f"RSign needs to know the number of channels, got {input_shape}.")
        # "bias" in its name keeps `lq.models.summary` from counting it as multiplications.
        self.threshold = self.add_weight(
            "threshold_bias",
            shape=(channels,),
            initializer=self.threshold_initializer,
            experimental_autocast=False,
        )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Quantize `inputs`, whose last axis is channels."""
        # The paper sends x = threshold to -1, its code to 0; here it is +1, as for LCE.
        return self.counted(rsign(inputs, self.threshold, self.surrogate, training is True))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        initializer = tf.keras.initializers.serialize(self.threshold_initializer)
        config = {"surrogate": self.surrogate, "threshold_initializer": initializer}
        return {**super().get_config(), **config}


@lq.utils.register_alias("react_sign")
@lq.utils.register_keras_custom_object
class ReActSign(BinaryQuantizer):
    r"""The kernel quantizer of the official ReActNet (its `HardBinaryConv`).

    \\[
    q(w_o) = \frac{\|w_o\|_1}{n} \, \text{sign}(w_o), \qquad
    \frac{\partial q}{\partial w} = \begin{cases} 1 & |w| \leq 1 \\\ 0 & |w| > 1 \end{cases}
    \\]

    with one scale for each output filter \\(w_o\\) of \\(n\\) weights. No gradient goes through the
    scale, nor is it multiplied into the gradient; in Larq's `MagnitudeAwareSign` it is. The filters
    are the last axis of the kernel, as in `QuantConv2D` and `QuantDense` (but not in transposed and
    depthwise layers).

    References:
        - [ReActNet: Towards Precise Binary Neural Network with Generalized Activation
            Functions](https://arxiv.org/abs/2003.03488)
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Quantize the latent weights `inputs`, whose last axis is output filters."""
        return self.counted(react_sign(inputs))


@lq.utils.register_alias("bnn_plus_sign")
@lq.utils.register_alias("bnnplus_sign")
@lq.utils.register_keras_custom_object
class BNNPlusSign(BinaryQuantizer):
    r"""The kernel quantizer of BNN+: a trainable scale per output filter, and its regularizer.

    \\[
    q(w_o) = \alpha_o \, \text{sign}(w_o), \qquad
    \frac{\partial q}{\partial w} = \alpha_o \, SS'_\beta(w), \qquad
    \frac{\partial q}{\partial \alpha_o} = \text{sign}(w_o)
    \\]

    (BNN+ section 3.3, algorithm 1.) \\(\alpha_o\\) starts at the 75th percentile of \\(|w_o|\\)
    and stays positive. The same \\(\alpha_o\\) is used in the regularizer, whose value is added
    to the losses of the layer at each of its calls and trains both \\(w\\) and \\(\alpha\\). The
    filters are the last axis of the kernel, as in `QuantConv2D` and `QuantDense`.

    Latent weights are not clipped in BNN+, so no `kernel_constraint` is needed.

    Args:
        beta: Of the SignSwish gradient; see `SwishSign`. `None` for the straight-through estimator,
            1 where abs(w) <= 1 and else 0, that the paper compares with.
        regularizer: `regularizers.R1(strength)`, `regularizers.R2(strength)` or `None`.
        **kwargs: `metrics`, as for Larq's quantizers, and arguments of `tf.keras.layers.Layer`.

    Raises:
        ValueError: If `beta` is not positive and finite, or `regularizer` has no scale.

    References:
        - [BNN+: Improved Binary Network Training](https://arxiv.org/abs/1812.11800)
    """

    def __init__(
        self,
        beta: float | None = 5.0,
        regularizer: ScaledRegularizer | dict[str, Any] | str | None = None,
        **kwargs: Any,
    ):
        if beta is not None:
            _check_beta(beta)
        regularizer = tf.keras.regularizers.get(regularizer)
        if not isinstance(regularizer, ScaledRegularizer | None):
            raise ValueError(
                "`regularizer` must be larq_reactnet's R1 or R2, which know about the scale alpha, "
                f"got {regularizer!r}; give others to the layer as `kernel_regularizer`."
            )
        super().__init__(**kwargs)
        self.beta = beta
        self.regularizer = regularizer
        self._initial_alpha: float | np.ndarray = 1.0  # until `__call__` sees the latent weights

    def __call__(self, inputs: tf.Tensor, *args: Any, **kwargs: Any) -> tf.Tensor:
        """Quantize the latent weights `inputs`, whose last axis is output filters."""
        if not self.built:
            self._initial_alpha = percentile_of_magnitude(eager_value(inputs))
        return super().__call__(inputs, *args, **kwargs)

    def build(self, input_shape: Shape) -> None:
        """Create alpha, of shape `(filters,)`."""
        # "bias" in its name keeps `lq.models.summary` from counting it as multiplications.
        self.alpha = self.add_weight(
            "alpha_bias",
            shape=(input_shape[-1],),
            initializer=lambda shape, dtype: tf.broadcast_to(
                tf.cast(self._initial_alpha, dtype), shape
            ),
            constraint=Positive(),
            experimental_autocast=False,
        )
        super().build(input_shape)

    def get_build_config(self) -> None:
        """Nothing: alpha can be created only when the latent weights are there."""

    def reset_alpha(self, latent_weights: np.ndarray | tf.Variable) -> None:
        """Set alpha to the 75th percentile of the magnitude of each filter of `latent_weights`.

        For weights that were loaded or trained before they became binary.
        """
        self.alpha.assign(percentile_of_magnitude(np.asarray(latent_weights)))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Quantize `inputs` and add the regularizer's value to the losses."""
        if self.regularizer is not None:
            self.add_loss(self.regularizer(inputs, alpha=self.alpha))
        return self.counted(bnn_plus_sign(inputs, self.alpha, self.beta))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        regularizer = tf.keras.regularizers.serialize(self.regularizer)
        return {**super().get_config(), "beta": self.beta, "regularizer": regularizer}


def _check_beta(beta: float) -> None:
    if not 0 < beta < float("inf"):
        raise ValueError(f"`beta` must be positive and finite, got {beta}.")
