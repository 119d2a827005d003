"""Binary convolutions of a file, matched with the layers that they came from."""

from larq_reactnet.converters import check, convert, cure, predict_tflite
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.match import binary_ops, match

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from faulty_models import BINARY, binary_conv, faults_of, model_of, randomized

layers = tf.keras.layers


def test_what_is_not_in_the_file(rng):
    model = randomized(model_of(binary_conv(name="first"), binary_conv(name="second")), rng)
    flatbuffer = convert(model)
    assert not faults_of(check(model, flatbuffer))
    model.layers[1].set_weights([rng.normal(size=w.shape) for w in model.layers[1].get_weights()])
    (finding,) = faults_of(check(model, flatbuffer))
    assert str(finding).startswith("second: it is not an LceBconv2d in the file")
    with pytest.raises(ValueError, match="not a TensorFlow Lite model"):
        check(model, b"no file at all")


@pytest.mark.slow
def test_layers_that_have_no_kernel(rng):
    """Plain LCE leaves them in float; those that `export` puts in their place are looked for."""
    grouped = binary_conv(name="grouped", groups=2)
    dense = lq.layers.QuantDense(3, name="dense", **BINARY)
    model = randomized(model_of(binary_conv(name="first"), grouped, layers.Flatten(), dense), rng)
    missing = [f for f in check(model, convert(model)) if "is not an LceBconv2d" in f.problem]
    assert [finding.layer for finding in missing] == ["grouped_group1", "grouped_group2", "dense"]
    assert not any("LceBconv2d" in f.problem for f in check(model, convert(cure(model))))


def test_constant_that_lce_joins_with_the_convolution(rng):
    factors = rng.normal(size=(6, 6, 8)).astype(np.float32)
    model = model_of(binary_conv(name="first"), layers.Lambda(lambda x: x * factors))
    flatbuffer = convert(randomized(model, rng))
    with pytest.raises(ValueError, match="interpreter refuses"):
        predict_tflite(flatbuffer, np.zeros((1, 8, 8, 4), np.float32), progress=False)
    constant, convolution = faults_of(check(model, flatbuffer))
    assert [constant.kind, convolution.kind] == ["refused", "refused"]
    assert [constant.layer, convolution.layer] == ["lambda", "first"]
    assert "a constant of shape (6, 6, 8)" in convolution.problem
    assert "one number per channel" in constant.cure


def test_match(rng):
    """Filters that LCE flips, a layer that is called twice, and equal shapes."""
    inputs = layers.Input((12, 12, 40))
    first, second, third = (binary_conv(name=name, filters=40) for name in "abc")
    normalization = layers.BatchNormalization(scale=True)
    x = third(normalization(second(first(first(inputs)))))
    model = randomized(tf.keras.Model(inputs, x), rng)
    normalization.gamma.assign(rng.normal(size=40))
    model_t = tflite.read(convert(model))
    ops = binary_ops(model_t)
    assert [op.gives_bits for op in ops] == [True, True, True, False]
    assert match([first, first, second, third], model_t) == [op.index for op in ops]
    assert match([third, second], model_t) == [ops[3].index, ops[2].index]
    assert match([first] * 3, model_t)[2] is None
    negative = np.moveaxis(first.get_weights()[0] < 0, -1, 0)
    flipped = (ops[0].negative ^ negative).reshape(40, -1)
    assert ((flipped == flipped[:, :1]).all(axis=1)).all()
