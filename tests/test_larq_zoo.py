"""Models that Larq Zoo has too compute the same here as there."""

import importlib
import logging

import larq_reactnet as lr
from larq_reactnet._larq_zoo import LarqZooInitializer, LarqZooQuantizer
from larq_reactnet.zoo.birealnet import bi_real_net

import numpy as np
import pytest
import tensorflow as tf
from helpers import every, some

FUNCTIONS = (
    (lr.zoo.DoReFaNet, "literature.DoReFaNet"),
    (lr.zoo.QuickNetSmall, "sota.QuickNetSmall"),
    (lr.zoo.BinaryResNetE18, "literature.BinaryResNetE18"),
    (lr.zoo.RealToBinaryNet, "literature.RealToBinaryNet"),
)
SHAPE = (96, 96, 3)  # on smaller maps than the kernels, ours pad with ones


def original(path, **arguments):
    module, _, name = path.partition(".")
    logging.getLogger("larq.layers_base").setLevel(logging.ERROR)
    constructor = getattr(importlib.import_module(f"larq_zoo.{module}"), name)
    return constructor(**{"weights": None, "num_classes": 10, "input_shape": SHAPE, **arguments})


def randomize(model, rng):
    values = []
    for weight in model.weights:
        value = rng.normal(size=weight.shape)
        values.append(np.abs(value) + 0.5 if "variance" in weight.name else value)
    model.set_weights(values)


def assert_equal(model, twin, rng, tmp_path):
    """The same weights in the same order, and bit-identical outputs, also from Larq's files."""
    randomize(model, rng)
    shape = (1, *model.input_shape[1:])
    images = rng.normal(size=shape).astype(np.float32)
    path = str(tmp_path / "weights.h5")
    model.save_weights(path)
    twin.load_weights(path)
    np.testing.assert_array_equal(model(images), twin(images))


@pytest.mark.slow
@pytest.mark.parametrize(("constructor", "path"), some(FUNCTIONS, *FUNCTIONS[:2]))
def test_same_function(constructor, path, rng, tmp_path):
    model = original(path)
    twin = constructor(input_shape=SHAPE, num_classes=10)
    assert_equal(model, twin, rng, tmp_path)


@every
@pytest.mark.slow
def test_meliusnet(rng, tmp_path):
    model = original("literature.MeliusNet22")
    twin = lr.zoo.MeliusNet22(input_shape=SHAPE, num_classes=10)
    randomize(model, rng)
    twin.set_weights(model.get_weights())
    assert [weight.name for weight in model.weights] == [weight.name for weight in twin.weights]
    assert_equal(model, twin, rng, tmp_path)


def test_bi_real_net(rng, tmp_path):
    """The function that makes BiRealNet34 makes Larq Zoo's 18 if it is given (4, 4, 4, 4)."""
    model = original("literature.BiRealNet", include_top=False)
    inputs = tf.keras.layers.Input(SHAPE)
    twin = tf.keras.Model(inputs, bi_real_net(inputs, (4, 4, 4, 4), 1.0, 2, True))
    assert_equal(model, twin, rng, tmp_path)


@pytest.mark.parametrize("wrapper", [LarqZooInitializer, LarqZooQuantizer])
def test_no_other_functions_are_imported(wrapper):
    with pytest.raises(ValueError, match="is not one of the functions"):
        wrapper("core.utils.download_pretrained_model")
