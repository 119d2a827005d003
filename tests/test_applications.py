"""Keras's own applications made binary: the first blocks of each, on small images.

benchmarks/binarized_files.py measures the whole networks.
"""

import larq_reactnet as lr
from larq_reactnet.converters import convert, count_operators, cure, fold
from larq_reactnet.profiling import is_binary

import numpy as np
import pytest
import tensorflow as tf
from helpers import EVERY

layers = tf.keras.layers

# The layer after which each is cut off, and its arguments.
CUT = {
    "MobileNet": ("conv_pw_3_relu", {"alpha": 0.25}),
    "MobileNetV2": ("block_2_add", {"alpha": 0.35}),
    "ResNet50": ("conv2_block2_out", {}),
    "VGG16": ("block3_pool", {}),
    "EfficientNetB0": ("block2b_add", {}),
    "DenseNet121": ("conv2_block3_concat", {}),
}


def application(name):
    end, arguments = CUT[name]
    constructor = getattr(tf.keras.applications, name)
    model = constructor(input_shape=(32, 32, 3), weights=None, include_top=False, **arguments)
    x = model.get_layer(end).output
    if name == "VGG16":  # which has dense layers
        x = layers.Dense(32, activation="relu", name="fc1")(layers.Flatten()(x))
    else:
        x = layers.GlobalAveragePooling2D()(x)
    return tf.keras.Model(model.inputs, layers.Dense(4, activation="softmax", name="top")(x))


# Separable and inverted blocks, and concatenations, are in habits.py, too.
TRIED = [name for name in CUT if EVERY or name in ("ResNet50", "VGG16", "EfficientNetB0")]


@pytest.mark.slow
@pytest.mark.parametrize("name", TRIED)
def test_application(name, rng):
    """It trains a step, `check` finds nothing, and every convolution is one of LCE's."""
    reports = []
    binary = lr.binarize_model(application(name), report=reports.append)
    # In a batch of two, batch normalization of a single position has no gradient.
    images = rng.normal(size=(8, 32, 32, 3)).astype("f")
    labels = rng.integers(0, 4, 8)
    with tf.GradientTape() as tape:
        outputs = binary(images, training=True)
        loss = tf.reduce_mean(tf.keras.losses.sparse_categorical_crossentropy(labels, outputs))
    gradients = tape.gradient(loss, binary.trainable_weights)
    for weight, gradient in zip(binary.trainable_weights, gradients, strict=True):
        values = np.asarray(tf.convert_to_tensor(gradient))
        assert np.isfinite(values).all(), weight.name
        assert values.any(), weight.name
    assert {finding.kind for finding in lr.converters.check(binary)} <= {"cost"}
    became = sum(bool(layer.became) for layer in reports[0].layers)
    assert became <= sum(map(is_binary, binary.layers))
    found = count_operators(convert(fold(cure(binary))))["LceBconv2d"]
    # The two halves of a convolution that doubles the channels are joined.
    assert found == became > 0
