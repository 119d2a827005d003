"""Layers and functions of real numbers that LCE is known to convert rightly."""

from larq_reactnet._graph.calls import Call
from larq_reactnet.layers import LearnableBias, Rotate180, RPReLU

import larq as lq
import tensorflow as tf

__all__ = [
    "GOOD_ACTIVATIONS",
    "GOOD_FUNCTIONS",
    "GOOD_LAYERS",
    "is_good_function",
    "is_good_layer",
]

layers = tf.keras.layers
activations = tf.keras.activations

# Layers that are right in every form in which they can be written but for their activations.
# tests/test_kernels.py tries each.
GOOD_LAYERS = (
    layers.Activation,
    layers.ActivityRegularization,
    layers.Add,
    layers.AlphaDropout,
    layers.Average,
    layers.AveragePooling2D,
    layers.BatchNormalization,
    layers.Concatenate,
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv2DTranspose,
    layers.Cropping2D,
    layers.Dense,
    layers.DepthwiseConv2D,
    layers.Dropout,
    layers.Flatten,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
    layers.InputLayer,
    layers.LeakyReLU,
    layers.MaxPooling2D,
    layers.Maximum,
    layers.Minimum,
    layers.Multiply,
    layers.PReLU,
    layers.ReLU,
    layers.Rescaling,
    layers.Reshape,
    layers.SeparableConv2D,
    layers.SpatialDropout2D,
    layers.Subtract,
    layers.ZeroPadding2D,
    lq.layers.QuantConv1D,
    lq.layers.QuantConv2D,
    lq.layers.QuantConv2DTranspose,
    lq.layers.QuantConv3D,
    lq.layers.QuantDense,
    lq.layers.QuantDepthwiseConv2D,
    lq.layers.QuantSeparableConv1D,
    lq.layers.QuantSeparableConv2D,
    LearnableBias,
    RPReLU,
    Rotate180,
)
GOOD_ACTIVATIONS = (
    activations.linear,
    activations.relu,
    activations.sigmoid,
    activations.softmax,
    activations.tanh,
    tf.nn.relu,
    tf.nn.relu6,
    tf.nn.sigmoid,
    tf.nn.softmax,
    tf.nn.tanh,
)

# Functions of tensors, without constants: see `is_good_function`.
GOOD_FUNCTIONS = (
    "__operators__.add",
    "math.add",
    "math.maximum",
    "math.minimum",
    "math.multiply",
    "math.subtract",
)


def is_good_function(call: Call) -> bool:
    """Whether a call is a slice of a tensor, or a sum, product and the like of two tensors."""
    kind = type(call.layer).__name__
    if kind == "SlicingOpLambda":
        return True
    name = call.layer.get_config()["function"] if kind == "TFOpLambda" else ""
    return name in GOOD_FUNCTIONS and len(call.inputs) == 2


def is_good_layer(call: Call) -> bool:
    """Whether a layer is right but for its activation: it works on the last axis, if on one."""
    layer = call.layer
    axis = getattr(layer, "axis", None)
    axes = axis if isinstance(axis, list | tuple) else [axis]
    is_last = axis is None or [*axes] in ([-1], [len(call.outputs[0].shape) - 1])
    return type(layer) in GOOD_LAYERS and is_last
