"""Folding is exact: in float64, on networks of the zoo and on random graphs of their layers."""

import larq_reactnet as lr
from larq_reactnet._graph.calls import rebuild
from larq_reactnet.converters import count_operators, fold

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from helpers import EVERY, every, some
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

layers = tf.keras.layers
BINARY = {"kernel_quantizer": "react_sign", "kernel_constraint": "weight_clip"}


def randomize(model, rng):
    """Give each weight a random value, as `model.get_weights` orders them."""
    weights = []
    for variable in model.weights:
        value = rng.normal(size=variable.shape)
        weights.append(0.5 + np.abs(value) if "variance" in variable.name else value)
    model.set_weights(weights)
    return model


def inputs_of(model, rng, images=2):
    return rng.normal(size=(images, *model.input_shape[1:]))


def assert_folds(model, rng, again=True):
    """The folded model gives the same outputs and is folded for good; `model` is untouched."""
    exact = model
    if model.input.dtype != tf.float64:
        exact = rebuild(model, dtype="float64")
    weights = exact.get_weights()
    folded = fold(exact)
    for before, after in zip(weights, exact.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    x = inputs_of(model, rng)
    expected, found = exact(x).numpy(), folded(x).numpy()
    assert expected.dtype == found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
    if again:
        assert_same_model(folded, fold(folded))
    return folded


def assert_same_model(model, twin):
    assert twin.get_config() == model.get_config()
    for before, after in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-12, atol=1e-12)


def count(model, kind):
    return sum(type(layer) is kind for layer in model.layers)


# Layers that add, or want added, a constant: before and after.
ZOO = {
    "reactnet_a": {"LearnableBias": 25, "RPReLU": 0, "QuantConv2D": 26},
    "reactnet_b": {"RPReLU": 0, "QuantConv2D": 21},
    "reactnet_c": {"RPReLU": 0, "QuantConv2D": 21},
    "reactnet_18": {"RPReLU": 0, "QuantConv2D": 16},
    "birealnet18": {"LearnableBias": 0, "QuantConv2D": 16},
    "quicknet_small": {"LearnableBias": 0},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", some(ZOO, "reactnet_18"))
def test_networks(name, rng):
    entry = lr.zoo.get(name)
    shape = (entry.small_size, entry.small_size, 3)
    model = lr.zoo.create(name, input_shape=shape, num_classes=10, **entry.small)
    folded = assert_folds(randomize(model, rng), rng)
    kinds = [type(layer).__name__ for layer in folded.layers]
    for kind, number in ZOO[name].items():
        assert kinds.count(kind) == number, kind
    if name in ("birealnet18", "quicknet_small"):  # nothing to fold
        assert_same_model(rebuild(model, dtype="float64"), folded)


@every  # test_zoo.py exports it
def test_operators_of_reactnet_a(rng):
    """109 ADD become 51 and 31 convolutions 26, as at 224x224."""
    model = lr.zoo.ReActNetA(input_shape=(32, 32, 3), num_classes=10, width=0.25, stem_strides=1)
    folded = fold(randomize(model, rng))
    operators = count_operators(lr.converters.convert(folded))
    assert operators["ADD"] == 51
    assert operators["LceBconv2d"] == operators["LceQuantize"] == operators["PRELU"] == 26


class Network:
    """Draws a random network of the layers that `fold` knows, and some that it does not."""

    def __init__(self, draw):
        self.draw = draw
        self.width = draw(st.sampled_from([1, 3, 4]))

    def choose(self, *options):
        return self.draw(st.sampled_from(options))

    def shifted(self, x):
        return lr.layers.LearnableBias()(x) if self.draw(st.booleans()) else x

    def activated(self, x):
        kind = self.choose("rprelu", "prelu", "relu", None, None)
        if kind == "rprelu":
            return lr.layers.RPReLU()(x)
        if kind == "prelu":
            return layers.PReLU(shared_axes=[1, 2])(x)
        return x if kind is None else layers.ReLU()(x)

    def conv(self, x, filters, **arguments):
        """A binary or real convolution."""
        arguments = {"kernel_size": self.choose(1, 3), "padding": "same", **arguments}
        use_bias = self.draw(st.booleans())
        if self.draw(st.booleans()):
            quantizer = self.choose(lr.quantizers.RSign(), "ste_sign", None)
            if quantizer is None:
                x = lr.quantizers.RSign(self.choose("approx_sign", "swish_sign"))(x)
            x = lq.layers.QuantConv2D(
                filters, input_quantizer=quantizer, use_bias=use_bias, **BINARY, **arguments
            )(x)
        else:
            if self.draw(st.booleans()):
                arguments["padding"], arguments["kernel_size"] = "valid", 1
            x = layers.Conv2D(filters, use_bias=use_bias, **arguments)(x)
        if self.draw(st.booleans()):
            x = layers.BatchNormalization(center=self.choose(True, True, False))(x)
        return x

    def block(self, x):
        channels = x.shape[-1]
        kind = self.choose("residual", "strided", "double", "dense", "inception", "depthwise")
        y = self.shifted(x)
        if kind == "residual":
            return self.activated(layers.Add()([self.conv(y, channels), x]))
        if kind == "strided":
            pool = self.choose(layers.AveragePooling2D, layers.MaxPooling2D)
            around = pool(2, padding="same")(x)
            return self.activated(layers.Add()([around, self.conv(y, channels, strides=2)]))
        if kind == "double":
            size = self.choose(1, 3)
            sides = [(self.conv(y, channels, kernel_size=size), x) for _ in "ab"]
            order = [side[:: self.choose(1, -1)] for side in sides]
            return self.activated(layers.Concatenate()([layers.Add()([*s]) for s in order]))
        if kind == "dense":
            return layers.Concatenate()([x, self.conv(y, self.width)])
        if kind == "inception":
            filters = [self.choose(1, self.width) for _ in range(self.choose(2, 3))]
            return self.activated(layers.Concatenate()([self.conv(y, f) for f in filters]))
        return layers.DepthwiseConv2D(1, use_bias=self.draw(st.booleans()))(y)

    def build(self):
        inputs = layers.Input((self.choose(5, 6), 6, 3))
        x = self.conv(inputs, self.width)
        for _ in range(self.choose(1, 2)):
            x = self.block(x)
        top = self.choose("pool", "flatten", None)
        if top is not None:
            x = (layers.GlobalAveragePooling2D() if top == "pool" else layers.Flatten())(x)
            x = layers.Dense(3, activation=self.choose(None, "softmax"))(self.shifted(x))
        return tf.keras.Model(inputs, x)


@pytest.fixture
def _float64():
    tf.keras.backend.set_floatx("float64")
    tf.keras.mixed_precision.set_global_policy("float64")  # which another test may have set
    yield
    tf.keras.backend.set_floatx("float32")


@pytest.mark.xdist_group("random graphs")
@pytest.mark.slow
@pytest.mark.usefixtures("_float64")
@given(data=st.data())
@settings(
    max_examples=200 if EVERY else 15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[*HealthCheck],
    phases=[Phase.generate],  # a smaller failing network is not worth its minutes
)
def test_random_graphs(data):
    tf.keras.backend.clear_session()
    model = Network(data.draw).build()
    seed = data.draw(st.integers(0, 1000))
    rng = np.random.default_rng(seed)
    assert_folds(randomize(model, rng), rng, again=seed % 3 == 0)


def test_the_model_is_not_touched(rng):
    model = randomize(lr.zoo.BNNPlusDoReFaNet(width=0.1), rng)
    layer = model.layers[3]
    config, nodes, weights = model.get_config(), len(layer.inbound_nodes), model.get_weights()
    fold(model)
    assert model.get_config() == config
    assert len(layer.inbound_nodes) == nodes
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def stack(*stages, shape=(6, 6, 4)):
    return tf.keras.Sequential([layers.Input(shape), *stages])


def binary(filters=4, **arguments):
    return lq.layers.QuantConv2D(
        filters, 3, **{"padding": "same", "input_quantizer": "ste_sign", **BINARY, **arguments}
    )


def test_a_threshold_goes_into_batch_normalization(rng):
    model = stack(binary(), layers.BatchNormalization(), binary(input_quantizer="rsign"))
    folded = assert_folds(randomize(model, rng), rng)
    assert len(folded.layers) == 4
    assert isinstance(folded.layers[-1].input_quantizer, lq.quantizers.ApproxSign)


def test_a_threshold_behind_a_nonlinear_bias_stays(rng):
    model = stack(binary(activation="relu"), binary(input_quantizer="rsign"))
    folded = assert_folds(randomize(model, rng), rng)
    assert count(folded, lr.layers.LearnableBias) == 1


def test_padding_with_zeros_keeps_the_shift_before_it(rng):
    """Zeros are not the stored zero: a real convolution with padding wants its input as it is."""
    shift = lr.layers.LearnableBias()
    model = stack(layers.ReLU(), shift, layers.Conv2D(3, 3, padding="same"))
    folded = assert_folds(randomize(model, rng), rng)
    assert count(folded, lr.layers.LearnableBias) == 1
    model = stack(layers.ReLU(), lr.layers.LearnableBias(), layers.Conv2D(4, 3, groups=2))
    folded = assert_folds(randomize(model, rng), rng)
    assert count(folded, lr.layers.LearnableBias) == 0


def test_two_thresholds_on_one_tensor_cost_one_shift(rng):
    inputs = layers.Input((6, 6, 4))
    x = layers.BatchNormalization()(inputs)
    branches = [binary(input_quantizer="rsign")(x) for _ in "ab"]
    folded = assert_folds(randomize(tf.keras.Model(inputs, layers.Add()(branches)), rng), rng)
    assert count(folded, lr.layers.LearnableBias) == 1


def test_a_sign_of_integers_is_not_shifted_there_and_back(rng):
    """The sums are often exactly 0, which rounding would make negative."""
    inputs = layers.Input((6, 6, 4))
    x = binary(use_bias=False)(inputs)
    branches = [binary(input_quantizer=q)(x) for q in ("rsign", "rsign", "ste_sign", "rsign")]
    model = randomize(tf.keras.Model(inputs, layers.Concatenate()(branches)), rng)
    first = model.layers[1]
    assert (tf.keras.Model(inputs, first.output)(inputs_of(model, rng)).numpy() == 0).mean() > 0.05
    folded = assert_folds(model, rng)
    assert count(folded, lr.layers.LearnableBias) == 3


def test_layers_that_are_called_twice_stay_as_they_are(rng):
    inputs = layers.Input((6, 6, 4))
    shared = [binary(input_quantizer="rsign"), lr.layers.RPReLU(), layers.BatchNormalization()]
    x = inputs
    for layer in shared * 2:
        x = layer(x)
    model = randomize(tf.keras.Model(inputs, layers.GlobalAveragePooling2D()(x)), rng)
    folded = assert_folds(model, rng)
    assert count(folded, lr.layers.RPReLU) == 1


def test_models_in_models_several_outputs_and_plain_functions(rng):
    inner = stack(layers.BatchNormalization(), lr.layers.RPReLU())
    inputs = [layers.Input((6, 6, 4)), layers.Input((6, 6, 4))]
    x = tf.nn.relu(inner(inputs[0])) * 2.0 + inputs[1]
    left, right = tf.split(lr.layers.LearnableBias()(x), 2, axis=-1)
    model = randomize(tf.keras.Model(inputs, [left, lr.layers.RPReLU()(right), x]), rng)
    folded = fold(model)
    assert len(folded.outputs) == 3
    x = [rng.normal(size=(2, 6, 6, 4)).astype(np.float32) for _ in inputs]
    for expected, found in zip(model(x), folded(x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    (nested,) = (layer for layer in folded.layers if isinstance(layer, tf.keras.Model))
    assert count(nested, lr.layers.RPReLU) == 0


@lq.utils.set_precision(1)
def scale_of_the_layer(w):
    return lq.math.sign(w) * tf.reduce_mean(tf.abs(w))


@pytest.mark.parametrize(
    ("quantizer", "convolutions"),
    [("react_sign", 1), ("bnn_plus_sign", 1), ("ste_sign", 1), (scale_of_the_layer, 2)],
)
def test_joined_kernels_keep_their_scales(quantizer, convolutions, rng):
    inputs = layers.Input((6, 6, 4))
    branches = [binary(filters, kernel_quantizer=quantizer)(inputs) for filters in (3, 5)]
    model = tf.keras.Model(inputs, layers.Concatenate()(branches))
    folded = assert_folds(randomize(model, rng), rng)
    assert count(folded, lq.layers.QuantConv2D) == convolutions


def test_layers_without_configuration_are_named():
    class Odd(layers.Layer):
        def get_config(self):
            raise NotImplementedError

    with pytest.raises(ValueError, match="odd cannot be copied: its class Odd has no `get_config`"):
        fold(stack(Odd(name="odd")))
