"""Small models and comparisons that several tests use."""

import socket

import larq_reactnet as lr  # noqa: F401

import larq as lq
import numpy as np
import tensorflow as tf

# Networks that the function of a smaller network makes, of more of the same blocks. Tests that take
# longer than building a network run for the smaller ones only.
DEEPER = (
    "binary_densenet37",
    "binary_densenet37_dilated",
    "binary_densenet45",
    "birealnet34",
    "meliusnet29",
    "meliusnet42",
    "meliusnet59",
    "quicknet_large",
    "reactnet_34",
    "resnet34",
)


def free_port():
    """A port of this machine that nobody listens at."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def gradient(function, *values, upstream=None):
    """The gradients of `sum(upstream * function(*values))` as arrays."""
    tensors = [tf.constant(value) for value in values]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        result = function(*tensors)
        if upstream is not None:
            result = result * tf.cast(upstream, result.dtype)
        total = tf.reduce_sum(result)
    return [None if g is None else g.numpy() for g in tape.gradient(total, tensors)]


def binary_model(input_quantizer="approx_sign", kernel_quantizer="ste_sign", **conv):
    """A float stem, a binary 3x3 convolution and a classifier, for 8x8 images."""
    arguments = {
        "padding": "same",
        "use_bias": False,
        "kernel_constraint": "weight_clip",
        "name": "binary",
        **conv,
    }
    return tf.keras.Sequential(
        [
            tf.keras.layers.Input((8, 8, 3)),
            tf.keras.layers.Conv2D(8, 3, padding="same", name="stem"),
            lq.layers.QuantConv2D(
                8,
                3,
                input_quantizer=input_quantizer,
                kernel_quantizer=kernel_quantizer,
                **arguments,
            ),
            tf.keras.layers.BatchNormalization(name="bn"),
            tf.keras.layers.GlobalAveragePooling2D(name="pool"),
            tf.keras.layers.Dense(4, name="logits"),
        ],
        name="small",
    )


def reloaded(model, how, folder):
    """`model` after a round trip.

    `how` is "h5", "keras", "config" (and weights), "tf" (SavedModel), or "untraced", a SavedModel
    without the graphs that take most of the time to write.
    """
    if how == "config":
        twin = type(model).from_config(model.get_config())
        twin.set_weights(model.get_weights())
        return twin
    path = str(folder / f"model.{how}")
    if how == "untraced":
        model.save(path, save_format="tf", save_traces=False)
    else:
        model.save(path, save_format=how)
    return tf.keras.models.load_model(path)


def assert_same_outputs(model, twin, inputs):
    """Check that both give bit-identical outputs in inference mode."""
    np.testing.assert_array_equal(model(inputs, training=False), twin(inputs, training=False))
