"""The papers' accounting, and layers that are easily counted wrongly."""

import larq_reactnet as lr
from larq_reactnet.profiling import ops

import larq as lq
import pytest
import tensorflow as tf


def test_kinds_of_layers():
    inputs = tf.keras.layers.Input((8, 8, 4))
    binary = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign"}
    shared = lq.layers.QuantConv2D(4, 3, padding="same", use_bias=False, **binary)
    x = shared(shared(inputs))
    x = tf.keras.layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(x)
    x = lq.layers.QuantConv2D(6, 1, groups=2, use_bias=False, input_quantizer="ste_sign")(x)
    x = tf.keras.layers.Dense(5)(tf.keras.layers.Flatten()(x))
    found = ops(tf.keras.Model(inputs, x))
    assert found.bops == 2 * 64 * 9 * 4 * 4  # called twice
    assert found.flops == 16 * 9 * 4 + 16 * 2 * 6 + 96 * 5
    assert found.binary_weights == 9 * 4 * 4
    assert found.float_weights == 9 * 4 + 2 * 6 + 96 * 5 + 5
    assert found.ops == found.bops / 64 + found.flops
    assert found.binary_share == found.bops / (found.bops + found.flops)
    assert found.deployed_bytes == 18 + 4 * found.float_weights


def test_nested_model():
    inner = tf.keras.Sequential([tf.keras.layers.Input((8, 8, 4)), tf.keras.layers.Conv2D(2, 1)])
    outer = tf.keras.Sequential([tf.keras.layers.Input((8, 8, 4)), inner])
    assert ops(outer).flops == 64 * 4 * 2


def test_unknown_size():
    inputs = tf.keras.layers.Input((None, None, 3))
    model = tf.keras.Model(inputs, tf.keras.layers.Conv2D(2, 1, name="first")(inputs))
    with pytest.raises(ValueError, match="first has an output of unknown size"):
        lr.profiling.ops(model)
