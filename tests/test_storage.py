"""How `export` stores dense layers: which of three ways, why, and the bytes that it takes."""

import re

import larq_reactnet as lr
from larq_reactnet.converters import (
    ExportError,
    compress,
    convert,
    count_operators,
    export,
    fold,
    predict_tflite,
    storing,
)
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters.tasks import Output

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from faulty_models import noise
from tflite_edits import dense_layers, network

layers = tf.keras.layers


def stored(error, sizes, storage=None):
    """What `store_heads` takes if each storage has such an error and size.

    Args:
        error: By storage, the distance of outputs that vary by 1, or None if it cannot be used.
        sizes: By storage, the bytes of the file.
        storage: What is asked for.
    """
    outputs = np.array([[-1.0], [1.0]])

    def compressed(content, storage):
        if error.get(storage, 0) is None:
            raise ValueError(f"{storage} is bad")
        return storage.encode().ljust(sizes[storage])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storing, "compress", compressed)
        plain = b"float32".ljust(sizes["float32"])
        return storing.store_heads(
            plain,
            lambda content: [outputs + error.get(content.decode().strip(), 0.0)],
            outputs=[Output()],
            storage=storage,
        )


LARGE, SMALL = ({"int8": a, "float16": b, "float32": 1000} for a, b in ((400, 600), (590, 600)))

CHOICES = {
    "int8 is exact enough": (
        {"int8": 0.0199},
        LARGE,
        "int8",
        "saves 60% .*0.02 of their spread$",
    ),
    "int8 is not": ({"int8": 0.0202}, LARGE, "float16", "saves 40% .*int8 would move .* 0.02 of"),
    "int8 saves too little": ({"int8": 0}, SMALL, "float16", "; int8 would save 1.7% more$"),
    "neither": ({"int8": 1, "float16": 1}, LARGE, "float32", "int8 would .*; float16 would "),
    "no int8": ({"int8": None}, LARGE, "float16", "not int8: int8 is bad"),
    "no float16": ({"float16": None}, SMALL, "int8", "not float16: float16 is bad"),
    "no number": ({"int8": np.nan, "float16": np.nan}, LARGE, "float32", "by nan of their"),
    "none can": ({"int8": None, "float16": None}, LARGE, "float32", "not int8: .*; not float16: "),
    "nothing to store": ({}, dict.fromkeys(LARGE, 1000), "float32", "there are none to compress"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_choice_of_storage(name):
    error, sizes, wanted, why = CHOICES[name]
    if name == "nothing to store":
        found = storing.store_heads(convert(network(8)), lambda _: [np.eye(2)], outputs=[Output()])
    else:
        found = stored(error, sizes)
    assert found.storage == wanted
    assert re.search(why, found.reason), found.reason


def test_storage_that_was_asked_for():
    found = stored({"int8": 0.5}, LARGE, "int8")
    assert found.reason == "as asked for"
    np.testing.assert_allclose(found.moved, [[[0.5], [0.5]]])


@pytest.mark.slow
def test_each_output_is_judged_by_its_own_spread(tmp_path, rng):
    """A score beside a number of pixels: int8 must be exact enough for both."""
    model, path = network(filters=256), tmp_path / "model.tflite"
    images = noise(model, rng, 40) * rng.uniform(0.1, 5, (40, 1, 1, 1)).astype(np.float32)
    report = export(model, path, verify_with=images, progress=False)
    assert report.storage == "int8"
    assert report.agreement.relative_error < 0.02
    assert "dense layers          int8: saves " in str(report)

    head, bn = model.get_layer("head"), model.layers[2]
    kernel, bias = head.get_weights()

    def with_weights(of_output, of_feature):
        changed = kernel.copy()
        changed[:, 0] *= of_output
        changed[0, 0] = of_feature
        head.set_weights([changed, bias])
        return export(model, path, verify_with=images, progress=False)

    report = with_weights(1e3, 1e3 * kernel[0, 0])  # the output has a scale of its own
    assert report.storage == "int8"
    assert report.agreement.relative_error < 0.02

    # A large weight of a feature that is constant: int8 has no steps left for the other weights.
    gamma, *others = bn.get_weights()
    bn.set_weights([gamma * (np.arange(256) > 0), *others])
    report = with_weights(1.0, 1e3)
    assert report.storage == "float16"
    assert "int8 would move outputs by " in report.storage_reason
    assert report.agreement.relative_error < 0.02
    for storage, dtype in (("int8", np.int8), ("float16", np.float16), ("float32", np.float32)):
        arguments = {"storage": storage, "min_agreement": 0, "verify_with": images[:9]}
        report = export(model, path, progress=False, **arguments)
        assert (report.storage, report.storage_reason) == (storage, "as asked for")
        ((*_, values),) = dense_layers(tflite.read(path.read_bytes()))
        assert values.dtype == dtype

    report = with_weights(1.0, 1e6)
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
