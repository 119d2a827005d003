"""Each fault that `check` names, shown with LCE itself, and the models that have none."""

import re

import larq_reactnet as lr
from larq_reactnet.converters import check, convert, count_operators, predict_tflite
from larq_reactnet.converters.check import binary_convolutions

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from helpers import binary_model

layers = tf.keras.layers
BINARY = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign"}
CLIPPED = {**BINARY, "kernel_constraint": "weight_clip"}


def model_of(*stack, shape=(8, 8, 4)):
    return tf.keras.Sequential([layers.Input(shape), *stack], name="faulty")


def conv(**arguments):
    return lq.layers.QuantConv2D(8, 3, **{"name": "faulty", **CLIPPED, **arguments})


@lq.utils.set_precision(1)
def plain_sign(x):
    return tf.sign(x)


@lq.utils.set_precision(1)
def scaled_sign(x):
    return 0.5 * lq.math.sign(x)


@lq.utils.set_precision(1)
def scale_per_input(w):
    return lq.math.sign(w) * (1 + tf.range(4, dtype=w.dtype)[:, None])


# What LCE does with them: "float" leaves a layer that is meant to be binary in float, "wrong"
# computes something else, "refuses" cannot be run by its default kernel.
FAULTS = {
    "dense": (
        "float",
        lambda: model_of(layers.Flatten(), lq.layers.QuantDense(5, name="faulty", **CLIPPED)),
        "no binary dense kernel",
        "QuantConv2D",
    ),
    "depthwise": (
        "float",
        lambda: model_of(
            lq.layers.QuantDepthwiseConv2D(
                3,
                name="faulty",
                input_quantizer="ste_sign",
                depthwise_quantizer="ste_sign",
                depthwise_constraint="weight_clip",
            )
        ),
        "no binary kernel for QuantDepthwiseConv2D",
        "use a QuantConv2D",
    ),
    "transposed": (
        "float",
        lambda: model_of(lq.layers.QuantConv2DTranspose(5, 3, name="faulty", **CLIPPED)),
        "no binary kernel for QuantConv2DTranspose",
        "use a QuantConv2D",
    ),
    "tf.sign": (
        "float",
        lambda: model_of(conv(input_quantizer=plain_sign)),
        "plain_sign gives 0 at 0",
        "larq.math.sign",
    ),
    "ternary input": (
        "wrong",
        lambda: model_of(conv(input_quantizer="ste_tern")),
        "SteTern is ternary",
        "larq.math.sign",
    ),
    "0/1 input": (
        "float",
        lambda: model_of(conv(input_quantizer="ste_heaviside")),
        "SteHeaviside does not give -1 and +1|SteHeaviside is ternary",
        "larq.math.sign",
    ),
    "scaled input": (
        "float",
        lambda: model_of(conv(input_quantizer=scaled_sign)),
        "scaled_sign does not give -1 and [+]1",
        "larq.math.sign",
    ),
    "ternary kernel": (
        "float",
        lambda: model_of(conv(kernel_quantizer="ste_tern")),
        "SteTern gives zeros",
        "react_sign",
    ),
    "scale per input channel": (
        "float",
        lambda: model_of(conv(kernel_quantizer=scale_per_input)),
        "more than one magnitude",
        "per output filter",
    ),
    "real kernel": (
        "float",
        lambda: model_of(conv(kernel_quantizer=None)),
        "its inputs are binary but its weights are not",
        "binarize_weights",
    ),
    "real input": (
        "float",
        lambda: model_of(layers.BatchNormalization(), conv(input_quantizer=None)),
        "its weights are binary but its inputs are not",
        "input_quantizer",
    ),
    "zero padding after a sign": (
        "float",
        lambda: model_of(
            lq.quantizers.SteSign(), layers.ZeroPadding2D(1), conv(input_quantizer=None)
        ),
        "explicit zero padding after a sign",
        "pad_values=1.0",
    ),
    "zero padding of a map smaller than the kernel": (
        "wrong",
        lambda: model_of(conv(padding="same"), shape=(2, 8, 4)),
        "2x8 input is smaller than its 3x3 kernel",
        "pad_values=1.0",
    ),
    "groups": (
        "refuses",
        lambda: model_of(conv(groups=2), shape=(8, 8, 64)),
        "in 2 groups",
        "without groups",
    ),
}


def randomized(model, rng):
    model.set_weights([rng.normal(size=w.shape) * 0.5 for w in model.get_weights()])
    return model


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name, rng, tmp_path):
    effect, make, problem, cure = FAULTS[name]
    model = randomized(make(), rng)
    (finding,) = check(model)
    assert finding.layer == "faulty"
    assert re.search(problem, finding.problem)
    assert cure in finding.cure

    # LCE alone says nothing.
    flatbuffer = convert(model)
    images = rng.normal(size=(4, *model.input_shape[1:])).astype(np.float32)
    images[0, 0] = 0
    if effect == "float":
        assert count_operators(flatbuffer)["LceBconv2d"] == 0
    elif effect == "wrong":
        assert count_operators(flatbuffer)["LceBconv2d"] == 1
        images *= 0.1  # so that a ternary quantizer gives many zeros
        found = predict_tflite(flatbuffer, images, progress=False)
        assert np.abs(found - model(images)).max() > 1
    else:
        import larq_compute_engine as lce

        with pytest.raises(RuntimeError):
            lce.testing.Interpreter(flatbuffer).predict(images)

    # `export` refuses, names the layer, and leaves nothing behind.
    with pytest.raises(lr.converters.ExportError, match="faulty: .*" + cure):
        lr.converters.export(model, tmp_path / "model.tflite", verify_with=images, progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("size", "is_wrong"), [((2, 8), True), ((8, 2), True), ((3, 3), False)])
def test_kernels_of_lce_on_a_map_smaller_than_the_filter(size, is_wrong, rng):
    """Why `check` refuses it: only LCE's reference kernel is right."""
    import larq_compute_engine as lce

    model = randomized(model_of(conv(padding="same"), shape=(*size, 4)), rng)
    flatbuffer = convert(model)
    images = rng.normal(size=(4, *size, 4)).astype(np.float32)
    errors = [
        np.abs(lce.testing.Interpreter(flatbuffer, **kernel).predict(images) - model(images)).max()
        for kernel in ({}, {"use_indirect_bgemm": True}, {"use_reference_bconv": True})
    ]
    assert [error > 1 for error in errors] == [is_wrong, is_wrong, False]


GOOD = {
    "zeros": lambda: model_of(conv(padding="same")),
    "ones": lambda: model_of(conv(padding="same", pad_values=1.0)),
    "ones on a small map": lambda: model_of(conv(padding="same", pad_values=1.0), shape=(2, 2, 4)),
    "map of the size of the kernel": lambda: model_of(conv(padding="same"), shape=(3, 3, 4)),
    "strided and dilated": lambda: model_of(
        conv(strides=2, padding="same"), conv(padding="same", dilation_rate=2, name="second"),
        shape=(12, 12, 4),
    ),
    "sign as a layer": lambda: model_of(lq.quantizers.SteSign(), conv(input_quantizer=None)),
    "quantizer as a layer": lambda: model_of(
        lr.quantizers.RSign(), conv(input_quantizer=None)
    ),
    "dense as convolutions": lambda: model_of(
        lq.layers.QuantConv2D(5, 8, **CLIPPED), lq.layers.QuantConv2D(6, 1, **CLIPPED)
    ),
    "magnitude aware": lambda: model_of(conv(kernel_quantizer="magnitude_aware_sign")),
    "nothing binary": lambda: model_of(layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3)),
    "padding before the quantizer": lambda: model_of(layers.ZeroPadding2D(1), conv()),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_good_model(name, rng):
    model = randomized(GOOD[name](), rng)
    assert check(model) == []
    flatbuffer = convert(model)
    binary = [layer for layer in model.layers if isinstance(layer, lq.layers.QuantConv2D)]
    assert count_operators(flatbuffer)["LceBconv2d"] == len(binary)
    images = rng.normal(size=(4, *model.input_shape[1:])).astype(np.float32)
    found = predict_tflite(flatbuffer, images, progress=False)
    np.testing.assert_allclose(found, model(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel_quantizer", ["react_sign", "bnnplus_sign", "ste_sign"])
@pytest.mark.parametrize("input_quantizer", ["rsign", "bnnplus_swish_sign", "approx_sign"])
def test_every_pair_of_our_quantizers(input_quantizer, kernel_quantizer, rng):
    model = randomized(binary_model(input_quantizer, kernel_quantizer), rng)
    model.get_layer("bn").set_weights(np.abs(model.get_layer("bn").get_weights()))
    if kernel_quantizer == "bnnplus_sign":
        alpha = model.get_layer("binary").kernel_quantizer.alpha
        alpha.assign(np.abs(alpha))
    assert check(model) == []
    flatbuffer = convert(model)
    assert count_operators(flatbuffer)["LceBconv2d"] == 1
    images = rng.normal(size=(4, 8, 8, 3)).astype(np.float32)
    found = predict_tflite(flatbuffer, images, progress=False)
    np.testing.assert_allclose(found, model(images), rtol=1e-4, atol=1e-4)


def test_nested_models_are_searched():
    inner = model_of(conv(input_quantizer="ste_tern"))
    outer = tf.keras.Sequential([layers.Input((8, 8, 4)), inner])
    assert [finding.layer for finding in check(outer)] == ["faulty"]


def test_dead_filter(rng):
    model = randomized(model_of(conv(kernel_quantizer="react_sign", use_bias=False)), rng)
    kernel = model.get_weights()[0]
    kernel[..., 2] = 0
    model.set_weights([kernel])
    (finding,) = check(model)
    assert "all weights of its filter 2 are zero" in finding.problem


def test_binary_weights_on_the_images_are_no_fault():
    """As in BinaryNet: nothing could be binary there."""
    model = model_of(conv(input_quantizer=None))
    assert check(model) == []
    assert binary_convolutions(model) == []
    nested = tf.keras.Sequential([layers.Input((8, 8, 4)), layers.ReLU(), model])
    assert [finding.layer for finding in check(nested)] == ["faulty"]
