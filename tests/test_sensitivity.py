"""Which layers are hard to make binary, and which should stay real within a budget."""

import json

import larq_reactnet as lr
from larq_reactnet.binarizing import LayerSensitivity, Sensitivity
from larq_reactnet.profiling import ops

import numpy as np
import pytest
import tensorflow as tf
from habits import HABITS

layers = tf.keras.layers


def trained(rng):
    """A network of which one layer matters, and images with labels that it knows well.

    The labels are the sign of the mean of a channel. `matters` passes it on; `other` is added to
    the features with a weight of almost 0.
    """
    images = rng.normal(size=(96, 8, 8, 3)).astype("f")
    images += np.where(rng.random(96) < 0.5, -0.7, 0.7)[:, None, None, None].astype("f")
    labels = (images[..., 0].mean((1, 2)) > 0).astype(int)
    inputs = layers.Input((8, 8, 3))
    x = layers.Conv2D(4, 1, padding="same", use_bias=False, name="stem")(inputs)
    features = []
    for name in ("matters", "other"):
        y = layers.Conv2D(4, 3, padding="same", use_bias=False, name=name)(x)
        y = layers.BatchNormalization(name=f"{name}_bn")(y)
        features.append(layers.GlobalAveragePooling2D()(y))
    x = layers.Concatenate()(features)
    model = tf.keras.Model(inputs, layers.Dense(2, activation="softmax", name="top")(x))
    model.get_layer("stem").set_weights([np.eye(3, 4)[None, None]])
    for name in ("matters", "other"):
        model.get_layer(name).set_weights([np.full((3, 3, 4, 4), 0.1)])
    kernel = np.concatenate([np.full((4, 2), 0.3), np.full((4, 2), 1e-6)]) * [-1, 1]
    model.get_layer("top").set_weights([kernel, np.zeros(2)])
    lr.recalibrate(model, images, print_fn=None)
    return model, images, labels


def test_the_layer_that_matters(rng):
    model, images, labels = trained(rng)
    before = [np.array(weight) for weight in model.get_weights()]
    shown = []
    found = lr.sensitivity(
        model, (images, labels), "plain", batches=None, progress=False, report=shown.append
    )
    assert shown == [found]
    assert found.images == 96
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    model.compile(loss="sparse_categorical_crossentropy")
    assert found.real == pytest.approx(model.evaluate(images, labels, verbose=0), rel=1e-4)
    matters, other = found.layers
    assert (matters.name, other.name) == ("matters", "other")
    assert other.alone == pytest.approx(found.real, rel=1e-3)
    assert abs(matters.alone - found.real) > 0.003
    # The binary network is the same with and without the layer that does not matter.
    assert other.spared == pytest.approx(found.binary, rel=1e-3)
    assert matters.spared == pytest.approx(other.alone, rel=1e-3)
    assert min(layer.seconds for layer in found.layers) > 0


def test_losses_are_those_of_binarize_model(rng):
    """Alone, spared and all binary, measured again by hand; with a loss of one's own."""
    model = HABITS["conv-norm-act"].build()
    data = [(rng.normal(size=(16, 16, 16, 3)).astype("f"), rng.random((16, 3)))]
    found = lr.sensitivity(model, data, loss="mse", skip="conv4", progress=False, report=None)
    names = [layer.name for layer in found.layers]
    assert names == ["conv2", "conv3"]

    def loss(skip):
        binary = lr.binarize_model(model, skip=["conv4", *skip], report=None)
        lr.recalibrate(binary, data[0][0], print_fn=None)
        return np.mean((np.asarray(binary(data[0][0])) - data[0][1]) ** 2)

    assert found.binary == pytest.approx(loss([]), rel=1e-4)
    assert found.layers[0].alone == pytest.approx(loss(["conv3"]), rel=1e-4)
    assert found.layers[0].spared == pytest.approx(loss(["conv2"]), rel=1e-4)


@pytest.mark.parametrize("name", ["separable", "nested"])
def test_a_budget_is_kept(name, rng):
    """The network that is made of the suggestion has the OPs that were promised."""
    model = HABITS[name].build()
    images = rng.normal(size=(8, *model.input_shape[1:])).astype("f")
    data = (images, rng.integers(0, 3, 8))
    found = lr.sensitivity(model, data, progress=False, report=None)
    assert found.ops == ops(lr.binarize_model(model, report=None)).ops
    # As if every layer were hard, each twice as hard as the one before.
    hard = [
        LayerSensitivity(row.name, row.kind, found.real + 2**i, row.spared, row.ops, row.seconds)
        for i, row in enumerate(found.layers)
    ]
    found = Sensitivity(found.name, "reactnet", 8, found.real, 9.0, found.ops, tuple(hard))
    costs = [row.ops for row in found.layers]
    budget = found.ops + max(costs)
    skip = found.skip(budget)
    expected = found.ops + sum(row.ops for row in found.layers if row.name in skip)
    assert 0 < len(skip) < len(hard)
    assert expected <= budget
    assert ops(lr.binarize_model(model, skip=skip, report=None)).ops == pytest.approx(
        expected, abs=1
    )
    assert len(found.skip(found.ops + sum(abs(cost) for cost in costs))) == len(hard)
    with pytest.raises(ValueError, match="with every layer binary that can be"):
        found.skip(found.ops - 1)
    with pytest.raises(ValueError, match="with every layer binary that can be"):
        # Before anything is measured: this loss cannot be.
        lr.sensitivity(model, data, loss=lambda *_: 1 / 0, budget=1, progress=False)


def test_what_is_skipped_first():
    rows = [
        LayerSensitivity("small", "Conv2D", 1.5, 0.0, 10.0, 0.1),
        LayerSensitivity("large", "Conv2D", 3.0, 0.0, 100.0, 0.1),
        LayerSensitivity("easy", "Conv2D", 0.5, 0.0, 1.0, 0.1),
        LayerSensitivity("cheaper", "DepthwiseConv2D", 1.1, 0.0, -5.0, 0.1),
    ]
    found = Sensitivity("net", "reactnet", 8, 1.0, 4.0, 50.0, tuple(rows))
    assert found.skip(50) == ("cheaper",)
    assert found.skip(55) == ("small", "cheaper")
    assert found.skip(149) == ("small", "cheaper")
    assert found.skip(155) == ("small", "large", "cheaper")
    lines = str(found).splitlines()
    assert lines[1].split() == ["small", "Conv2D", "1.5", "0", "+10", "0.1"]
    assert lines[-1].startswith("Loss of 8 images: 1 real, 4 with every layer binary")
    assert json.loads(json.dumps(found.as_dict()))["layers"][3]["ops"] == -5
    assert "width:75.00%" in found.html()  # the bar of "large", 3 of 4
    unknown = Sensitivity("net", "reactnet", 8, 1.0, 4.0, None, tuple(rows))
    with pytest.raises(ValueError, match="images of any size"):
        unknown.skip(100)


def test_a_single_layer_is_measured_once(rng):
    model = HABITS["conv-norm-act"].build()
    data = (rng.normal(size=(8, 16, 16, 3)).astype("f"), np.zeros(8, int))
    found = lr.sensitivity(model, data, skip=["conv2", "conv3"], progress=False, report=None)
    (layer,) = found.layers
    assert (layer.alone, layer.spared) == (found.binary, found.real)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ([], {}, "no data"),
        ([np.zeros((2, 16, 16, 3))], {}, "inputs and targets"),
        ([(np.zeros((2, 16, 16, 3)), np.zeros((2, 7)))], {}, "give `loss`"),
        ([(np.full((2, 16, 16, 3), np.nan), np.zeros(2, int))], {}, "no layer binary"),
        ([(np.zeros((2, 16, 16, 3)), np.zeros(2, int))], {"skip": "conv_2"}, "Did you mean"),
    ],
)
def test_bad_input(data, options, message):
    model = HABITS["conv-norm-act"].build()
    with pytest.raises(ValueError, match=message):
        lr.sensitivity(model, data, progress=False, report=None, **options)
