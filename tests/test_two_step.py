"""From step 1 to step 2: nothing is lost."""

import larq_reactnet as lr
from larq_reactnet.quantizers import BNNPlusSign, ReActSign
from larq_reactnet.two_step import carry_over

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from helpers import binary_model, representatives

# Those that have a step 1.
MODELS = [
    name
    for name in representatives(lr.zoo.list_models())
    if "binary_weights" in lr.zoo.get(name).arguments
]


def randomized(model, rng):
    """Give `model` random weights everywhere, so that a weight that is not carried over shows."""
    model.set_weights([rng.uniform(0.1, 0.9, weight.shape) for weight in model.get_weights()])
    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_step_2_inherits_every_weight(name, rng):
    entry = lr.zoo.get(name)
    shape = (entry.small_size, entry.small_size, 3)
    arguments = {"input_shape": shape, "num_classes": 10, **entry.small}
    step1 = randomized(lr.zoo.create(name, **arguments, binary_weights=False), rng)
    before = step1.get_weights()
    lines = []
    step2 = lr.binarize_weights(step1, print_fn=lines.append)
    assert f"carried over all {len(before)} weights" in lines[0]
    for old, new in zip(before, step1.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)  # step 1 is untouched

    by_layer = {layer.name: layer for layer in step2.layers}
    for layer in step1.layers:
        twin = by_layer[layer.name]
        kernel_quantizer = getattr(twin, "kernel_quantizer", None)
        scales = {id(w) for w in getattr(kernel_quantizer, "weights", ())}
        values = [
            getattr(w, "latent_variable", w).numpy() for w in twin.weights if id(w) not in scales
        ]
        for old, new in zip(layer.get_weights(), values, strict=True):
            np.testing.assert_array_equal(old, new)
    assert not any(finding.blocks for finding in lr.converters.check(step2))

    # Or into the binary model of the zoo.
    step2 = carry_over(step1, lr.zoo.create(name, **arguments), print_fn=None)
    for old, new in zip(step1.layers, step2.layers, strict=True):
        if hasattr(old, "kernel"):
            latent = getattr(new.kernel, "latent_variable", new.kernel)
            np.testing.assert_array_equal(old.kernel, latent)
    images = rng.normal(size=(2, *shape)).astype(np.float32)
    assert np.isfinite(step2(images)).all()


def test_carry_over_between_different_models(rng):
    step1 = binary_model(kernel_quantizer=None)
    step2 = binary_model(use_bias=True)
    before = step2.get_weights()
    with pytest.raises(ValueError, match="'binary' and 'binary' differ in their weights"):
        carry_over(step1, step2)
    for old, new in zip(before, step2.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    longer = tf.keras.Sequential([step2, tf.keras.layers.Softmax()])
    with pytest.raises(ValueError, match="not the same network"):
        carry_over(step1, longer)


def test_alpha_of_bnn_plus_comes_from_the_carried_weights(rng):
    step1 = randomized(binary_model(kernel_quantizer=None), rng)
    step2 = lr.binarize_weights(step1, BNNPlusSign(10.0, lr.regularizers.R1(1e-3)), print_fn=None)
    layer = step2.get_layer("binary")
    magnitude = np.abs(step1.get_layer("binary").kernel.numpy()).reshape(-1, 8)
    expected = np.percentile(magnitude, 75, axis=0)
    np.testing.assert_allclose(layer.kernel_quantizer.alpha, expected, rtol=1e-6)
    assert layer.kernel_quantizer.beta == 10.0
    assert isinstance(layer.kernel_quantizer.regularizer, lr.regularizers.R1)


def test_each_layer_gets_a_quantizer_of_its_own(rng):
    inputs = x = tf.keras.layers.Input((8, 8, 4))
    for _ in range(2):
        x = lq.layers.QuantConv2D(4, 3, input_quantizer="ste_sign", padding="same")(x)
    shared = ReActSign()
    step2 = lr.binarize_weights(tf.keras.Model(inputs, x), shared, print_fn=None)
    quantizers = {id(layer.kernel_quantizer) for layer in step2.layers[1:]}
    assert len(quantizers) == 2
    assert id(shared) not in quantizers


def test_step_2_trains(rng):
    step1 = binary_model(kernel_quantizer=None)
    step2 = lr.binarize_weights(step1, "react_sign", print_fn=None)
    step2.compile("adam", "mse")
    before = step2.get_layer("binary").kernel.latent_variable.numpy()
    step2.fit(rng.normal(size=(8, 8, 8, 3)), rng.normal(size=(8, 4)), verbose=0)
    assert (before != step2.get_layer("binary").kernel.latent_variable.numpy()).any()


def test_nested_and_partly_binary_models(rng):
    inner = binary_model(kernel_quantizer=None)
    done = lq.layers.QuantConv2D(
        3, 3, padding="same", input_quantizer="ste_sign", kernel_quantizer=BNNPlusSign()
    )
    step1 = tf.keras.Sequential([tf.keras.layers.Input((8, 8, 3)), done, inner])
    done.kernel_quantizer.alpha.assign([0.1, 0.2, 0.3])
    lines = []
    step2 = lr.binarize_weights(step1, print_fn=lines.append)
    assert "1 kernels are now binary" in lines[0]
    assert isinstance(step2.layers[1].get_layer("binary").kernel_quantizer, ReActSign)
    np.testing.assert_allclose(step2.layers[0].kernel_quantizer.alpha, [0.1, 0.2, 0.3])
    images = rng.normal(size=(2, 8, 8, 3)).astype(np.float32)
    stem = inner.get_layer("stem").kernel
    np.testing.assert_array_equal(step2.layers[1].get_layer("stem").kernel, stem)
    assert step2(images).shape == step1(images).shape


@pytest.mark.parametrize("quantizer", [None, "ste_tern", ReActSign, tf.sign])
def test_kernel_quantizer_must_be_binary(quantizer):
    with pytest.raises(ValueError, match="must be a binary quantizer"):
        lr.binarize_weights(binary_model(kernel_quantizer=None), quantizer)


def test_nothing_to_binarize():
    with pytest.raises(ValueError, match="binary_weights=False"):
        lr.binarize_weights(binary_model())
