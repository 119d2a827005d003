"""Our quantizers take what Larq's own take: metrics, scopes, `lq.models.summary` and Bop."""

import larq_reactnet as lr
from larq_reactnet._larq_zoo import LarqZooQuantizer

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from helpers import binary_model, reloaded

# Kernel quantizers, the first of which is Larq's.
KERNEL = {
    "larq": lq.quantizers.SteSign,
    "swish": lr.quantizers.SwishSign,
    "react": lr.quantizers.ReActSign,
    "bnn+": lambda **kwargs: lr.quantizers.BNNPlusSign(
        regularizer=lr.regularizers.R1(1e-4), **kwargs
    ),
    "larq zoo": lambda **kwargs: LarqZooQuantizer("literature.xnornet.xnor_weight_scale", **kwargs),
}
METRICS = ["flip_ratio"]


def flips(before, after):
    return np.mean((before >= 0) != (after >= 0))


def made(name, how):
    """A model whose binary kernel is counted."""
    if how == "argument":
        return binary_model(kernel_quantizer=KERNEL[name](metrics=METRICS))
    with lq.context.metrics_scope(METRICS):
        return binary_model("approx_sign", KERNEL[name]())


@pytest.mark.parametrize("how", ["argument", "scope"])
@pytest.mark.parametrize("name", KERNEL)
def test_flip_ratio(name, how, rng):
    """It is the mean share of signs that a step changes, also where a scale follows the sign."""
    model = made(name, how)
    kernel = model.get_layer("binary").kernel.latent_variable
    model.compile("sgd", "mse", run_eagerly=True)
    values = [rng.normal(size=kernel.shape).astype(np.float32) for _ in range(3)]
    metric = model.get_layer("binary").kernel_quantizer.flip_ratio
    for value in values:
        kernel.assign(value)
        model(np.zeros((1, 8, 8, 3), np.float32), training=True)
    wanted = np.mean([flips(*values[:2]), flips(*values[1:])])
    assert 0.3 < wanted < 0.7
    assert float(metric.result()) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("name", KERNEL)
def test_fit_reports_it(name, rng):
    model = made(name, "scope")
    model.compile("adam", "mse")
    history = model.fit(
        rng.normal(size=(8, 8, 8, 3)), rng.normal(size=(8, 4)), batch_size=2, verbose=0
    ).history
    (key,) = [key for key in history if key.startswith("flip_ratio/")]
    assert 0 <= history[key][0] < 1


@pytest.mark.parametrize("name", KERNEL)
def test_weights_are_the_same_with_and_without(name, tmp_path, rng):
    """In their number and order, in files, and when the layer is frozen."""
    plain, counted = binary_model(kernel_quantizer=KERNEL[name]()), made(name, "argument")
    shapes = [[w.shape for w in model.get_weights()] for model in (plain, counted)]
    assert shapes[0] == shapes[1]
    counted.set_weights(plain.get_weights())
    images = rng.normal(size=(2, 8, 8, 3)).astype(np.float32)
    np.testing.assert_array_equal(plain(images), counted(images))
    before = [v.name.split("/")[-1] for v in counted.get_layer("binary").weights]
    counted.get_layer("binary").trainable = False
    assert [v.name.split("/")[-1] for v in counted.get_layer("binary").weights] == before
    np.testing.assert_array_equal(plain(images), reloaded(counted, "h5", tmp_path)(images))
    lr.save_packed(counted, tmp_path / "packed.safetensors")
    lr.load_packed(plain, tmp_path / "packed.safetensors")
    np.testing.assert_array_equal(plain(images), counted(images))


@pytest.mark.parametrize("name", KERNEL)
def test_bop(name, rng):
    """Larq's optimizer of binary weights takes our kernels, and only them."""
    model = made(name, "scope")
    is_binary = lq.optimizers.Bop.is_binary_variable
    taken = [v for v in model.trainable_variables if is_binary(v)]
    assert [v is model.get_layer("binary").kernel for v in taken] == [True]
    optimizer = lq.optimizers.CaseOptimizer(
        (is_binary, lq.optimizers.Bop(threshold=0.0, gamma=0.5)),
        default_optimizer=tf.keras.optimizers.legacy.Adam(0.01),
    )
    model.compile(optimizer, "mse")
    model.fit(rng.normal(size=(8, 8, 8, 3)), rng.normal(size=(8, 4)), epochs=2, verbose=0)
    latent = model.get_layer("binary").kernel.latent_variable.numpy()
    assert set(np.unique(latent)) == {-1, 1}


@pytest.mark.parametrize("name", KERNEL)
def test_summary(name):
    lines = [[], []]
    for model, printed in zip(
        (binary_model(kernel_quantizer=KERNEL[name]()), made(name, "argument")), lines, strict=True
    ):
        lq.models.summary(model, print_fn=printed.append)
    assert lines[0] == lines[1]


def test_inputs_are_not_counted_by_a_scope():
    """As in Larq: a scope is for kernels."""
    with lq.context.metrics_scope(METRICS):
        for quantizer in (lr.quantizers.RSign(), lr.quantizers.SwishSign(), "approx_sign"):
            layer = binary_model(input_quantizer=quantizer).get_layer("binary")
            assert not hasattr(layer.input_quantizer, "flip_ratio")
