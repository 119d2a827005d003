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
    assert found.packed_bytes == 18 + 4 * found.float_weights


def test_nested_model():
    inner = tf.keras.Sequential([tf.keras.layers.Input((8, 8, 4)), tf.keras.layers.Conv2D(2, 1)])
    outer = tf.keras.Sequential([tf.keras.layers.Input((8, 8, 4)), inner])
    assert ops(outer).flops == 64 * 4 * 2


def test_binary_inputs_and_tags():
    """A separate quantizer makes inputs binary; `NoOp` is a tag, not a quantizer."""
    inputs = tf.keras.layers.Input((8, 8, 4))
    conv = lq.layers.QuantConv2D(2, 1, use_bias=False, kernel_quantizer="ste_sign")
    found = ops(tf.keras.Model(inputs, conv(lr.quantizers.RSign()(inputs))))
    assert (found.bops, found.flops) == (64 * 4 * 2, 0)
    tag = lq.quantizers.NoOp(precision=1)
    conv = lq.layers.QuantConv2D(2, 1, input_quantizer=tag, kernel_quantizer=tag, use_bias=False)
    found = ops(tf.keras.Model(inputs, conv(inputs)))
    assert (found.bops, found.flops, found.binary_weights) == (0, 64 * 4 * 2, 0)


def test_other_kinds():
    binary = {"input_quantizer": "ste_sign", "depthwise_quantizer": "ste_sign"}
    inputs = tf.keras.layers.Input((8, 8, 4))
    depthwise = lq.layers.QuantDepthwiseConv2D(3, padding="same", use_bias=False, **binary)
    assert ops(tf.keras.Model(inputs, depthwise(inputs))).bops == 64 * 9 * 4
    separable = lq.layers.QuantSeparableConv2D(
        5, 3, padding="same", use_bias=False, pointwise_quantizer="ste_sign", **binary
    )
    found = ops(tf.keras.Model(inputs, separable(inputs)))
    assert (found.bops, found.flops) == (64 * 9 * 4, 64 * 4 * 5)
    transposed = tf.keras.layers.Conv2DTranspose(5, 3, strides=2, use_bias=False)
    assert ops(tf.keras.Model(inputs, transposed(inputs))).flops == 64 * 9 * 4 * 5
    local = tf.keras.layers.LocallyConnected2D(5, 3, use_bias=False)
    assert ops(tf.keras.Model(inputs, local(inputs))).flops == 36 * 9 * 4 * 5
    for equation, shape in (("bhwc,cd->bhwd", (None, None, 3)), ("bhwc,wcd->bhwd", (None, 8, 3))):
        einsum = tf.keras.layers.EinsumDense(equation, shape)
        assert ops(tf.keras.Model(inputs, einsum(inputs))).flops == 64 * 4 * 3
    conv = tf.keras.layers.Conv2D(5, 3, use_bias=False)
    spectral = tf.keras.layers.SpectralNormalization(conv)
    assert ops(tf.keras.Model(inputs, spectral(inputs))).flops == 36 * 9 * 4 * 5
    local = tf.keras.layers.LocallyConnected2D(5, 3, implementation=2, name="local")
    with pytest.raises(ValueError, match="local is a LocallyConnected2D"):
        ops(tf.keras.Model(inputs, local(inputs)))


def test_layer_without_config():
    class Scale(tf.keras.layers.Layer):
        def __init__(self, factor):
            super().__init__()
            self.factor = factor

        def call(self, inputs):
            return self.factor * inputs

    inputs = tf.keras.layers.Input((8, 8, 4))
    model = tf.keras.Model(inputs, Scale(2.0)(tf.keras.layers.Conv2D(2, 1)(inputs)))
    assert ops(model).flops == 64 * 4 * 2


def test_layers_of_another_model_count_once():
    first = tf.keras.Sequential([tf.keras.layers.Input((8, 8, 4)), tf.keras.layers.Conv2D(2, 1)])
    inputs = tf.keras.layers.Input((8, 8, 4))
    again = tf.keras.Sequential([inputs, *first.layers])
    assert ops(first) == ops(again)
    twice = tf.keras.Model(inputs, tf.keras.layers.Add()([first(inputs), first(inputs)]))
    assert ops(twice).flops == 2 * ops(first).flops


def test_unknown_size():
    inputs = tf.keras.layers.Input((None, None, 3))
    model = tf.keras.Model(inputs, tf.keras.layers.Conv2D(2, 1, name="first")(inputs))
    with pytest.raises(ValueError, match="first has an output of unknown size"):
        lr.profiling.ops(model)
