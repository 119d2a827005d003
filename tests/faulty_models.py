"""Small models for the tests of `check`, `cure` and `match`."""

import larq_reactnet as lr  # noqa: F401

import larq as lq
import numpy as np
import tensorflow as tf

BINARY = {
    "input_quantizer": "ste_sign",
    "kernel_quantizer": "ste_sign",
    "kernel_constraint": "weight_clip",
}


def model_of(*stack, shape=(8, 8, 4)):
    """A sequential model."""
    return tf.keras.Sequential([tf.keras.layers.Input(shape), *stack], name="small")


def binary_conv(filters=8, size=3, **arguments):
    """A binary convolution, called "faulty" if no name is given."""
    return lq.layers.QuantConv2D(filters, size, **{"name": "faulty", **BINARY, **arguments})


def randomized(model, rng):
    """The model with random weights: variances and scales of kernels positive, thresholds large."""
    for weight in model.weights:
        value = rng.normal(size=weight.shape)
        if "variance" in weight.name or "alpha" in weight.name:
            value = np.abs(value) + 0.1
        weight.assign(2 * value if "threshold" in weight.name else value / 2)
    return model


class Opaque(tf.keras.layers.Layer):
    """A layer whose configuration is not known, so that it cannot be copied."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


def noise(model, rng, count=4):
    """Images for the model."""
    return rng.normal(size=(count, *model.input_shape[1:])).astype(np.float32)


def faults_of(findings):
    """Those that are more than a cost."""
    return [finding for finding in findings if finding.kind != "cost"]
