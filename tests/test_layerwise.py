"""Layer by layer: equal where only rounding differs, and one wrong bit is found in its layer."""

import importlib

import larq_reactnet as lr
from larq_reactnet._graph.calls import flattened, rebuild
from larq_reactnet.converters import (
    ExportError,
    LayerError,
    convert,
    count_flips,
    cure,
    export,
    fold,
    predict_tflite,
    verify_layers,
)
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.match import binary_ops

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from faulty_models import binary_conv, model_of, noise, randomized

layers = tf.keras.layers
BN = layers.BatchNormalization


def deployed(model):
    """The model as `export` converts it."""
    return fold(cure(flattened(model)))


def edited(flatbuffer, layer, constant, change):
    """The file after a change of a constant of a binary convolution.

    Args:
        flatbuffer: The file.
        layer: The index of the convolution among those of the file.
        constant: "weights", "multiplier", "bias" or "thresholds".
        change: Called with the values, which it changes.
    """
    model = tflite.read(flatbuffer)
    graph = model.subgraphs[0]
    which = ["input", "weights", "multiplier", "bias", "thresholds"].index(constant)
    tensor = graph.tensors[graph.operators[binary_ops(model)[layer].index].inputs[which]]
    values = tflite.constant(model, tensor).copy()
    change(values)
    model.buffers.append(tflite.schema().BufferT())  # others may share the old one
    model.buffers[-1].data = np.frombuffer(values.tobytes(), np.uint8)
    tensor.buffer = len(model.buffers) - 1
    return tflite.write(model)


def flip_bit(values):
    values.flat[3] ^= 1 << 2


def scale_all(factor):
    def change(values):
        values *= factor

    return change


def add_to_last(amount):
    def change(values):
        values[-1] += amount

    return change


def paddings():
    return model_of(
        layers.Conv2D(33, 3, name="stem"),
        binary_conv(40, name="valid", strides=2),
        BN(),
        layers.ReLU(),
        binary_conv(31, name="zeros", padding="same", strides=(1, 2)),
        BN(),
        lr.layers.RPReLU(),
        binary_conv(1, 1, name="one", padding="same", pad_values=1.0),
        BN(),
        binary_conv(31, name="ones", padding="same", pad_values=1.0, activation="relu"),
        shape=(13, 14, 4),
    )


def bits():
    stages = []
    for index, filters in enumerate((1, 31, 33, 40, 64)):
        stages += [binary_conv(filters, name=f"conv{index}", dilation_rate=1 + index // 4), BN()]
    return model_of(*stages, layers.GlobalAveragePooling2D(), shape=(14, 13, 1))


def pooled():
    return model_of(
        binary_conv(40, name="first", kernel_quantizer="react_sign"),
        BN(),
        layers.MaxPooling2D(),
        binary_conv(8, 2, name="second", use_bias=True),
        layers.GlobalAveragePooling2D(),
        layers.Dense(5),
        shape=(14, 14, 4),
    )


def joined():
    inputs = layers.Input((8, 8, 33))
    branches = [binary_conv(n, name=f"branch{n}")(inputs) for n in (31, 5)]
    x = layers.Concatenate()([BN()(branch) for branch in branches])
    x = binary_conv(7, name="last", input_quantizer="rsign")(x)
    return tf.keras.Model(inputs, layers.GlobalAveragePooling2D()(x))


def groups():
    return model_of(
        binary_conv(64, name="first"),
        BN(),
        binary_conv(8, name="grouped", groups=2),
        BN(),
        layers.Flatten(),
        lq.layers.QuantDense(
            5,
            name="dense",
            input_quantizer="ste_sign",
            kernel_quantizer="ste_sign",
            kernel_constraint="weight_clip",
        ),
    )


def shared():
    inputs = layers.Input((12, 12, 8))
    layer = binary_conv(8, name="twice", padding="same", pad_values=1.0)
    x = layer(layers.AveragePooling2D()(layer(inputs)))
    return tf.keras.Model(inputs, x)


def not_folded():
    """LCE takes a part of the activation, which is shared."""
    inputs = layers.Input((10, 10, 4))
    activation = lr.layers.RPReLU()
    x = activation(BN()(binary_conv(8, name="first")(inputs)))
    x = activation(BN()(binary_conv(8, name="second", use_bias=False, activation="relu")(x)))
    x = layers.ReLU()(binary_conv(8, name="third")(x))
    return tf.keras.Model(inputs, layers.ReLU(6.0)(BN()(x)))


def split_off():
    """What takes a convolution gives two tensors."""
    inputs = layers.Input((8, 8, 4))
    left, right = tf.split(binary_conv(8, name="first")(inputs), 2, axis=-1)
    return tf.keras.Model(inputs, layers.Add()([left, right]))


# A network, and for each convolution of its file whether it gives bits.
EQUAL = {
    paddings: [False, False, True, False],
    bits: [True, True, True, True, False],
    pooled: [True, False],
    joined: [True, False],
    groups: [False, False, False, False],
    shared: [False, False],
    not_folded: [False, False, False],
    split_off: [False],
}


@pytest.mark.slow
@pytest.mark.parametrize("build", EQUAL)
def test_layers_are_equal(build, rng):
    model = deployed(randomized(build(), rng))
    flatbuffer = convert(model)
    assert [op.gives_bits for op in binary_ops(tflite.read(flatbuffer))] == EQUAL[build]
    errors = verify_layers(model, flatbuffer, noise(model, rng, 2))
    assert len(errors) == len(EQUAL[build])
    for layer in errors:
        assert layer.is_equal, layer
        assert layer.error <= layer.tolerance / 2  # there is room
        assert layer.tolerance < 1e-2
    flips = count_flips(model, flatbuffer, noise(model, rng, 2))
    assert [layer.layer for layer in flips] == [layer.layer for layer in errors]
    assert all(layer.signs > 0 and not layer.flipped for layer in flips), flips


@pytest.fixture(scope="module")
def chain():
    """Four convolutions, of which the first gives bits, their file, and images."""
    rng = np.random.default_rng(0)
    stages = (
        layers.Conv2D(8, 3, name="stem"),
        binary_conv(33, name="a"),
        BN(name="thresholds"),
        binary_conv(8, name="b", padding="same"),
        BN(),
        layers.ReLU(),
        BN(),
        binary_conv(8, name="c", padding="same", pad_values=1.0),
        BN(),
        lr.layers.RPReLU(),
        binary_conv(8, name="d", kernel_quantizer="react_sign"),
        BN(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(4, name="head"),
    )
    model = randomized(model_of(*stages, shape=(10, 10, 3)), rng)
    model = deployed(model)
    flatbuffer = convert(model)
    assert next(op.gives_bits for op in binary_ops(tflite.read(flatbuffer)))
    return model, flatbuffer, noise(model, rng, 8)


def wrong_layers(errors):
    return {layer.layer: layer.error / layer.tolerance for layer in errors if not layer.is_equal}


# What is changed in the file: the index of a layer, the constant, and how.
FAULTS = {
    "bits of weights": [(0, "weights", flip_bit), (3, "weights", flip_bit)],
    "floats": [
        (1, "multiplier", scale_all(1.001)),
        (2, "multiplier", add_to_last(1e-3)),
        (3, "bias", add_to_last(1e-2)),
    ],
    "a bit and a threshold": [(0, "thresholds", add_to_last(4)), (1, "weights", flip_bit)],
    "no numbers": [(2, "bias", scale_all(np.inf)), (3, "multiplier", scale_all(np.nan))],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_found_in_their_layers(chain, name):
    model, flatbuffer, images = chain
    for fault in FAULTS[name]:
        flatbuffer = edited(flatbuffer, *fault)
    wrong = wrong_layers(verify_layers(model, flatbuffer, images[:1]))
    assert list(wrong) == ["abcd"[index] for index, *_ in FAULTS[name]]
    assert min(wrong.values()) > 100


def test_filters_of_very_different_size(rng):
    """Those that hardly count, and thresholds of numbers that are tiny."""
    model = model_of(
        binary_conv(8, name="bits"),
        BN(name="tiny"),
        binary_conv(8, name="floats"),
        BN(name="uneven"),
        layers.GlobalAveragePooling2D(),
    )
    randomized(model, rng)
    for name, gamma in (("tiny", [1e-7] * 8), ("uneven", [1e-5] + [10.0] * 7)):
        old = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([np.array(gamma), old[1] * 1e-5, *old[2:]])
    model = deployed(model)
    flatbuffer, images = convert(model), noise(model, rng, 2)
    assert not wrong_layers(verify_layers(model, flatbuffer, images))
    for index, layer in enumerate(("bits", "floats")):
        bad = edited(flatbuffer, index, "weights", flip_bit)
        wrong = wrong_layers(verify_layers(model, bad, images))
        assert list(wrong) == [layer]
        assert wrong[layer] > 100


def test_flips_begin_behind_the_fault(chain):
    """A threshold that is moved changes the signs that the next layer takes."""
    model, flatbuffer, images = chain
    before = count_flips(model, flatbuffer, images)
    assert [layer.layer for layer in before] == [*"abcd"]
    assert before[0].signs == 8 * 8 * 8 * 8
    assert before[1].signs == 8 * 6 * 6 * 33
    assert not any(layer.flipped for layer in before)
    bad = edited(flatbuffer, 0, "thresholds", scale_all(-1))
    after = count_flips(model, bad, images)
    assert not after[0].flipped
    assert all(0 < layer.flipped < layer.signs for layer in after[1:])
    assert [layer.signs for layer in after] == [layer.signs for layer in before]


def test_nothing_binary(rng):
    model = randomized(model_of(layers.Conv2D(4, 3)), rng)
    flatbuffer, images = convert(model), noise(model, rng)
    assert verify_layers(model, flatbuffer, images) == count_flips(model, flatbuffer, images) == []


def test_another_model_is_no_match(chain):
    """The layers of another network of the same shapes are all wrong, and nothing is raised."""
    model, flatbuffer, images = chain
    other = rebuild(model)
    randomized(other, np.random.default_rng(5))
    assert len(wrong_layers(verify_layers(other, flatbuffer, images[:1]))) == 4


def test_corrupt_files(chain):
    model, flatbuffer, images = chain
    for function in (verify_layers, count_flips):
        with pytest.raises(ValueError, match="is corrupt"):
            function(model, flatbuffer[: len(flatbuffer) // 2], images)


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("type", 100, "constant has the type 100"),
        ("shape", None, "shape|corrupt|refuses"),
        ("buffer", 0, "no packed filters"),
    ],
)
def test_odd_weights(chain, attribute, value, message):
    model, flatbuffer, images = chain
    file = tflite.read(flatbuffer)
    for op in binary_ops(file):
        operator = file.subgraphs[0].operators[op.index]
        index = operator.inputs[0] if attribute == "shape" else operator.inputs[1]
        setattr(file.subgraphs[0].tensors[index], attribute, value)
    with pytest.raises(ValueError, match=message):
        verify_layers(model, tflite.write(file), images[:1])


def refused(monkeypatch, chain, flatbuffer, path, match, **arguments):
    """`export` of the model raises an ExportError if LCE gives this file, and writes nothing."""
    model, _, images = chain
    path.write_bytes(b"old")
    module = importlib.import_module("larq_reactnet.converters.exporting")
    monkeypatch.setattr(module, "convert", lambda *_, **__: flatbuffer)
    with pytest.raises(ExportError, match=match) as error:
        export(model, path, verify_with=images, progress=False, **arguments)
    assert path.read_bytes() == b"old"
    assert len(list(path.parent.iterdir())) == 1
    return str(error.value)


@pytest.mark.slow
def test_export_refuses_a_wrong_layer(chain, tmp_path, monkeypatch):
    """An error that is too small to change any answer."""
    path = tmp_path / "model.tflite"
    bad = edited(chain[1], 3, "multiplier", scale_all(1.001))
    for thorough, message in (
        (True, "d gives other outputs in the file, given the same bits"),
        (False, "does not compute the Keras model in LCE's interpreter"),
    ):
        found = refused(monkeypatch, chain, bad, path, message, thorough=thorough)
        assert "Nothing was written" in found


@pytest.mark.slow
def test_export_refuses_a_wrong_bit(chain, tmp_path, monkeypatch):
    path = tmp_path / "model.tflite"
    bad = edited(chain[1], 2, "weights", flip_bit)
    refused(monkeypatch, chain, bad, path, "did not become LceBconv2d: c[.]", thorough=True)
    arguments = {"thorough": True, "allow_float": True, "min_agreement": 0}
    refused(monkeypatch, chain, bad, path, "c gives other outputs in the file", **arguments)


def test_export_says_where_signs_first_differ(chain, tmp_path, monkeypatch):
    path = tmp_path / "model.tflite"
    bad = edited(chain[1], 1, "bias", add_to_last(100))
    bad = edited(bad, 2, "bias", scale_all(-100))
    message = refused(monkeypatch, chain, bad, path, "of 4,552 signs are not those")
    assert "in LCE's interpreter" in message
    assert "first in front of c" in message


def test_export_says_if_outputs_alone_differ(chain, tmp_path, monkeypatch):
    path = tmp_path / "model.tflite"
    bad = edited(chain[1], 3, "bias", add_to_last(1000))
    message = "signs on 2 inputs are those of the Keras model .*, and outputs differ by"
    refused(monkeypatch, chain, bad, path, message)


@pytest.mark.slow
def test_thorough_report(chain, tmp_path):
    model, _, images = chain
    report = export(model, tmp_path / "m.tflite", verify_with=images, progress=False, thorough=True)
    assert [layer.layer for layer in report.layers] == [*"abcd"]
    assert all(isinstance(layer, LayerError) and layer.is_equal for layer in report.layers)
    assert "4 binary convolutions equal; " in str(report)
    assert "flipped signs         0 of " in str(report)
    found = predict_tflite(report.path.read_bytes(), images, progress=False)
    assert (found.argmax(-1) == model.predict(images, verbose=0).argmax(-1)).all()
