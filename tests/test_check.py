"""What `check` names and nobody can cure but the user, and the models that have nothing wrong.

Each fault is shown with `converters.convert`, which gives what `lce.convert_keras_model` does.
"""

import json
import sys

import larq_reactnet as lr
from larq_reactnet.converters import check, convert, count_operators, cure, predict_tflite
from larq_reactnet.converters.checking import binary_convolutions
from larq_reactnet_cli import main

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from faulty_models import BINARY, binary_conv, faults_of, model_of, noise, randomized
from helpers import binary_model

layers = tf.keras.layers
conv = binary_conv


@lq.utils.set_precision(1)
def plain_sign(x):
    return tf.sign(x)


@lq.utils.set_precision(1)
def minus_at_zero(x):
    return tf.sign(tf.sign(x) - 0.1)


@lq.utils.set_precision(1)
def scaled_sign(x):
    return 0.5 * lq.math.sign(x)


@lq.utils.set_precision(1)
def bits(x):
    return tf.cast(x >= 0, x.dtype)


@lq.utils.set_precision(1)
def scale_per_input(w):
    return lq.math.sign(w) * (1 + tf.range(4, dtype=w.dtype)[:, None])


def volumes(shape=(4, 4, 4, 2)):
    return layers.Reshape(shape), lq.layers.QuantConv3D(5, 3, name="faulty", **BINARY)


# What plain LCE does: "float" leaves a layer that is meant to be binary in float, "wrong" computes
# something else.
FAULTS = {
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
    "separable": (
        "float",
        lambda: model_of(
            lq.layers.QuantSeparableConv2D(
                5,
                3,
                name="faulty",
                input_quantizer="ste_sign",
                depthwise_quantizer="ste_sign",
                pointwise_quantizer="ste_sign",
                depthwise_constraint="weight_clip",
                pointwise_constraint="weight_clip",
            )
        ),
        "no binary kernel for QuantSeparableConv2D",
        "use a QuantConv2D",
    ),
    "transposed": (
        "float",
        lambda: model_of(lq.layers.QuantConv2DTranspose(5, 3, name="faulty", **BINARY)),
        "no binary kernel for QuantConv2DTranspose",
        "use a QuantConv2D",
    ),
    "three dimensions": (
        "float",
        lambda: model_of(*volumes(), shape=(8, 4, 4)),
        "no binary kernel for QuantConv3D",
        "use a QuantConv2D",
    ),
    "tf.sign": (
        "float",
        lambda: model_of(conv(input_quantizer=plain_sign)),
        "plain_sign gives 0 at 0",
        "larq.math.sign",
    ),
    "another sign": (
        "float",
        lambda: model_of(conv(input_quantizer=minus_at_zero)),
        "does not recognize its input quantizer minus_at_zero",
        "larq.math.sign",
    ),
    "ternary input": (
        "wrong",
        lambda: model_of(conv(input_quantizer="ste_tern")),
        "SteTern is ternary, which LCE mistakes for a sign",
        "larq.math.sign",
    ),
    "0/1 input": (
        "float",
        lambda: model_of(conv(input_quantizer=bits)),
        "bits does not give -1 and +1",
        "larq.math.sign",
    ),
    "scaled input": (
        "float",
        lambda: model_of(conv(input_quantizer=scaled_sign)),
        "scaled_sign does not give -1 and +1",
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
    "zero padding after a sign, not as 'same' does, and groups": (
        "float",
        lambda: model_of(
            lq.quantizers.SteSign(), layers.ZeroPadding2D(2), conv(input_quantizer=None, groups=2)
        ),
        "explicit zero padding after a sign",
        "pad_values=1.0",
    ),
    "padding with 1/2": (
        "float",
        lambda: model_of(conv(padding="same", pad_values=0.5)),
        "its padding with 0.5 is not binary",
        "pad_values=1.0",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name, rng, tmp_path):
    kind, make, problem, cure_ = FAULTS[name]
    model = randomized(make(), rng)
    (finding,) = faults_of(check(model))
    assert (finding.layer, finding.kind) == ("faulty", kind)
    assert problem in finding.problem
    assert cure_ in finding.cure
    assert finding.blocks
    assert cure(model) is model

    # LCE alone says nothing.
    images = 0.1 * noise(model, rng)
    images[0, 0] = 0
    flatbuffer = convert(model)
    assert count_operators(flatbuffer)["LceBconv2d"] == (kind == "wrong")
    if kind == "wrong":
        found = predict_tflite(flatbuffer, images, engine="lce", progress=False)
        assert np.abs(found - model(images)).max() > 1

    # `export` refuses, names the layer, and leaves nothing behind.
    path = tmp_path / "model.tflite"
    arguments = {"verify_with": images, "progress": False}
    with pytest.raises(lr.converters.ExportError, match="faulty: .*" + cure_):
        lr.converters.export(model, path, **arguments)
    assert not list(tmp_path.iterdir())
    if kind == "wrong":
        with pytest.raises(lr.converters.ExportError, match="faulty: .*" + cure_):
            lr.converters.export(model, path, allow_float=True, **arguments)
        assert not list(tmp_path.iterdir())
        return
    report = lr.converters.export(model, path, allow_float=True, **arguments)
    assert report.left_in_float == (str(finding),)
    assert report.agreement.max_distance < 1e-4
    assert report.binary_convolutions == 0


def test_every_fault_of_a_layer_is_named():
    model = model_of(conv(input_quantizer="ste_heaviside", kernel_quantizer="ste_tern", groups=2))
    assert [finding.problem.split(" ")[1] for finding in check(model)] == ["input", "kernel"]


GOOD = {
    "zeros": lambda: model_of(conv(padding="same")),
    "ones": lambda: model_of(conv(padding="same", pad_values=1.0)),
    "ones on a small map": lambda: model_of(conv(padding="same", pad_values=1.0), shape=(2, 2, 4)),
    "map of the size of the kernel": lambda: model_of(conv(padding="same"), shape=(3, 3, 4)),
    "strided and dilated": lambda: model_of(
        conv(strides=2, padding="same"), conv(padding="same", dilation_rate=2, name="second"),
        shape=(12, 12, 4),
    ),
    "sign as a layer": lambda: model_of(
        lq.quantizers.SteSign(), layers.Dropout(0.5), conv(input_quantizer=None)
    ),
    "quantizer as a layer": lambda: model_of(
        lr.quantizers.RSign(), conv(input_quantizer=None)
    ),
    "another form of a sign": lambda: model_of(conv(input_quantizer=strictly_positive)),
    "dense as convolutions": lambda: model_of(
        lq.layers.QuantConv2D(5, 8, **BINARY), lq.layers.QuantConv2D(6, 1, **BINARY)
    ),
    "magnitude aware": lambda: model_of(conv(kernel_quantizer="magnitude_aware_sign")),
    "nothing binary": lambda: model_of(layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3)),
    "ones before the quantizer": lambda: padded_with_ones(),
    "padding before the quantizer": lambda: model_of(layers.ZeroPadding2D(1), conv(strides=2)),
    "padding that has its own use": lambda: two_uses(),
}  # fmt: skip


def strictly_positive(x):
    return tf.where(x > 0, 1.0, -1.0)


def padded_with_ones():
    """`tf.pad` is an operator of its own."""
    inputs = layers.Input((8, 8, 4))
    padded = tf.pad(inputs, [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=1.0)
    return tf.keras.Model(inputs, conv(strides=2)(padded))


def two_uses():
    """LCE does not join padding with one of two convolutions."""
    inputs = layers.Input((8, 8, 4))
    padded = layers.ZeroPadding2D(1)(inputs)
    both = [layers.Conv2D(4, 3, 2)(padded), layers.Conv2D(4, 3, 2)(padded)]
    return tf.keras.Model(inputs, layers.Add()(both))


@pytest.mark.parametrize("name", GOOD)
def test_good_model(name, rng):
    model = randomized(GOOD[name](), rng)
    assert not faults_of(check(model))
    assert cure(model) is model
    flatbuffer = convert(model)
    binary = [layer for layer in model.layers if isinstance(layer, lq.layers.QuantConv2D)]
    assert count_operators(flatbuffer)["LceBconv2d"] == len(binary)
    images = noise(model, rng)
    found = predict_tflite(flatbuffer, images, engine="lce", progress=False)
    np.testing.assert_allclose(found, model(images), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kernel_quantizer", ["react_sign", "bnn_plus_sign", "ste_sign"])
@pytest.mark.parametrize("input_quantizer", ["rsign", "bnn_plus_swish_sign", "approx_sign"])
def test_every_pair_of_our_quantizers(input_quantizer, kernel_quantizer, rng):
    model = randomized(binary_model(input_quantizer, kernel_quantizer), rng)
    assert not faults_of(check(model))
    flatbuffer = convert(model)
    assert count_operators(flatbuffer)["LceBconv2d"] == 1
    images = rng.normal(size=(4, 8, 8, 3)).astype(np.float32)
    found = predict_tflite(flatbuffer, images, engine="lce", progress=False)
    np.testing.assert_allclose(found, model(images), rtol=1e-4, atol=1e-4)


def test_nested_models_are_searched():
    inner = model_of(conv(input_quantizer="ste_tern"))
    outer = tf.keras.Sequential([layers.Input((8, 8, 4)), inner])
    assert [finding.layer for finding in check(outer) if finding.blocks] == ["faulty"]


def test_models_that_cannot_be_searched():
    (finding,) = check(tf.keras.Sequential([layers.Dense(3)]))
    assert (finding.kind, finding.problem) == ("unsupported", "it is not built")
    with pytest.raises(ValueError, match="must be a Keras 2 model, got str"):
        check("model.h5")


def test_without_lce(monkeypatch):
    """As on a Raspberry Pi: forms of signs that only LCE can judge are taken for good."""
    monkeypatch.setitem(sys.modules, "larq_compute_engine", None)
    for quantizer, is_found in (
        (lambda x: 2 * tf.cast(x >= 0, x.dtype) - 1, False),
        (tf.abs, True),
    ):
        findings = faults_of(check(model_of(conv(input_quantizer=quantizer))))
        assert [finding.blocks for finding in findings] == [True] * is_found


def test_dead_filter(rng):
    model = randomized(model_of(conv(kernel_quantizer="react_sign", use_bias=False)), rng)
    kernel = model.get_weights()[0]
    kernel[..., 2] = 0
    model.set_weights([kernel])
    (finding,) = check(model)
    assert "all weights of its filter 2 are zero" in finding.problem


def test_binary_weights_on_the_images_are_no_fault():
    """As in BinaryNet: nothing could be binary there."""
    model = model_of(layers.ZeroPadding2D(1), conv(input_quantizer=None))
    assert check(model) == []
    assert binary_convolutions(model) == []
    inner = model_of(conv(input_quantizer=None))
    assert check(tf.keras.Sequential([layers.Input((8, 8, 4)), inner])) == []
    nested = tf.keras.Sequential([layers.Input((8, 8, 4)), layers.ReLU(), inner])
    assert [finding.layer for finding in check(nested)] == ["faulty"]


def test_binary_weights_on_feature_maps_are_a_fault(rng):
    """The inputs of this network are no pictures, and 73,728 bytes of weights would be float."""
    model = randomized(model_of(conv(64, input_quantizer=None), shape=(8, 8, 32)), rng)
    (finding,) = check(model)
    assert (finding.layer, finding.kind, finding.blocks) == ("faulty", "float", True)
    assert "inputs, 32 channels of the network's own, are not" in finding.problem
    assert "input_quantizer" in finding.cure
    assert binary_convolutions(model) == []
    assert count_operators(convert(model)) == {"CONV_2D": 1}
    for channels in (1, 3, 4):
        assert check(model_of(conv(64, input_quantizer=None), shape=(8, 8, channels))) == []


# Costs.


def test_costs():
    model = model_of(
        conv(padding="same"), layers.BatchNormalization(name="bn"), layers.ReLU(name="late")
    )
    found = check(model)
    assert {finding.kind for finding in found} == {"cost"}
    assert not any(finding.blocks or finding.applied for finding in found)
    channels, zeros, relu = map(str, found)
    assert channels.startswith("faulty: its 4 input channels are stored and computed as 32")
    assert zeros.startswith("faulty: its zero padding is corrected for")
    assert relu.startswith("late: it comes after bn, where it cannot become part of")
    better = model_of(
        conv(padding="same", pad_values=1.0), layers.ReLU(), layers.BatchNormalization(),
        shape=(8, 8, 64),
    )  # fmt: skip
    assert check(better) == []
    # One operator and a sign, and not three.
    assert count_operators(convert(better)) == {"LceQuantize": 1, "LceBconv2d": 1}
    assert count_operators(convert(model))["RELU"] == 1


# The command.


def run(*arguments):
    return CliRunner().invoke(main, ["check", *map(str, arguments)])


def test_command(tmp_path):
    path = tmp_path / "model.h5"
    model_of(conv(padding="same"), conv(name="grouped", groups=2)).save(str(path))
    result = run(path)
    assert result.exit_code == 0, result.output
    assert "1 cured by export, 0 left to you." in result.output
    for word in ("grouped", "export", "cost"):
        assert word in result.output
    binary_model("ste_tern").save(str(path))
    result = run(path)
    assert result.exit_code == 1
    assert "0 cured by export, 1 left to you." in result.output
    assert "Traceback" not in result.output
    result = run(path, "--json")
    assert result.exit_code == 1
    first = json.loads(result.output)[0]
    assert first.keys() == {"layer", "problem", "cure", "kind", "applied"}
    assert (first["layer"], first["kind"], first["applied"]) == ("binary", "wrong", False)


def test_command_on_a_model_without_findings():
    assert "larq-reactnet check model.h5" in run("--help").output
    result = run("mobilenet_v1", "--set", "width=0.25")
    assert result.exit_code == 0
    assert result.output == "Nothing that LCE would get wrong or leave in float.\n"
