"""Small models and comparisons that several tests use."""

import contextlib
import os
import socket

import larq_reactnet as lr  # noqa: F401

import larq as lq
import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf
from sklearn.utils import Bunch

# `make every`, before a release, does for every network, and far more often, what `make test` does
# for one of each kind, and a few times.
EVERY = os.environ.get("EVERY", "0") != "0"

# Networks that the function of a smaller network makes, of more of the same blocks.
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
# Networks of layers that a smaller network has too, with the name of that one.
ALIKE = {
    "alexnet": "vgg_small",
    "alexnet_imagenet": "vgg_small",
    "binary_alexnet": "binarynet",
    "bnn_plus_alexnet": "bnn_plus_vgg_small",
    "bnn_plus_alexnet_imagenet": "bnn_plus_vgg_small",
    "bnn_plus_resnet18": "bnn_plus_vgg_small",
    "quicknet": "quicknet_small",
    # Made by the function of A. The real convolutions that double the channels have groups in B and
    # none in C: test_reactnet.py looks at them.
    "reactnet_b": "reactnet_a",
    "reactnet_c": "reactnet_a",
    "resnet18": "vgg_small",
    # Of images of 217x217 or more, and 60 million weights. test_export.py has its large kernel.
    "xnornet": "binarynet",
}


# Deep networks of Larq Zoo, which tests them itself. quicknet_small stands for them.
FOREIGN = (
    "binary_densenet28",
    "binary_resnet_e18",
    "birealnet18",
    "meliusnet22",
    "real_to_binary_net",
)


def representatives(names):
    """The networks of `names` for which a long test runs: one of each kind, or every one."""
    left_out = {*DEEPER, *ALIKE, *FOREIGN}
    return [name for name in names if EVERY or name not in left_out]


# For a test as a whole, such as one of a family or of a rare case that a cheaper test knows, too.
every = pytest.mark.skipif(not EVERY, reason="`make every` runs it")


def some(cases, *kept):
    """`cases` of a parametrization, of which `make test` runs those in `kept` only."""
    missing = {*kept} - {*cases}
    assert not missing, f"There are no cases {sorted(missing)}."
    return [
        case
        if case in kept
        else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=every)
        for case in cases
    ]


@contextlib.contextmanager
def few_digits():
    """Every seventh digit only, for trainings of which nobody wants to know how good they are.

    There are 205 training images and 52 test images, some of each class. A fixture of the same name
    does this for a test; fixtures that several tests share do it themselves.
    """
    whole = sklearn.datasets.load_digits()
    order = np.argsort(whole.target, kind="stable")[::7]
    few = Bunch(**{**whole, "images": whole.images[order], "target": whole.target[order]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sklearn.datasets, "load_digits", lambda: few)
        yield


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
