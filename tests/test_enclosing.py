"""Inputs and outputs that go along with a file, and what `larq-reactnet-runtime verify` says."""

import json

import larq_reactnet as lr
from larq_reactnet._shared import proofs
from larq_reactnet.converters import Metadata, export, predict_tflite
from larq_reactnet.converters._tflite import file as tflite

import numpy as np
import pytest
import tensorflow as tf
from helpers import binary_model
from tflite_edits import edited

METADATA = Metadata(labels=("cat", "dog", "hen", "emu"), mean=120, std=60)


@pytest.fixture(scope="module")
def runtime():
    return pytest.importorskip("larq_reactnet_runtime")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(20, 8, 8, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def files(images, tmp_path_factory):
    """The same network without a proof, with it inside and beside; and one that takes bytes."""
    tf.keras.utils.set_random_seed(0)
    model, folder = binary_model("rsign", "react_sign"), tmp_path_factory.mktemp("proofs")
    pixels = (60 * images + 120).clip(0, 255)
    normal = ((np.rint(pixels) - 120) / 60).astype(np.float32)
    ways = {
        "none": {},
        "inside": {"proof": 3},
        "beside": {"proof": 3, "proof_beside": True},
        "bytes": {"proof": 4, "input_type": "uint8", "verify_with": normal},
    }
    for name, way in ways.items():
        way = {"verify_with": images, "metadata": METADATA, "task": "classify"} | way
        report = export(model, folder / f"{name}.tflite", progress=False, **way)
        assert bool(report.proof_bytes) == ("proof" in way)
        assert report.bytes == (folder / f"{name}.tflite").stat().st_size
        assert ("for devices" in str(report)) == ("proof" in way)
    return folder


def test_a_proof_changes_nothing_else(files, images):
    contents = {name: (files / f"{name}.tflite").read_bytes() for name in ("none", "inside")}
    assert contents["none"] == (files / "beside.tflite").read_bytes()
    ours, plain = (predict_tflite(c, images, progress=False) for c in contents.values())
    np.testing.assert_array_equal(ours, plain)
    assert lr.converters.read_metadata(contents["inside"]) == lr.converters.read_metadata(
        contents["none"]
    )
    size = len(contents["inside"]) - len(contents["none"])
    assert 3 * 8 * 8 * 3 < size < 3 * 8 * 8 * 3 + 2500  # a byte for each number, and an archive


@pytest.mark.parametrize("name", ["inside", "beside", "bytes"])
def test_a_device_that_computes_the_same(files, runtime, name):
    path = files / f"{name}.tflite"
    stored = proofs.read_proof(path)
    assert len(stored.inputs[0]) == (4 if name == "bytes" else 3)
    assert stored.inputs[0].dtype == (np.uint8 if name == "bytes" else np.float32)
    expected = predict_tflite(path, stored.inputs[0].astype(np.float32), progress=False)
    np.testing.assert_allclose(stored.outputs[0], expected, rtol=1e-5, atol=1e-6)
    found = runtime.verify(path)
    assert found.is_equal
    (one,) = found.differences
    assert one.largest < 1e-4
    assert one.same == one.rows == found.inputs
    assert found.there == "LCE's interpreter"


def other_weights(model):
    """One of the filters of the binary convolution is another."""
    graph = model.subgraphs[0]
    (index,) = (op.inputs[1] for op in graph.operators if tflite.op_name(model, op) == "LceBconv2d")
    buffer = model.buffers[graph.tensors[index].buffer]
    buffer.data = ~np.asarray(buffer.data, np.uint8)


def test_a_device_that_does_not(files, runtime, tmp_path, capsys):
    """The command says how far it is off, and its exit code is 1."""
    from larq_reactnet_runtime.cli import main

    path = tmp_path / "model.tflite"
    path.write_bytes(edited((files / "inside.tflite").read_bytes(), other_weights))
    found = runtime.verify(path)
    stored = proofs.read_proof(path)
    wrong = predict_tflite(path.read_bytes(), stored.inputs[0], progress=False)
    far = np.abs(wrong - stored.outputs[0]).max()
    assert found.differences[0].largest == pytest.approx(far, rel=1e-4)
    assert not found.is_equal
    assert main(["verify", str(path)]) == 1
    out = capsys.readouterr().out
    assert f"off by at most {far:.3g}, " in out
    assert "NOT equal" in out
    assert main(["verify", str(path), "--json", "--tolerance", "1000"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["equal"] is True
    assert printed["differences"][0]["relative"] == found.differences[0].relative


def test_the_command(files, runtime, capsys):
    from larq_reactnet_runtime.cli import main

    assert main(["verify", str(files / "beside.tflite")]) == 0
    out = capsys.readouterr().out
    assert "inputs        3, whose outputs are those of LCE's interpreter" in out
    assert "the largest is the same in 3 of 3" in out


def test_what_is_refused(files, runtime, tmp_path):
    content = (files / "none.tflite").read_bytes()
    alone = tmp_path / "alone.tflite"
    alone.write_bytes(content)
    with pytest.raises(ValueError, match=r"no proof in the \.tflite and none beside it: export"):
        runtime.verify(alone)
    with pytest.raises(ValueError, match="no proof"):
        runtime.verify(content)
    with pytest.raises(FileNotFoundError):
        runtime.verify(alone, tmp_path / "none.npz")
    beside = proofs.path_beside(alone)
    good = proofs.path_beside(files / "beside.tflite").read_bytes()
    for stored in (b"", good[:-30], b"PK" + good[2:200]):
        beside.write_bytes(stored)
        with pytest.raises(ValueError, match=r"proof of the \.tflite is corrupt"):
            runtime.verify(alone)
    others = proofs.Proof((np.ones((2, 8, 8, 3), np.float32),), (np.ones((2, 9)),), "none")
    beside.write_bytes(proofs.write(others))
    with pytest.raises(ValueError, match="proof has one of"):
        runtime.verify(alone)
    with pytest.raises(ValueError, match="`proof` must be"):
        export(binary_model(), alone, proof=-1)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 300.0, 0.0])
def test_rows_stay_the_same_when_fewer_are_stored(scale, rng):
    array = (scale * rng.normal(size=(9, 4, 5))).astype(np.float32)
    array[3] *= 0.01
    stored = proofs.rounded(array)
    spread = array.max() - array.min()
    assert np.abs(stored - array).max() <= spread / 254 + 1e-30  # half a step of at most double
    for rows in (stored, stored[3:4], stored[:0:-2]):
        np.testing.assert_array_equal(proofs.rounded(rows), rows)
        proof = proofs.Proof((rows,), (np.ones((len(rows), 2)),), "x")
        assert b"bits_0" in proofs.write(proof)


def test_large_archives_are_not_unpacked(files):
    content = (files / "none.tflite").read_bytes()
    zeros = proofs.Proof((np.zeros((1, 1 << 27), np.int8),) * 3, (np.ones((1, 4)),), "x")
    bomb = edited(content, lambda model: None)
    beside = files / "bomb.npz"
    beside.write_bytes(proofs.write(zeros))
    assert beside.stat().st_size < 1_000_000
    with pytest.raises(ValueError, match=r"corrupt: it has 402,\d+,\d+ bytes"):
        proofs.read_proof(bomb, beside)
