"""How `export` stores dense layers: which of three ways, why, and the bytes that it takes."""

import importlib
import re

import larq_reactnet as lr
from larq_reactnet.converters import (
    Agreement,
    ExportError,
    compress,
    convert,
    count_operators,
    export,
    fold,
    predict_tflite,
)
from larq_reactnet.converters._tflite import file as tflite

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from faulty_models import noise
from tflite_edits import dense_layers, network

layers = tf.keras.layers
choose_storage = importlib.import_module("larq_reactnet.converters.exporting")._choose_storage


# Agreement by storage (None for a ValueError), the storage that is taken, and why.
CHOICES = {
    "int8 is as good": ((1.0, 1.0, 1.0), "int8", "^100.00% get the class that Keras gives$"),
    "int8 loses 0.1 %": ((0.999, 1.0, 1.0), "int8", "^99.90% get"),
    "int8 loses 0.1 % of less": ((0.906, 0.907, 0.907), "int8", "90.60% .*, 90.70% with float32"),
    "int8 loses more": ((0.9989, 1.0, 1.0), "float16", "^100.00% .*, 99.89% with int8"),
    "int8 is better": ((0.6, 0.5, 0.5), "int8", "60.00% .*, 50.00% with float32"),
    "both lose": ((0.5, 0.99, 1.0), "float32", "^100.00% .*50.00% with int8, 99.00% with float16"),
    "float16 loses 0.1 %": ((0.5, 0.499, 0.5), "int8", "50.00%"),
    "float16 loses 0.1 % of less": ((0.1, 0.899, 0.9), "float16", "89.90% .*90.00% with float32"),
    "no int8": ((None, 1.0, 1.0), "float16", "not int8: int8 is bad"),
    "no float16": ((0.9, None, 1.0), "float32", "90.00% with int8, not float16: float16 is bad"),
    "neither": ((None, None, 0.7), "float32", "^70.00% .*not int8: .*, not float16: "),
}


@pytest.mark.parametrize("name", CHOICES)
def test_choice_of_storage(name):
    shares, wanted, why = CHOICES[name]
    shares = dict(zip((b"int8", b"float16", b"float32"), shares, strict=True))

    def compared(content):
        if shares[content] is None:
            raise ValueError(f"{content.decode()} is bad")
        return Agreement(1000, shares[content], 0.0, 0.0)

    storage, reason, agreement = choose_storage(str.encode, compared)
    assert storage == wanted
    assert agreement.same_class == shares[wanted.encode()]
    assert re.search(why, reason), reason


def test_each_thousandth_counts_in_full():
    """That 0.1 % is no matter of rounding."""
    for best in range(1, 1001):
        shares = {b"int8": (best - 1) / 1000, b"float16": 1.0, b"float32": best / 1000}
        chosen = choose_storage(str.encode, lambda c: Agreement(1000, shares[c], 0.0, 0.0))  # noqa: B023
        assert chosen[0] == "int8", best


def test_nothing_to_choose():
    agreement = Agreement(1000, 1.0, 0.0, 0.0)
    chosen = choose_storage(lambda storage: b"same", lambda content: agreement)
    assert chosen == ("float32", "there are none to compress", agreement)


def test_export_takes_what_is_exact_enough(tmp_path, rng):
    """A class of which the weights are 1000 times as large takes all steps of int8."""
    model, path = network(), tmp_path / "model.tflite"
    images = noise(model, rng, 600)
    best = np.sort(model.predict(images, verbose=0))[:, -2:]
    images = images[np.argsort(best[:, 1] - best[:, 0])[-40:]]  # those that it is sure of
    report = export(model, path, verify_with=images, progress=False)
    assert report.storage == "int8"
    assert "dense layers          int8: " in str(report)

    def with_class(factor):
        kernel, bias = network().get_layer("head").get_weights()
        kernel[:, 0] *= factor
        bias[0] = -1e3 * factor
        model.get_layer("head").set_weights([kernel, bias])

    with_class(1e3)
    report = export(model, path, verify_with=images, progress=False)
    assert report.storage == "float16"
    assert report.agreement.same_class >= 0.999
    assert "% with int8" in report.storage_reason
    ((*_, values),) = dense_layers(tflite.read(path.read_bytes()))
    assert values.dtype == np.float16
    for storage, dtype in (("int8", np.int8), ("float32", np.float32)):
        arguments = {"storage": storage, "min_agreement": 0, "verify_with": images[:9]}
        report = export(model, path, progress=False, **arguments)
        assert (report.storage, report.storage_reason) == (storage, "as asked for")
        ((*_, values),) = dense_layers(tflite.read(path.read_bytes()))
        assert values.dtype == dtype

    with_class(1e6)
    report = export(model, path, verify_with=images, progress=False)
    assert report.storage == "float32"
    assert "not float16: float16 cannot hold a weight" in report.storage_reason
    before = path.read_bytes()
    for storage, message in (("float16", "cannot hold"), ("int4", "must be one of")):
        with pytest.raises(ExportError, match=message):
            export(model, path, verify_with=images[:9], storage=storage, progress=False)
    assert path.read_bytes() == before


def test_export_of_a_small_head(tmp_path, rng):
    model = network(8)
    arguments = {"verify_with": noise(model, rng, 2), "min_agreement": 0, "progress": False}
    report = export(model, tmp_path / "model.tflite", storage="int8", **arguments)
    assert (report.storage, report.storage_reason) == ("float32", "there are none to compress")


def theory(folded):
    """Bytes that the weights of a folded network take.

    One bit for each binary weight, one byte for each of the head, four for all others, where batch
    normalization is a multiplier and a bias for each channel.
    """
    total = 0.0
    for layer in folded.layers:
        if isinstance(layer, lq.layers.QuantConv2D):
            total += np.prod(layer.kernel.shape) / 8
        elif isinstance(layer, layers.Dense):
            total += np.prod(layer.kernel.shape) + 4 * layer.units
        elif isinstance(layer, layers.BatchNormalization):
            total += 4 * 2 * layer.beta.shape[0]
        else:
            total += 4 * sum(np.prod(weight.shape) for weight in layer.weights)
    return total


@pytest.mark.slow
def test_size_of_reactnet_a(rng):
    model = lr.zoo.ReActNetA(input_shape=(224, 224, 3), num_classes=1000)
    for weight in model.weights:  # so that no shift is 0, and no constant equals another
        weight.assign(rng.uniform(0.1, 0.9, weight.shape) * rng.choice([-1, 1], weight.shape))
        if "variance" in weight.name:
            weight.assign(tf.abs(weight))
    folded = fold(model)
    small = compress(convert(folded))
    assert len(small) <= 4_800_000
    assert len(small) == pytest.approx(theory(folded), rel=0.02)
    operators = count_operators(small)
    assert operators["ADD"] == 51
    assert operators["LceBconv2d"] == 26
    x = noise(model, rng, 1)
    assert np.isfinite(predict_tflite(small, x, progress=False)).all()
