"""What is particular to ReActNet: its numbers at full size, and its conversion."""

import larq_reactnet as lr

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from helpers import EVERY


@pytest.fixture(scope="module")
def full_size():
    return lr.zoo.ReActNetA(weights=None)


def test_counts_as_the_paper_does(full_size):
    ops = lr.profiling.ops(full_size)
    assert ops.bops == 4_816_896_000
    assert ops.flops == 11_862_016
    assert ops.ops == 87_126_016
    assert ops.binary_weights == 28_253_184
    trainable = sum(int(np.prod(weight.shape)) for weight in full_size.trainable_weights)
    assert trainable - ops.binary_weights == 1_090_408  # as in the official state_dict
    lines = []
    lq.models.summary(full_size, print_fn=lines.append)
    total = next(row for row in lines[0].split("\n") if row.startswith("| Total"))
    assert total.split()[2:] == ["28253184", "1090408", "7708.28", "4816896000", "11862016", "|"]


@pytest.mark.slow
def test_converts(rng):
    """The number of operators that LCE's own path gives, 31 binary convolutions among them.

    It is that of each width and size, of which the full one takes a minute.
    """
    size, width = (224, 1.0) if EVERY else (64, 0.25)
    model = lr.zoo.ReActNetA(input_shape=(size, size, 3), width=width)
    for weight in model.weights:  # zeros would be optimized away
        if weight.name.split("/")[-1][:-2] in ("gamma", "zeta", "bias", "threshold_bias"):
            weight.assign_add(rng.normal(size=weight.shape) * 0.1)
    flatbuffer = lr.converters.convert(model)
    assert lr.converters.count_operators(flatbuffer) == {
        "ADD": 109,
        "LceBconv2d": 31,
        "LceQuantize": 26,
        "PRELU": 26,
        "CONCATENATION": 5,
        "AVERAGE_POOL_2D": 4,
        "CONV_2D": 1,
        "MEAN": 1,
        "FULLY_CONNECTED": 1,
        "SOFTMAX": 1,
    }
    images = rng.normal(size=(2, size, size, 3)).astype(np.float32)
    agreement = lr.converters.verify(model, flatbuffer, images, progress=False)
    assert agreement.same_class == 1


@pytest.mark.parametrize(
    ("name", "trainable", "binary"),
    [("reactnet_18", 11_704_424, 10_985_472), ("reactnet_a", 29_343_592, 28_253_184)],
)
def test_weights_of_the_official_state_dict(name, trainable, binary):
    model = lr.zoo.create(name)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == trainable
    assert lr.profiling.ops(model).binary_weights == binary


def test_channels_double_exactly_at_every_width():
    model = lr.zoo.ReActNetA(input_shape=(32, 32, 3), width=0.35, num_classes=10)
    assert model.get_layer("pool").output_shape == (None, 32 * 11)


@pytest.mark.parametrize("name", ["reactnet_b", "reactnet_c"])
def test_real_convolutions_double_the_channels(name):
    model = lr.zoo.create(name, input_shape=(64, 64, 3), width=0.25, num_classes=10)
    real = [
        layer
        for layer in model.layers
        if isinstance(layer, tf.keras.layers.Conv2D) and not lr.profiling.is_binary(layer)
    ]
    doubling = [f"block{index}_1x1" for index in (1, 2, 4, 6, 12)]
    assert [layer.name for layer in real] == ["stem", *doubling]
    assert {layer.groups for layer in real[1:]} == {4 if name == "reactnet_b" else 1}


def test_rotation_is_exact_for_strided_layers(rng):
    """A rotated image and rotated kernels move the padding of stride 2 to the other side."""
    image = rng.normal(size=(1, 8, 8, 2)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 2, 4)).astype(np.float32)
    padded = tf.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = tf.nn.conv2d(padded, kernel, 2, "VALID")
    rotated = lr.layers.Rotate180()(image)
    found = tf.nn.conv2d(rotated, kernel[::-1, ::-1], 2, "SAME")
    np.testing.assert_allclose(found[:, ::-1, ::-1], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(lr.layers.Rotate180()(rotated), image)
