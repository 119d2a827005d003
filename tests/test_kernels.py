"""Everything in tf.keras.layers and tf.keras.activations, and the common functions of TensorFlow.

Each stands behind a binary convolution. It either exports and is verified, or `check` names layer,
operator and cure. What has to be right is in one model, because a conversion takes a second.
"""

import inspect
import re

import larq_reactnet as lr  # noqa: F401
from larq_reactnet.converters import ExportError, check, cure, export
from larq_reactnet.converters._faults.known import GOOD_ACTIVATIONS, GOOD_LAYERS
from larq_reactnet.converters._faults.parts import erf

import numpy as np
import pytest
import tensorflow as tf
from faulty_models import Opaque, faults_of, noise
from helpers import every, some
from layer_tables import (
    CURED,
    ELSEWHERE,
    LOOPS,
    REFUSED,
    RIGHT,
    RIGHT_ACTIVATIONS,
    RIGHT_FUNCTIONS,
    activations,
    behind,
    layers,
)


def test_every_layer_and_activation_is_in_a_table():
    known = RIGHT.keys() | LOOPS.keys() | CURED.keys() | REFUSED.keys() | ELSEWHERE
    classes = {getattr(layers, name) for name in known if hasattr(layers, name)}
    missing = {
        name
        for name, value in vars(layers).items()
        if inspect.isclass(value) and value not in classes
    }
    assert missing == set()
    functions = {name for name, value in vars(activations).items() if inspect.isfunction(value)}
    functions -= {"get", "serialize", "deserialize"}
    assert functions == {*RIGHT_ACTIVATIONS, "gelu", "softsign"}
    tried = {getattr(layers, name) for name in RIGHT}
    assert {layer for layer in GOOD_LAYERS if "keras" in layer.__module__} <= tried | {
        layers.InputLayer
    }
    names = {function.__name__ for function in GOOD_ACTIVATIONS}
    assert names <= {*RIGHT_ACTIVATIONS, *RIGHT_FUNCTIONS, "softmax_v2"}


def verified(model, folder):
    """The report of `export`, whose proof says that the file computes what the model does."""
    images = noise(model, np.random.default_rng(1), 12)  # a number is judged by its largest value
    report = export(model, folder / "m.tflite", verify_with=images, progress=False)
    largest = np.abs(model(images, training=False)).max()
    assert report.agreement.max_distance < 1e-5 * largest
    assert len(report.agreement.engines) >= 1
    return report


@every  # a minute, of what changes with LCE and TensorFlow only
def test_what_is_right(tmp_path):
    branches = [make() for make in RIGHT.values()]
    branches += [[layers.Activation(name)] for name in RIGHT_ACTIVATIONS]
    branches += [[function] for function in RIGHT_FUNCTIONS.values()]
    model = behind(*branches)
    assert faults_of(check(model)) == []
    assert cure(model) is model
    assert verified(model, tmp_path).operators["LceBconv2d"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", some(LOOPS, "GRU"))
def test_one_recurrent_layer_is_right(name, tmp_path):
    model = behind(LOOPS[name]())
    assert faults_of(check(model)) == []
    if name == "GRU":  # each takes seconds, and `check` has run them all
        assert verified(model, tmp_path).operators["WHILE"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", some(CURED, "LSTM", "gelu", "softsign"))
def test_what_is_cured(name, tmp_path):
    make, words = CURED[name]
    model = behind(make())
    found = faults_of(check(model))
    assert found
    assert all(re.search(words, str(finding)) and finding.applied for finding in found)
    cured, images = cure(model), noise(model, np.random.default_rng(1))
    np.testing.assert_allclose(cured(images), model(images), rtol=1e-5, atol=1e-5)
    assert faults_of(check(cured)) == []
    if name in ("LSTM", "two recurrent layers"):
        report = verified(model, tmp_path)
        assert len(report.cured) == len(found)
        assert all(replay.is_equal for replay in report.proof.replays)
        assert report.proof.not_replayed == ""


@pytest.mark.slow
def test_file_of_what_is_cured(tmp_path):
    names = [name for name in CURED if not re.search("LSTM|Bidirectional|recurrent", name)]
    report = verified(behind(*(CURED[name][0]() for name in names)), tmp_path)
    assert len(report.cured) == len(names) == 6
    assert all(replay.is_equal for replay in report.proof.replays)
    assert report.proof.not_replayed == ""


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name, tmp_path):
    make, words = REFUSED[name]
    model = behind(make())
    found = faults_of(check(model))
    assert found
    assert all(finding.blocks and re.search(words, str(finding)) for finding in found)
    assert {finding.layer for finding in found} <= {layer.name for layer in model.layers}
    if name == "erfc":
        with pytest.raises(ExportError, match=r"tf\.math\.erfc: no engine has a kernel"):
            export(model, tmp_path / "m.tflite", progress=False)


def test_all_at_once_names_only_what_is_wrong():
    model = behind([layers.ELU()], [layers.Activation("gelu", name="wrong")], [tf.math.exp])
    assert [finding.layer for finding in faults_of(check(model))] == ["wrong"]


def test_stateful_lstm_is_refused():
    """It is meant to keep its states from one batch to the next."""
    inputs = layers.Input((4, 3), batch_size=1)
    model = tf.keras.Model(inputs, layers.LSTM(2, stateful=True, name="memory")(inputs))
    (finding,) = check(model)
    assert finding.blocks
    assert "not stateful" in finding.cure


def test_without_lce_nothing_is_tried(without):
    without("lce")
    assert faults_of(check(behind([layers.Lambda(lambda x: tf.math.atanh(x / 9))]))) == []


def test_a_layer_without_configuration(tmp_path):
    (finding,) = faults_of(check(behind([Opaque(tf.math.acosh)])))
    assert "operator Acosh" in finding.problem
    assert faults_of(check(behind([Opaque(tf.math.cos)]))) == []


def test_error_function_by_parts():
    """In float32 its error is like that of TensorFlow's, and in float64 it is TensorFlow's."""
    x = np.concatenate([np.linspace(-6, 6, 200_001), [0.0, 1e-30, -1e-30, 1e30, -1e30]])
    x = x.astype(np.float32).astype(np.float64)
    exact = tf.math.erf(tf.constant(x)).numpy()
    errors = [np.abs(f(tf.constant(x, tf.float32)) - exact).max() for f in (erf, tf.math.erf)]
    assert max(errors) < 8 * 2.0**-24
    np.testing.assert_array_equal(erf(tf.constant(x)), exact)
