"""A network with its packed weights loaded is the same network."""

import errno
import json
from pathlib import Path

import larq_reactnet as lr
from larq_reactnet.packed import _latent, _sums, load_packed, save_packed

import larq as lq
import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf
from helpers import assert_same_outputs, binary_model
from larq_zoo.literature.dorefanet import magnitude_aware_sign_unclipped
from larq_zoo.literature.xnornet import xnor_weight_scale
from safetensors import safe_open

# A kernel quantizer, and how a kernel with it is stored.
QUANTIZERS = {
    "ste_sign": ("ste_sign", "signs"),
    "clipped": (lq.quantizers.SteSign(clip_value=1.3), "signs"),
    "approx_sign": ("approx_sign", "signs"),
    "swish_sign": ("bnnplus_swish_sign", "signs"),
    "bnn_plus": ("bnnplus_sign", "signs"),
    "heaviside": ("ste_heaviside", "signs"),
    "react": ("react_sign", "filter_means"),
    "magnitude_aware": ("magnitude_aware_sign", "filter_means"),
    "xnornet": (xnor_weight_scale, "filter_means"),
    "dorefanet": (magnitude_aware_sign_unclipped, "layer_mean"),
    "ternary": ("ste_tern", "whole"),
}


def quantizer(name):
    """A new quantizer of that name."""
    found = QUANTIZERS[name][0]
    return type(found).from_config(found.get_config()) if name == "clipped" else found


def randomized(model, rng):
    """`model`, with random weights; variances stay positive."""
    model.set_weights(
        [
            rng.uniform(0.5, 2, w.shape) if "variance" in w.name else rng.normal(0, 0.3, w.shape)
            for w in model.weights
        ]
    )
    return model


def images_for(model, rng):
    return rng.normal(size=(4, *model.input_shape[1:])).astype(np.float32)


def about(path):
    """The metadata of a file."""
    with safe_open(path, framework="np") as file:
        return json.loads(file.metadata()["larq_reactnet.packed"])


def stored(path):
    """How the weights in a file are stored, by name."""
    return {entry["name"]: entry["stored"] for entry in about(path)["weights"]}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


@pytest.mark.parametrize("is_trained", [False, True])
@pytest.mark.parametrize("name", QUANTIZERS)
def test_same_forward_pass(name, is_trained, path, rng):
    model = randomized(binary_model(kernel_quantizer=quantizer(name)), rng)
    images = images_for(model, rng)
    if is_trained:
        model.compile("adam", "mse", run_eagerly=True)
        model.fit(images, rng.normal(size=(4, 4)), epochs=3, verbose=0)
    save_packed(model, path)
    assert stored(path)["0002.kernel"] == QUANTIZERS[name][1]
    twin = randomized(binary_model(kernel_quantizer=quantizer(name)), rng)
    load_packed(twin, path)
    assert_same_outputs(model, twin, images)
    again = path.with_name("again.safetensors")
    save_packed(twin, again)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("layer", ["depthwise", "separable", "dense", "wrapped", "nested"])
def test_other_layers(layer, path, rng):
    def make():
        conv = {"padding": "same", "input_quantizer": "ste_sign"}
        depthwise = {
            "depthwise_quantizer": "magnitude_aware_sign",
            "depthwise_constraint": "weight_clip",
        }
        dense = lq.layers.QuantDense(
            5, kernel_quantizer="react_sign", kernel_constraint="weight_clip"
        )
        layers = {
            "depthwise": lq.layers.QuantDepthwiseConv2D(3, **depthwise, **conv),
            "separable": lq.layers.QuantSeparableConv2D(
                7,
                3,
                pointwise_quantizer="ste_sign",
                pointwise_constraint="weight_clip",
                **depthwise,
                **conv,
            ),
            "dense": dense,
            "wrapped": tf.keras.layers.TimeDistributed(dense),
            "nested": tf.keras.Sequential([dense]),
        }
        return tf.keras.Sequential([tf.keras.layers.Input((6, 6, 3)), layers[layer]])

    model = randomized(make(), rng)
    save_packed(model, path)
    assert "whole" not in [how for name, how in stored(path).items() if "kernel" in name]
    twin = make()
    load_packed(twin, path)
    assert_same_outputs(model, twin, images_for(model, rng))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reactnet_a", "bnn_plus_alexnet"])
def test_zoo(name, path, rng):
    small = lr.zoo.get(name).small
    model = lr.zoo.create(name, input_shape=(32, 32, 3), num_classes=10, **small)
    images = images_for(model, rng)
    expected = randomized(model, rng)(images, training=False)
    save_packed(model, path)
    assert np.any(randomized(model, rng)(images, training=False) != expected)
    load_packed(model, path)
    np.testing.assert_array_equal(model(images, training=False), expected)


@pytest.mark.slow
def test_reactnet_a_at_full_size_takes_8_mb(path, rng):
    save_packed(randomized(lr.zoo.ReActNetA(), rng), path)
    assert path.stat().st_size <= 8_000_000


def test_latent_weights_are_meant_in_every_scope(path, rng):
    model = randomized(binary_model(kernel_quantizer="react_sign"), rng)
    with lq.context.quantized_scope(True):
        save_packed(model, path)
    twin = binary_model(kernel_quantizer="react_sign")
    with lq.context.quantized_scope(True):
        load_packed(twin, path)
    assert_same_outputs(model, twin, images_for(model, rng))


def test_filters_of_zeros(path, rng):
    model = randomized(binary_model(kernel_quantizer="react_sign"), rng)
    kernel = model.get_layer("binary").kernel
    kernel.assign(kernel.numpy() * (np.arange(8) % 2))
    save_packed(model, path)
    assert stored(path)["0002.kernel"] == "filter_means"
    twin = binary_model(kernel_quantizer="react_sign")
    load_packed(twin, path)
    assert_same_outputs(model, twin, images_for(model, rng))


def test_metrics_of_larq_are_left_alone(path, rng):
    with lq.context.metrics_scope(["flip_ratio"]):
        model = randomized(binary_model(), rng)
    metric = model.get_layer("binary").kernel_quantizer.flip_ratio
    before = [variable.numpy() for variable in metric.variables]
    save_packed(model, path)
    for value, variable in zip(before, metric.variables, strict=True):
        np.testing.assert_array_equal(value, variable)


# The last is a dense layer with one scale.
@pytest.mark.parametrize("count", [1, 3, 9, 27, 288, 1000, 4608, 2**24 + 5])
def test_mean_is_exact_in_every_order(count, rng):
    filters = 1 if count > 2**20 else 8
    totals = (count * rng.lognormal(-3, 2, filters)).astype(np.float32)
    means = totals / np.float32(count)  # as of latent weights with these sums
    sums = _sums(means, count)
    np.testing.assert_array_equal(sums / np.float32(count), means)
    negative = rng.random((count, filters)) < 0.5
    latent = _latent(negative, sums)
    assert latent.dtype == np.float32
    np.testing.assert_array_equal(latent < 0, negative)
    for _ in range(1 if count > 2**20 else 5):
        magnitudes = np.abs(latent)[rng.permutation(count)]
        # One after the other, in pairs, and as TensorFlow does it.
        np.testing.assert_array_equal(np.cumsum(magnitudes, axis=0)[-1], sums)
        np.testing.assert_array_equal(np.sum(magnitudes.T.copy(), axis=1), sums)
        np.testing.assert_array_equal(tf.reduce_mean(magnitudes, axis=0), means)


@pytest.mark.parametrize(
    ("policy", "name", "how"),
    [
        ("mixed_float16", "ste_sign", "signs"),
        ("mixed_float16", "react", "whole"),  # a mean is exact in float32 only
        ("mixed_bfloat16", "xnornet", "whole"),
        ("float64", "ste_sign", "signs"),
    ],
)
def test_other_types(policy, name, how, path, rng):
    def make():
        tf.keras.mixed_precision.set_global_policy(policy)
        return binary_model(kernel_quantizer=quantizer(name))

    model = randomized(make(), rng)
    save_packed(model, path)
    assert stored(path)["0002.kernel"] == how
    twin = make()
    load_packed(twin, path)
    assert_same_outputs(model, twin, images_for(model, rng))
    if policy == "float64":
        tf.keras.mixed_precision.set_global_policy("float32")
        with pytest.raises(ValueError, match=r"float64 in the file, .* float32 in the model"):
            load_packed(binary_model(), path)


def test_integers_are_kept(path):
    def make():
        layer = tf.keras.layers.Layer()
        layer.add_weight("count", (3,), tf.int64, initializer="zeros", trainable=False)
        return tf.keras.Sequential([tf.keras.layers.Input((2,)), layer])

    model, twin = make(), make()
    model.set_weights([np.array([-1, 2**62, 3])])
    save_packed(model, path)
    load_packed(twin, path)
    np.testing.assert_array_equal(twin.get_weights()[0], [-1, 2**62, 3])


def test_float16(path, rng):
    model = randomized(binary_model(kernel_quantizer="react_sign"), rng)
    images = images_for(model, rng)
    save_packed(model, path)
    size = path.stat().st_size
    save_packed(model, path, float16=True)
    assert path.stat().st_size < size
    twin = binary_model(kernel_quantizer="react_sign")
    load_packed(twin, path)
    for ours, theirs in zip(model.get_weights(), twin.get_weights(), strict=True):
        if ours.shape != (3, 3, 8, 8):
            np.testing.assert_array_equal(ours.astype(np.float16), theirs)
    np.testing.assert_allclose(model(images), twin(images), rtol=0.05, atol=0.05)
    model.get_layer("stem").bias.assign(np.full(8, 1e5))
    with pytest.raises(ValueError, match="weight stem/bias:0 has values too large for float16"):
        save_packed(model, path, float16=True)
    save_packed(model, path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("layer", ["stem", "binary"])
def test_values_that_are_not_finite(layer, value, path):
    model = binary_model()
    kernel = model.get_layer(layer).kernel
    kernel.assign(np.full(kernel.shape, value))
    with pytest.raises(ValueError, match=f"weight {layer}/kernel:0 has NaN or infinite values"):
        save_packed(model, path)
    assert not path.exists()


def test_model_that_is_not_built(path):
    model = tf.keras.Sequential([tf.keras.layers.Dense(3)], name="unbuilt")
    for function in (save_packed, load_packed):
        with pytest.raises(ValueError, match="unbuilt has no weights yet"):
            function(model, path)


def test_disk_full_leaves_the_old_file(path, rng, monkeypatch):
    model = randomized(binary_model(), rng)
    save_packed(model, path)
    old = path.read_bytes()

    def full(self, data):
        with self.open("wb") as file:
            file.write(data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        save_packed(randomized(model, rng), path)
    assert path.read_bytes() == old
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_other_readers_read_it(path, rng):
    save_packed(randomized(binary_model(), rng), path)
    arrays = safetensors.numpy.load_file(path)
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.uint8)}
    assert arrays["0002.kernel.bits"].shape == (3 * 3 * 8 * 8 / 8,)
