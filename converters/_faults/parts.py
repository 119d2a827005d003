"""Functions that the engines have no kernel for, computed by functions for which they have one."""

from collections.abc import Callable
from typing import Any, NamedTuple

from larq_reactnet._graph.calls import Call, KerasTensor
from larq_reactnet.converters._faults.rewrites import again

import larq as lq
import numpy as np
import tensorflow as tf

__all__ = ["Erf", "Gelu", "Parts", "by_parts", "erf"]

layers = tf.keras.layers
_EPSILON = 2.0**-10  # added to 1 minus itself, it gives exactly 1

# The error function as a quotient of polynomials, as near as float32 allows. Beyond 4 it rounds to
# 1. These are the coefficients of Eigen, the library that TensorFlow computes with, the highest
# power first.
_LARGEST = 4.0
_ABOVE = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
_BELOW = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)


def erf(x: tf.Tensor) -> tf.Tensor:
    """The error function; in float32 by additions, multiplications and one division.

    In float64, in which models are proved equal, it is TensorFlow's.
    """
    if x.dtype != tf.float32:
        return tf.math.erf(x)
    x = tf.clip_by_value(x, -_LARGEST, _LARGEST)
    square = x * x
    above, below = (_polynomial(square, numbers) for numbers in (_ABOVE, _BELOW))
    return x * above / below


def _polynomial(x: tf.Tensor, coefficients: tuple[float, ...]) -> tf.Tensor:
    result = x * coefficients[0] + coefficients[1]
    for number in coefficients[2:]:
        result = result * x + number
    return result


@lq.utils.register_keras_custom_object
class Erf(tf.keras.layers.Layer):
    """The error function, by parts."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The error function of `inputs`."""
        return erf(inputs)


@lq.utils.register_keras_custom_object
class Gelu(tf.keras.layers.Layer):
    """`gelu(x) = x (1 + erf(x / sqrt(2))) / 2`, by parts."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The GELU of `inputs`."""
        if inputs.dtype != tf.float32:  # TensorFlow rounds the root of 2 to float32 in all types
            return tf.nn.gelu(inputs)
        return 0.5 * inputs * (1 + erf(inputs * float(np.sqrt(0.5))))


@lq.utils.register_keras_custom_object
class Softsign(tf.keras.layers.Layer):
    """`softsign(x) = x / (1 + |x|)`, by parts."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The softsign of `inputs`."""
        return inputs / (1 + tf.abs(inputs))


class Parts(NamedTuple):
    """How a call is computed by other functions.

    Attributes:
        cure: What to write instead.
        build: A function of the input of the call and a name. It gives the output.
    """

    cure: str
    build: Callable[[KerasTensor, str], Any]


# The layers by parts, the functions that they stand for, and what to write instead.
_LAYERS: dict[type[tf.keras.layers.Layer], tuple[tuple[Any, ...], str]] = {
    Gelu: (
        (tf.keras.activations.gelu, tf.nn.gelu),
        "use `gelu(x, approximate=True)`, which is one operator; `export` writes it by its parts",
    ),
    Erf: ((tf.math.erf,), "`export` writes it by additions and multiplications"),
    Softsign: (
        (tf.keras.activations.softsign, tf.nn.softsign),
        "write it as `x / (1 + tf.abs(x))`",
    ),
}


def by_parts(call: Call) -> Parts | None:
    """How to compute `call` by functions for which there are kernels; None if that is unknown."""
    layer = call.layer
    if len(call.inputs) != 1:
        return None
    if type(layer) is layers.Normalization:
        return _normalization(layer, call.inputs[0].shape[-1])
    activation = _function_of(call) or getattr(layer, "activation", None)
    for new, (functions, cure) in _LAYERS.items():
        if activation in functions:
            return Parts(cure, _builder(layer, new))
    return None


def _builder(
    layer: tf.keras.layers.Layer, new: type[tf.keras.layers.Layer]
) -> Callable[[KerasTensor, str], Any]:
    """A function that builds `layer` with a layer of the type `new` as its activation."""

    def build(tensor: KerasTensor, name: str) -> Any:
        if type(layer) is layers.Activation or not hasattr(layer, "activation"):
            return new(name=name, dtype=tensor.dtype.name)(tensor)
        result = again(layer, tensor, name=name, activation="linear")
        return new(name=f"{name}_{new.__name__.lower()}", dtype=layer.dtype)(result)

    return build


def _function_of(call: Call) -> Any:
    """The function that Keras made a layer of, as in `tf.math.erf(tensor)`; None of others."""
    if type(call.layer).__name__ != "TFOpLambda":
        return None
    args, kwargs = call.arguments
    name = str(call.layer.get_config()["function"])
    if name == "nn.gelu" and kwargs.get("approximate", args[1] if len(args) > 1 else False):
        return None  # it has a kernel
    known = {"nn.gelu": tf.nn.gelu, "math.erf": tf.math.erf, "nn.softsign": tf.nn.softsign}
    return known.get(name)


def _normalization(layer: tf.keras.layers.Layer, channels: int) -> Parts | None:
    """As a batch normalization, which LCE joins with a binary convolution before it."""
    mean, variance = (np.reshape(np.asarray(v), -1) for v in (layer.mean, layer.variance))
    if len(mean) not in (1, channels) or len(layer.axis) > 1 or getattr(layer, "invert", False):
        return None
    deviation = np.maximum(np.sqrt(variance.astype(np.float64)), tf.keras.backend.epsilon())

    def build(tensor: KerasTensor, name: str) -> Any:
        new = layers.BatchNormalization(epsilon=_EPSILON, name=name, dtype=layer.dtype)
        result = new(tensor)
        new.gamma.assign(np.broadcast_to(1 / deviation, channels))
        new.moving_mean.assign(np.broadcast_to(mean, channels))
        new.moving_variance.assign(np.full(channels, 1 - _EPSILON))
        return result

    return Parts("use a BatchNormalization", build)
