"""Models with each fault that `export` cures, as a table for the tests of `cure`."""

import larq_reactnet as lr

import larq as lq
import tensorflow as tf
from faulty_models import BINARY, binary_conv, model_of

layers = tf.keras.layers
conv = binary_conv
Sign, DoReFa = lq.quantizers.SteSign, lq.quantizers.DoReFa


def cast(x):
    return 2 * tf.cast(x >= 0, x.dtype) - 1


def ones_like(x):
    return tf.where(x >= 0, tf.ones_like(x), -tf.ones_like(x))


def after(*arguments, **more):
    """A convolution that takes its inputs as they are."""
    return conv(*arguments, **{"input_quantizer": None, **more})


def dense(units=5, **arguments):
    return lq.layers.QuantDense(units, **{"name": "faulty", **BINARY, **arguments})


def line(**arguments):
    return lq.layers.QuantConv1D(8, 3, **{"name": "faulty", **BINARY, **arguments})


class Pad(layers.Layer):
    """Marks where `functional` calls `tf.pad`."""

    def __init__(self, amounts, value=0.0):
        super().__init__()
        self.amounts, self.value = amounts, value


def functional(*stack, shape=(8, 8, 4)):
    """A model of layers and functions of TensorFlow, one after the other."""
    x = inputs = layers.Input(shape)
    for layer in stack:
        if isinstance(layer, Pad):
            around = [(0, 0), *layer.amounts, (0, 0)]
            x = tf.pad(x, around, constant_values=layer.value)
        else:
            x = layer(x)
    return tf.keras.Model(inputs, x, name="functional")


def ones(amount):
    return Pad(((amount, amount), (amount, amount)), 1.0)


def twice(layer, shape):
    return functional(layer, layer, shape=shape)


# What plain LCE does, the model, words of the finding, and the LceBconv2d that there must be.
CURED = {
    "padding of a convolution": (
        "wrong",
        lambda: model_of(layers.ZeroPadding2D(1), layers.Conv2D(5, 3, 2, name="faulty")),
        r"padding \(\(1, 1\), \(1, 1\)\) before it for 'same'.*pad by \(\(1, 0\), \(1, 0\)\)",
        0,
    ),
    "padding of a stem": (
        "wrong",
        lambda: model_of(layers.ZeroPadding2D(3), layers.Conv2D(5, 7, 2, name="faulty")),
        r"pad by \(\(3, 2\), \(3, 2\)\)",
        0,
    ),
    "padding of a depthwise convolution": (
        "wrong",
        lambda: model_of(layers.ZeroPadding2D(1), layers.DepthwiseConv2D(3, 2, name="faulty")),
        "for 'same', which starts at another pixel",
        0,
    ),
    "padding of a separable convolution, by a function": (
        "wrong",
        lambda: functional(
            Pad(((1, 1), (1, 1))),
            layers.Dropout(0.1),
            layers.SeparableConv2D(5, 3, 2, name="faulty"),
        ),
        "for 'same', which starts at another pixel",
        0,
    ),
    "ones after a sign": (
        "wrong",
        lambda: functional(Sign(), ones(1), after(strides=2)),
        "for 'same', which starts at another pixel.*pad before the sign",
        1,
    ),
    "ones after a sign with thresholds": (
        "wrong",
        lambda: functional(lr.quantizers.RSign(), ones(1), after(strides=2)),
        "for 'same', which starts at another pixel",
        1,
    ),
    "more ones after a sign": (
        "float",
        lambda: functional(Sign(), ones(2), after()),
        "padding after a sign",
        1,
    ),
    "zeros after a sign": (
        "float",
        lambda: model_of(Sign(), layers.ZeroPadding2D(1), after()),
        "explicit zero padding after a sign.*padding='same' instead",
        1,
    ),
    "zeros after a sign, with a stride": (
        "float",
        lambda: model_of(
            Sign(), layers.ZeroPadding2D(((1, 2), (1, 1))), after(strides=2), shape=(7, 7, 4)
        ),
        "explicit zero padding after a sign",
        1,
    ),
    "a sign of another form": (
        "float",
        lambda: model_of(conv(input_quantizer=cast)),
        "does not recognize its input quantizer cast",
        1,
    ),
    "a sign of another form as a layer": (
        "float",
        lambda: model_of(layers.Activation(cast), after()),
        "does not recognize its input quantizer cast",
        1,
    ),
    "a sign that is shared": (
        "float",
        lambda: twice(conv(32, input_quantizer=cast, padding="same"), (6, 6, 32)),
        "does not recognize its input quantizer cast",
        2,
    ),
    "pooling of signs": (
        "float",
        lambda: model_of(Sign(), layers.MaxPooling2D(), after()),
        "MaxPooling2D between the sign and it.*`input_quantizer` too",
        1,
    ),
    "dense": (
        "float",
        lambda: model_of(layers.Flatten(), dense()),
        "no binary dense kernel.*QuantConv2D",
        1,
    ),
    "dense, with quantizers that are trained": (
        "float",
        lambda: model_of(
            layers.Flatten(),
            dense(input_quantizer="rsign", kernel_quantizer="bnn_plus_sign", activation="relu"),
        ),
        "no binary dense kernel",
        1,
    ),
    "dense after flattened signs": (
        "float",
        lambda: model_of(Sign(), layers.Flatten(), dense(input_quantizer=None)),
        "no binary dense kernel",
        1,
    ),
    "groups of 32 channels": (
        "refused",
        lambda: model_of(conv(groups=2), shape=(8, 8, 64)),
        "default kernel refuses a binary convolution with 2 groups.*without groups",
        2,
    ),
    "groups of few channels": (
        "float",
        lambda: model_of(
            conv(
                groups=2,
                padding="same",
                input_quantizer="rsign",
                kernel_quantizer="bnn_plus_sign",
                activation="relu",
            )
        ),
        "2 groups of channels that are not a multiple of 32",
        2,
    ),
    "a map smaller than the kernel": (
        "wrong",
        lambda: model_of(
            conv(padding="same", strides=2, kernel_quantizer="react_sign", activation="relu"),
            layers.BatchNormalization(),
            shape=(2, 8, 4),
        ),
        "2x8 input is smaller than its 3x3 kernel.*pad_values=1.0",
        1,
    ),
    "a map smaller than the dilated kernel": (
        "wrong",
        lambda: model_of(conv(padding="same", dilation_rate=2, use_bias=False), shape=(3, 4, 4)),
        "3x4 input is smaller than its 5x5 kernel",
        1,
    ),
    "groups on a map of one pixel": (
        "refused",
        lambda: model_of(conv(groups=2, padding="same"), shape=(1, 1, 64)),
        "with 2 groups",
        2,
    ),
    "zeros after a sign, as PyTorch pads": (
        "float",
        lambda: model_of(Sign(), layers.ZeroPadding2D(1), after(strides=2, activation="relu")),
        "explicit zero padding after a sign",
        1,
    ),
    "many zeros after a sign with thresholds": (
        "float",
        lambda: model_of(
            lr.quantizers.RSign(),
            layers.ZeroPadding2D(2),
            after(strides=2, kernel_quantizer="react_sign", use_bias=False),
        ),
        "explicit zero padding after a sign",
        1,
    ),
    "padding with -1": (
        "float",
        lambda: model_of(conv(padding="same", strides=2, pad_values=-1.0)),
        "padding with -1.0 is not binary",
        1,
    ),
    "a function between the sign and the convolution": (
        "float",
        lambda: model_of(Sign(), layers.Lambda(lambda x: tf.repeat(x, 2, 1)), after()),
        "Lambda between the sign and it",
        1,
    ),
    "one dimension": (
        "float",
        lambda: model_of(line(strides=2, padding="same"), shape=(12, 4)),
        r"no binary kernel for QuantConv1D.*size \(k, 1\)",
        1,
    ),
    "one dimension after a sign": (
        "float",
        lambda: model_of(
            Sign(),
            line(input_quantizer=None, groups=2, activation="relu", dilation_rate=2),
            shape=(12, 4),
        ),
        "no binary kernel for QuantConv1D",
        2,
    ),
    "one dimension that is short": (
        "float",
        lambda: model_of(line(padding="same", input_quantizer="rsign"), shape=(2, 4)),
        "no binary kernel for QuantConv1D",
        1,
    ),
    "0 and 1 of DoReFa": (
        "float",
        lambda: model_of(conv(input_quantizer=DoReFa(1), padding="same", activation="relu")),
        "DoReFa does not give -1 and.*use a sign",
        1,
    ),
    "0 and 1 of a step, and weights with scales": (
        "float",
        lambda: model_of(
            conv(input_quantizer="ste_heaviside", kernel_quantizer="react_sign", groups=2)
        ),
        "SteHeaviside does not give -1 and",
        2,
    ),
    "0 and 1 of a layer, pooled and padded": (
        "float",
        lambda: model_of(
            DoReFa(1), layers.MaxPooling2D(), layers.ZeroPadding2D(1), after(strides=2)
        ),
        "DoReFa does not give -1 and",
        1,
    ),
    "0 and 1 for a dense layer": (
        "float",
        lambda: model_of(layers.Flatten(), dense(input_quantizer=DoReFa(1))),
        "DoReFa does not give -1 and",
        1,
    ),
    "0 and 1 in one dimension": (
        "float",
        lambda: model_of(line(input_quantizer=DoReFa(1), padding="same"), shape=(12, 4)),
        "DoReFa does not give -1 and",
        1,
    ),
    "a model in a model": (
        "wrong",
        lambda: model_of(functional(Sign(), ones(1), after(strides=2)), layers.ReLU()),
        "for 'same', which starts at another pixel",
        1,
    ),
}  # fmt: skip
