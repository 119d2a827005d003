"""Every model of the registry, small: builds, trains, saves, exports."""

import larq_reactnet as lr

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from helpers import assert_same_outputs, reloaded

MODELS = lr.zoo.list_models()
SHAPE = (32, 32, 3)


def small(name, **arguments):
    return lr.zoo.create(
        name,
        **{"input_shape": SHAPE, "num_classes": 10, **lr.zoo.get(name).small, **arguments},
    )


@pytest.fixture(scope="module", params=MODELS)
def trained(request):
    """A small model after a few steps of `fit`, and images of its training set."""
    tf.keras.utils.set_random_seed(0)
    data = lr.zoo.datasets.load("digits", batch_size=32)
    model = small(request.param)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(data.train.take(8), epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    return model, data.test_arrays(64)[0]


def test_every_weight_gets_a_gradient(trained, rng):
    model, images = trained
    labels = rng.integers(0, 10, len(images))
    with tf.GradientTape() as tape:
        outputs = model(images, training=True)
        loss = tf.keras.losses.sparse_categorical_crossentropy(labels, outputs)
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.name
        assert np.isfinite(gradient).all(), variable.name
        assert np.any(gradient != 0), variable.name


@pytest.mark.parametrize("how", ["h5", "tf", "keras", "config"])
def test_round_trip(trained, how, tmp_path):
    model, images = trained
    twin = reloaded(model, how, tmp_path)
    assert_same_outputs(model, twin, images)
    lines = [[], []]
    for m, printed in zip((model, twin), lines, strict=True):
        lq.models.summary(m, print_fn=printed.append)
    assert lines[0] == lines[1]


def test_weights_file(trained, tmp_path):
    model, images = trained
    path = str(tmp_path / "weights.h5")
    model.save_weights(path)
    assert_same_outputs(model, small(model.name, weights=path), images)


def test_export(trained, tmp_path):
    model, images = trained
    assert lr.converters.check(model) == []
    report = lr.converters.export(
        model, tmp_path / "model.tflite", verify_with=images, progress=False
    )
    binary = [layer for layer in model.layers if lr.profiling.is_binary(layer)]
    activations = [layer for layer in model.layers if isinstance(layer, lr.layers.RPReLU)]
    assert len(binary) == report.binary_convolutions
    assert report.operators["LceBconv2d"] == len(binary)
    assert report.operators.get("PRELU", 0) == len(activations)
    assert report.operators["CONV_2D"] == 1  # the stem
    assert report.operators["FULLY_CONNECTED"] == 1  # the head
    assert not {"SELECT", "SELECT_V2", "SIGN", "LceDequantize"} & report.operators.keys()
    assert report.agreement.same_class >= 0.99
    # No more than one bit for a binary weight and four bytes for others, and the graph.
    graph = 256 * sum(report.operators.values())
    assert report.bytes < report.ops.deployed_bytes + graph


@pytest.mark.parametrize("name", MODELS)
def test_arguments(name):
    inputs = tf.keras.layers.Input(SHAPE, name="photo")
    model = small(name, input_tensor=inputs, classifier_activation=None)
    assert model.input_names == ["photo"]
    assert model.output_shape == (None, 10)
    assert model.layers[-1].activation is tf.keras.activations.linear
    assert len(small(name, include_top=False).output_shape) == 4
    assert len(small(name, include_top=False, input_shape=(None, None, 3)).output_shape) == 4
    assert small(name, num_classes=7).output_shape == (None, 7)
    assert small(name, width=0.01).count_params() < small(name).count_params()
    if name == "reactnet_a":
        pooled = small(name, width=0.35).get_layer("pool").output_shape
        assert pooled == (None, 32 * 11)  # channels double exactly at every width


@pytest.mark.parametrize("name", MODELS)
def test_bad_arguments(name):
    with pytest.raises(ValueError, match="has no argument 'depth'"):
        small(name, depth=3)
    with pytest.raises(ValueError, match="images or larger"):
        small(name, input_shape=(7, 7, 3))
    with pytest.raises(ValueError, match=r"must be \(height, width, channels\)"):
        small(name, input_shape=(32, 32))
    with pytest.raises(ValueError, match="`width` must be a number above 0"):
        small(name, width=0)
    with pytest.raises(ValueError, match="`width` must be a number above 0"):
        small(name, width="wide")
    with pytest.raises(ValueError, match="no pretrained weights"):
        small(name, weights="imagenet")
    with pytest.raises(ValueError, match="must be a Keras tensor"):
        small(name, input_tensor=np.zeros((1, 32, 32, 3)))


def test_registry():
    assert "reactnet_a" in MODELS
    with pytest.raises(ValueError, match="Did you mean 'reactnet_a'"):
        lr.zoo.create("reactnet_b")
    with pytest.raises(ValueError, match="'r1', 'r2' or None"):
        small("bnn_plus_alexnet", regularizer="r3")
    assert lr.zoo.get("reactnet_a").constructor is lr.zoo.ReActNetA


@pytest.fixture(scope="module")
def full_size():
    return lr.zoo.ReActNetA(weights=None)


def test_reactnet_a_counts_as_the_paper_does(full_size):
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
def test_reactnet_a_at_full_size_converts(full_size, rng):
    """The number of operators that LCE's own path gives, 31 binary convolutions among them."""
    for weight in full_size.weights:  # zeros would be optimized away
        if weight.name.split("/")[-1][:-2] in ("gamma", "zeta", "bias", "threshold_bias"):
            weight.assign_add(rng.normal(size=weight.shape) * 0.1)
    flatbuffer = lr.converters.convert(full_size)
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
    images = rng.normal(size=(2, 224, 224, 3)).astype(np.float32)
    agreement = lr.converters.verify(full_size, flatbuffer, images, progress=False)
    assert agreement.same_class == 1
