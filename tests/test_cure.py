"""Each fault that `export` cures: shown with plain LCE, and right in the file that it writes.

`converters.convert` gives what `lce.convert_keras_model` does, sooner. The one exception, which is
shown with the latter, depends on the batch being of unknown size.
"""

import re

import larq_reactnet as lr
from larq_reactnet.converters import check, convert, count_operators, cure, export, predict_tflite

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from curable_models import (
    CURED,
    DoReFa,
    Pad,
    Sign,
    after,
    cast,
    conv,
    dense,
    functional,
    layers,
    line,
    ones,
    ones_like,
)
from faulty_models import Opaque, faults_of, model_of, noise, randomized
from helpers import some

# One of each kind.
SOME = (
    "padding of a convolution",
    "padding of a depthwise convolution",
    "ones after a sign",
    "zeros after a sign",
    "many zeros after a sign with thresholds",
    "a sign of another form",
    "a sign that is shared",
    "pooling of signs",
    "dense",
    "groups of few channels",
    "a map smaller than the kernel",
    "a function between the sign and the convolution",
    "one dimension",
    "0 and 1 for a dense layer",
    "a model in a model",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", some(CURED, *SOME))
def test_cure(name, rng, tmp_path):
    kind, make, words, count = CURED[name]
    model = randomized(make(), rng)
    images = noise(model, rng)
    expected = model(images).numpy()
    weights = model.get_weights()
    findings = faults_of(check(model))
    assert {finding.layer for finding in findings} == {"faulty"}
    assert all(finding.applied and not finding.blocks for finding in findings)
    assert findings[0].kind == kind
    assert re.search(words, str(findings[0]))

    # LCE alone says nothing.
    flatbuffer = convert(model)
    binary = count_operators(flatbuffer)["LceBconv2d"]
    if kind == "refused":
        with pytest.raises(ValueError, match="interpreter refuses"):
            predict_tflite(flatbuffer, images, progress=False, default_kernel=True)
    elif kind == "wrong":
        error = np.abs(
            predict_tflite(flatbuffer, images, engine="lce", progress=False) - expected
        ).max()
        assert error > 0.5
    else:
        assert binary == 0

    # The same function, and nothing more to cure.
    cured = cure(model)
    np.testing.assert_allclose(cured(images), expected, rtol=1e-5, atol=1e-5)
    assert not faults_of(check(cured))
    assert cure(cured) is cured
    for before, now in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, now)
    assert all(len(layer.inbound_nodes) <= 2 for layer in model.layers)

    # Right in the file; `export` also refuses one where LCE's two kernels differ.
    report = export(model, tmp_path / "m.tflite", verify_with=images, progress=False)
    assert report.operators.get("LceBconv2d", 0) == report.binary_convolutions == count
    assert report.cured == tuple(map(str, findings))
    assert not report.left_in_float
    assert "cured" in str(report)
    assert report.agreement.max_distance < 1e-4


def test_sign_of_another_form_that_only_lce_itself_shows(rng, tmp_path):
    """Constants of the size of the batch are no constants if it is unknown."""
    import larq_compute_engine as lce

    model = randomized(model_of(conv(input_quantizer=ones_like)), rng)
    assert count_operators(lce.convert_keras_model(model))["LceBconv2d"] == 0
    (finding,) = faults_of(check(model))
    assert finding.applied
    assert "does not recognize its input quantizer ones_like" in finding.problem
    images = noise(model, rng)
    images[0, 0] = 0
    report = export(model, tmp_path / "m.tflite", verify_with=images, progress=False)
    assert report.operators["LceBconv2d"] == 1
    assert report.agreement.max_distance < 1e-4


SIZES = ((6, 6), (7, 8), (9, 7))
BRANCHES = [
    (kernel, stride, amounts)
    for kernel in (3, 5, 7)
    for stride in (2, 3)
    for amounts in [
        ((kernel // 2, kernel // 2), (kernel // 2, kernel // 2)),
        ((kernel // 2, kernel // 2 - 1), (kernel // 2 - 1, kernel // 2)),
        ((kernel // 2 - 1, kernel // 2), (kernel // 2 + 1, kernel // 2 + 1)),
    ]
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "first"),
    some([("convolution", 0), ("depthwise", 1), ("ones after a sign", 2)], ("convolution", 0)),
)
def test_all_paddings(kind, first, rng):
    """`check` says so if and only if LCE is wrong, and the cured model is right."""
    inputs = layers.Input((9, 8, 2))
    results = []
    for index, (kernel, stride, amounts) in enumerate(BRANCHES):
        height, width = SIZES[(index + index // 3 + first) % 3]
        # Not the same for any two, or LCE would join them, and padding that has two uses is safe.
        x = inputs[:, :height, :width] * (1 + index / 64) + index / 640
        name = f"branch{index}"
        if kind == "ones after a sign":
            x = tf.pad(Sign()(x), [(0, 0), *amounts, (0, 0)], constant_values=1.0)
            x = after(3, kernel, strides=stride, name=name)(x)
        elif kind == "depthwise":
            x = layers.DepthwiseConv2D(kernel, stride, name=name)(layers.ZeroPadding2D(amounts)(x))
        else:
            x = layers.Conv2D(3, kernel, stride, name=name)(layers.ZeroPadding2D(amounts)(x))
        results.append(layers.Flatten()(x))
    model = randomized(tf.keras.Model(inputs, layers.Concatenate()(results)), rng)
    images = noise(model, rng, 2)
    expected = model(images).numpy()
    said = {finding.layer for finding in check(model) if finding.kind == "wrong"}

    error = np.abs(
        predict_tflite(convert(model), images, engine="lce", progress=False) - expected
    ).max(axis=0)
    ends = np.cumsum([result.shape[-1] for result in results])
    wrong = [part.max() > 1e-3 for part in np.split(error, ends[:-1])]
    assert said == {f"branch{index}" for index, is_wrong in enumerate(wrong) if is_wrong}
    assert 0.2 < np.mean(wrong) < 0.5

    cured = cure(model)
    np.testing.assert_allclose(cured(images), expected, atol=1e-5)
    found = predict_tflite(convert(cured), images, engine="lce", progress=False)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_step_at_its_threshold(rng, tmp_path):
    """DoReFa rounds exactly 1/2 to 0, and what is just above it to 1."""
    model = randomized(model_of(conv(input_quantizer=DoReFa(1), padding="same")), rng)
    half = np.float32(0.5)
    values = [half, np.nextafter(half, np.float32(1)), np.nextafter(half, np.float32(0)), 0, 1]
    images = rng.choice(np.array(values, np.float32), (4, 8, 8, 4))
    cured = cure(model)
    np.testing.assert_allclose(cured(images), model(images), rtol=1e-6, atol=1e-6)
    report = export(model, tmp_path / "m.tflite", verify_with=images, progress=False)
    assert report.agreement.max_distance < 1e-5
    assert report.proof.not_replayed == ""
    assert all(replay.is_equal and not replay.undecided for replay in report.proof.replays)


def test_steps_that_cannot_be_signs():
    """Two bits, padding with a 1, padding with a -1 between, and a kernel that is not binary."""
    between = [DoReFa(1), Pad(((1, 1), (1, 1)), -1.0), after()]
    for model in (
        model_of(conv(input_quantizer=DoReFa(2))),
        model_of(conv(input_quantizer=DoReFa(1), padding="same", pad_values=1.0)),
        model_of(conv(input_quantizer=DoReFa(1), kernel_quantizer="ste_tern")),
        functional(*between),
    ):
        found = faults_of(check(model))
        assert any(finding.blocks for finding in found)
        assert cure(model) is model


def test_ones_after_a_sign_that_are_as_same_pads(rng, tmp_path):
    """LCE converts them rightly, and `export` can follow what becomes of them."""
    model = randomized(functional(Sign(), ones(1), after()), rng)
    assert faults_of(check(model)) == []
    assert [finding.applied for finding in check(model) if "layer of its own" in str(finding)]
    images = noise(model, rng)
    np.testing.assert_allclose(cure(model)(images), model(images), rtol=1e-6, atol=1e-6)
    report = export(model, tmp_path / "m.tflite", verify_with=images, progress=False)
    assert report.operators == {"LceQuantize": 1, "LceBconv2d": 1}
    assert report.agreement.max_distance < 1e-5


def test_one_dimension_that_cannot_be_a_plane():
    for arguments in ({"padding": "causal"}, {"kernel_quantizer": "ste_tern"}):
        model = model_of(line(**arguments), shape=(12, 4))
        (finding,) = faults_of(check(model))
        assert finding.blocks
        assert cure(model) is model


def test_map_of_constants_in_a_model_that_is_built_again(rng):
    from larq_reactnet._graph.calls import rebuild

    model = randomized(model_of(conv(padding="same"), shape=(2, 2, 4)), rng)
    images = noise(model, rng)
    cured = cure(model)
    for dtype in (None, "float64"):
        copy = rebuild(cured, dtype=dtype)
        np.testing.assert_allclose(copy(images), model(images), rtol=1e-5, atol=1e-5)
    twin = tf.keras.Model.from_config(cured.get_config())
    twin.set_weights(cured.get_weights())
    np.testing.assert_array_equal(twin(images), cured(images))


def test_what_cannot_be_rewritten(rng):
    """A dense layer of more than two axes, and a kernel quantizer that looks at all filters."""

    def mean_of_all(w):
        return tf.reduce_mean(tf.abs(w)) * lq.math.sign(w)

    for layer in (dense(input_quantizer="ste_sign"), conv(groups=2, kernel_quantizer=mean_of_all)):
        model = randomized(model_of(layer), rng)
        (finding,) = faults_of(check(model))
        assert finding.blocks
        assert cure(model) is model


def test_layer_that_cannot_be_copied(tmp_path, rng):
    model = randomized(functional(Opaque(lambda x: x), conv(input_quantizer=cast)), rng)
    with pytest.raises(lr.converters.ExportError, match="cannot be copied"):
        export(model, tmp_path / "m.tflite", verify_with=noise(model, rng), progress=False)
    assert not list(tmp_path.iterdir())
