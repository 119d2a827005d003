"""What `load_packed` refuses: weights of another model, and files that are corrupt or hostile."""

import json
import pickle
import zlib
from pathlib import Path

from larq_reactnet.packed import _digest, load_packed, save_packed

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf
from helpers import binary_model
from safetensors import safe_open


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


def refused(model, path, match):
    """Check that `load_packed` raises ValueError and changes nothing; return the message."""
    before = model.get_weights()
    with pytest.raises(ValueError, match=match) as caught:
        load_packed(model, path)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_other_architecture(path):
    save_packed(binary_model(), path)
    heads = [tf.keras.layers.Dense(5), tf.keras.layers.Dense(2)]
    layers = [tf.keras.layers.Input((8, 8, 3)), *binary_model().layers[:-1], *heads]
    other = tf.keras.Sequential(layers, name="other")
    message = refused(other, path, "does not hold the weights of other")
    assert message.split("\n  ")[1:] == [
        "dense: kernel [8, 4] float32 in the file, kernel [8, 5] float32 in the model",
        "dense: bias [4] float32 in the file, bias [5] float32 in the model",
        "dense_1: nothing in the file, kernel [5, 2] float32 in the model",
        "dense_1: nothing in the file, bias [2] float32 in the model",
    ]
    save_packed(other, path)
    refused(binary_model(), path, r"  bias \[2\] float32 in the file, nothing in the model")


def test_other_quantizer(path):
    save_packed(binary_model(kernel_quantizer="react_sign"), path)
    refused(binary_model(), path, "binary: quantized by ReActSign in the file, by SteSign")
    real = binary_model(kernel_quantizer=None)
    refused(real, path, "by ReActSign in the file, by nothing in the model")
    save_packed(real, path)
    load_packed(binary_model(), path)  # the file has all latent weights


def test_other_kinds_of_files(path, tmp_path):
    model = binary_model()
    with pytest.raises(FileNotFoundError, match="There is no file"):
        load_packed(model, path)
    refused(model, tmp_path, "not an ordinary file")
    h5 = tmp_path / "weights.h5"
    model.save_weights(h5)
    refused(model, h5, "is not a packed weights file")

    class Hostile:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    path.write_bytes(pickle.dumps([Hostile()]))
    refused(model, path, "is not a packed weights file")
    assert not (tmp_path / "ran").exists()
    path.write_bytes(b"")
    refused(model, path, "is not a packed weights file")
    safetensors.numpy.save_file({"a": np.zeros(3)}, path)
    refused(model, path, "is not a packed weights file")


def entry(**changes):
    """A change of the third entry."""
    return lambda about: about["weights"][2].update(changes)


# What is changed in the metadata, which tensors are, and what the error says.
HOSTILE = {
    "bomb": (None, {"0000.kernel.data": zlib.compress(bytes(2**28), 9)}, "wrong size"),
    "short": (None, {"0000.kernel.data": zlib.compress(bytes(8))}, "wrong size"),
    "not deflated": (None, {"0000.kernel.data": bytes(9)}, "is corrupt"),
    "unfinished": (None, {"0000.kernel.data": zlib.compress(bytes(864))[:-1]}, "wrong size"),
    "more data": (None, {"0001.bias.data": zlib.compress(bytes(32)) + b"x"}, "wrong size"),
    "few bits": (None, {"0002.kernel.bits": bytes(71)}, "wrong size"),
    "nan": (None, {"0002.kernel.sums": zlib.compress(b"\xff" * 32)}, "not a positive number"),
    "negative": (
        None,
        {"0002.kernel.sums": zlib.compress(bytes(24) + b"\xbf" * 8)},
        "not a positive number",
    ),
    "tensors": (None, {"more": b"x"}, "other tensors than"),
    "stored": (entry(stored="pickle"), {}, "is corrupt"),
    "stored list": (entry(stored=["bits"]), {}, "is corrupt"),
    "shape": (entry(shape=10**9), {}, "does not hold the weights"),
    "name": (entry(name=["x"]), {}, "does not hold the weights"),
    "field": (entry(code="x"), {}, "list of weights cannot be read"),
    "entry": (lambda about: about.update(weights=[1]), {}, "list of weights cannot be read"),
    "no list": (lambda about: about.pop("weights"), {}, "list of weights cannot be read"),
    "version": (lambda about: about.update(version=2), {}, "reads version 1 only"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(name, path):
    """Files whose SHA-256 is right, as an attacker would write them."""
    model = binary_model(kernel_quantizer="react_sign")
    save_packed(model, path)
    change, tensors, match = HOSTILE[name]
    arrays = safetensors.numpy.load_file(path)
    arrays.update({key: np.frombuffer(data, np.uint8) for key, data in tensors.items()})
    with safe_open(path, framework="np") as file:
        metadata = json.loads(file.metadata()["larq_reactnet.packed"])
    del metadata["sha256"]
    if change:
        change(metadata)
    metadata["sha256"] = _digest(metadata, arrays)
    text = json.dumps(metadata)
    path.write_bytes(safetensors.numpy.save(arrays, {"larq_reactnet.packed": text}))
    refused(model, path, match)


@pytest.mark.parametrize("text", ["[1", "[]", "7", "[" * 10**5, '{"version": 1}'])
def test_hostile_metadata(text, path):
    path.write_bytes(safetensors.numpy.save({}, {"larq_reactnet.packed": text}))
    refused(binary_model(), path, "list of weights cannot be read")


def corrupted(data, rng):
    """`data` with one thing changed at random, and what that was."""
    data = bytearray(data)
    kind = rng.choice(["flip", "cut", "insert", "zero", "header", "swap"])
    at = int(rng.integers(len(data)) if rng.random() < 0.5 else rng.integers(400))
    if kind == "flip":
        data[at] ^= 1 << int(rng.integers(8))
    elif kind == "cut":
        del data[at:]
    elif kind == "insert":
        data[at:at] = rng.bytes(int(rng.integers(1, 20)))
    elif kind == "zero":
        data[at : at + 50] = bytes(len(data[at : at + 50]))
    elif kind == "header":
        data[:8] = int(rng.integers(0, 2 ** int(rng.integers(1, 62)))).to_bytes(8, "little")
    else:
        other = int(rng.integers(len(data)))
        data[at], data[other] = data[other], data[at]
    return bytes(data), f"{kind} at {at}"


@pytest.mark.slow
def test_a_thousand_corruptions(path, rng):
    model = binary_model(kernel_quantizer="react_sign")
    save_packed(model, path)
    good = path.read_bytes()
    load_packed(model, path)
    intact = model.get_weights()
    untouched = [np.full_like(weight, 7) for weight in intact]
    refusals = 0
    for index in range(1000):
        data, change = corrupted(good, rng)
        path.write_bytes(data)
        model.set_weights(untouched)
        expected = intact
        try:
            load_packed(model, path)
        except ValueError:
            refusals += 1
            expected = untouched
        for value, weight in zip(expected, model.get_weights(), strict=True):
            assert np.array_equal(value, weight), (index, change)
    assert refusals > 950
