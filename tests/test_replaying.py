"""The replay: it finds every wrong bit, and excuses what rounding explains."""

import larq_reactnet as lr
from larq_reactnet.converters import convert, replay
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.match import binary_ops

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from faulty_models import binary_conv, model_of, noise, randomized
from tflite_edits import dense_layers

layers = tf.keras.layers
BN = layers.BatchNormalization
ENGINES = ["lce", "runtime"]


@pytest.fixture(scope="module")
def network():
    """A model of five binary convolutions with the ways there are to take a sign, and its file."""
    inputs = layers.Input((8, 8, 3))
    x = layers.Conv2D(32, 3, padding="same")(inputs)
    y = BN()(binary_conv(32, name="a", padding="same", pad_values=1.0)(x))
    x = layers.Add()([x, y])
    y = BN()(binary_conv(32, name="b", padding="same", input_quantizer="rsign")(x))
    x = lr.layers.RPReLU()(layers.Add()([x, y]))
    sign = lq.quantizers.SteSign(name="shared")(x)
    kernel = {"kernel_quantizer": "react_sign", "kernel_constraint": "weight_clip"}
    branches = [lq.layers.QuantConv2D(8, 1, name=name, **kernel)(sign) for name in "cd"]
    x = layers.Concatenate()([BN()(branch) for branch in branches])
    x = BN()(binary_conv(16, name="e")(x))
    x = layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    rng = np.random.default_rng(0)
    model = randomized(tf.keras.Model(inputs, x), rng)
    return model, convert(model), noise(model, rng, 3)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_right_file_is_equal(network, engine):
    model, flatbuffer, images = network
    found = replay(model, flatbuffer, images, engine=engine)
    assert found.is_equal
    assert found.images == 3
    assert found.signs == 3 * 8 * 8 * (32 + 32 + 32 + 32 + 16)
    assert found.wrong == 0
    assert found.error < found.tolerance / 10
    assert str(found).startswith("27,648 signs on 3 inputs are those of the Keras model in float64")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("layer", "behind"), [("a", "b"), ("b", "c"), ("c", "e"), ("e", "")])
def test_one_wrong_weight_is_found(network, engine, layer, behind):
    """Its layer gives other sums, and the next one signs that Keras does not have."""
    model, flatbuffer, images = network
    file = tflite.read(flatbuffer)
    index = "abcde".index(layer)
    weights = file.subgraphs[0].tensors[
        file.subgraphs[0].operators[binary_ops(file)[index].index].inputs[1]
    ]
    data = np.array(file.buffers[weights.buffer].data, np.uint8)
    data[:2] ^= 1
    file.buffers[weights.buffer].data = data
    found = replay(model, tflite.write(file), images, engine=engine)
    assert not found.is_equal
    assert found.layer == behind
    assert (found.wrong > 0) == bool(behind)
    if behind:
        assert f"are not those of the Keras model, first in front of {behind}" in str(found)
    else:
        assert found.error > found.tolerance


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("beta", [3e-3, 0.1])
def test_a_filter_whose_relu_gives_zeros(engine, beta, rng):
    """As in a trained QuickNet: it varies little, so batch normalization multiplies it by hundreds.

    The engine subtracts the number of weights times that, and adds it: the rest is rounded.
    """
    inputs = layers.Input((8, 8, 3))
    x = layers.Conv2D(64, 3, padding="same", bias_initializer="ones", name="stem")(inputs)
    x = binary_conv(8, name="dead", activation="relu", padding="same", pad_values=1.0)(x)
    x = BN(epsilon=1e-5, name="bn")(x)
    # With a shortcut, so that the engine needs the number and not its sign alone.
    shortcut = layers.Conv2D(8, 1, kernel_initializer="zeros", name="shortcut")(inputs)
    x = binary_conv(8, name="next")(layers.Add()([x, shortcut]))
    model = tf.keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    dead = model.get_layer("dead")
    kernel = rng.choice([-1.0, 1.0], dead.kernel.shape)
    kernel[..., 0] = -1  # and most inputs are +1
    dead.kernel.assign(kernel)
    offset, variance = np.zeros(8), np.full(8, 100.0)
    offset[0], variance[0] = -beta, 0.0
    model.get_layer("bn").set_weights(
        [np.ones(8), offset, np.full(8, 5.0) * (variance > 0), variance]
    )
    images = rng.normal(size=(2, 8, 8, 3)).astype(np.float32) * 0.1
    found = replay(model, convert(model), images, engine=engine)
    assert found.is_equal, str(found)
    assert (found.undecided > 0) == (beta < 0.01)
    # A wrong sign of a filter that varies is found as before.
    kernel[:, :, :8, 1] *= -1
    flatbuffer = convert(model)
    dead.kernel.assign(kernel)
    assert not replay(model, flatbuffer, images, engine=engine).is_equal


def test_signs_at_a_tie_are_excused(rng):
    """The bias of half of the channels cancels what they give, but for its last bits."""
    model = model_of(
        layers.Conv2D(64, 1, name="stem"), binary_conv(8), layers.GlobalAveragePooling2D()
    )
    kernel = rng.normal(size=(1, 1, 4, 64)).astype(np.float32)
    pixel = rng.normal(size=4).astype(np.float32)
    exact = pixel.astype(np.float64) @ kernel[0, 0].astype(np.float64)
    bias = np.where(np.arange(64) < 32, -exact, 0).astype(np.float32)
    model.get_layer("stem").set_weights([kernel, bias])
    images = np.tile(pixel, (1, *model.input_shape[1:3], 1))
    found = replay(model, convert(model), images)
    assert found.undecided > 0
    assert found.is_equal
    assert "within rounding of their threshold" in str(found)


def test_weights_that_are_stored_in_less(network):
    """What a smaller type does to the outputs has to be known, or it is an error."""
    model, flatbuffer, images = network
    file = tflite.read(flatbuffer)
    ((_, tensor, weights),) = dense_layers(file)
    weights = weights * np.float32(1.01)
    file.buffers[tensor.buffer].data = np.frombuffer(weights.tobytes(), np.uint8)
    coarse = tflite.write(file)
    assert not replay(model, coarse, images).is_equal
    assert replay(model, coarse, images, stored=1.0).is_equal


def test_what_cannot_be_replayed(network, rng):
    model = model_of(
        binary_conv(kernel_quantizer="ste_tern", name="ternary"), layers.GlobalAveragePooling2D()
    )
    with pytest.raises(ValueError, match="signs of ternary are not known"):
        replay(model, convert(model), noise(model, rng, 1))
    other = model_of(binary_conv(7), layers.GlobalAveragePooling2D())
    with pytest.raises(ValueError, match=r"1 binary convolutions of .* are not in the file"):
        replay(other, network[1], noise(other, rng, 1))
    with pytest.raises(ValueError, match="corrupt"):
        replay(network[0], network[1][:300], network[2])


def test_path(network, tmp_path):
    model, flatbuffer, images = network
    path = tmp_path / "model.tflite"
    path.write_bytes(flatbuffer)
    assert replay(model, path, images) == replay(model, flatbuffer, images)
