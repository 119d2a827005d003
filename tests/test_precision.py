"""Trainings in other precisions than float32."""

from pathlib import Path

import larq_reactnet as lr
from larq_reactnet.training import Run, precision, preparing
from larq_reactnet.zoo.recipes import two_step

import numpy as np
import pytest
import tensorflow as tf

VALUES = {"options": {"width": 0.05}, "step1_epochs": 0, "epochs": 1, "batch_size": 128}


def train(folder, **values):
    recipe = two_step("bnn_plus_alexnet", **VALUES | values)
    return lr.training.train(recipe, folder, verbose=0)


def machine(monkeypatch, flags="fpu", capabilities=()):
    """Have this machine these flags of its processor, and GPUs of these compute capabilities."""
    text = f"processor\t: 0\nflags\t\t: {flags}\n"
    monkeypatch.setattr(Path, "read_text", lambda self: text)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: capabilities)
    monkeypatch.setattr(
        tf.config.experimental,
        "get_device_details",
        lambda capability: {"compute_capability": capability},
    )


@pytest.mark.parametrize(
    ("flags", "capabilities", "policy"),
    [
        ("fpu avx2", [], "float32"),
        ("fpu avx512_bf16", [], "mixed_bfloat16"),
        ("amx_bf16 amx_tile", [], "mixed_bfloat16"),
        ("avx512_bf16", [(6, 1)], "float32"),
        ("fpu", [(7, 5)], "mixed_float16"),
        ("fpu", [(8, 0), (9, 0)], "mixed_bfloat16"),
        ("fpu", [(9, 0), (7, 0)], "mixed_float16"),
    ],
)
def test_native_policy(flags, capabilities, policy, monkeypatch):
    machine(monkeypatch, flags, capabilities)
    assert precision.native_policy() == policy


@pytest.mark.slow
@pytest.mark.usefixtures("few_digits")
@pytest.mark.parametrize(("policy", "step1_epochs"), [("mixed_bfloat16", 1), ("mixed_float16", 0)])
def test_training(policy, step1_epochs, tmp_path, digits):
    """What is kept is of float32, and can be exported."""
    model = train(tmp_path / "run", precision=policy, step1_epochs=step1_epochs)
    assert tf.keras.mixed_precision.global_policy().name == "float32"
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    content = Run(tmp_path / "run").read()
    assert content["arguments"]["precision"] == policy
    assert np.isfinite(content["results"]["loss"])
    images, _ = digits.test_arrays()
    path = tmp_path / "m.tflite"
    report = lr.converters.export(model, path, verify_with=images[:8], progress=False)
    assert report.rebuilt == ""
    with pytest.raises(ValueError, match="another precision"):
        train(tmp_path / "run", step1_epochs=step1_epochs)


@pytest.mark.slow
@pytest.mark.usefixtures("few_digits")
def test_auto_goes_on_as_begun(tmp_path, monkeypatch):
    monkeypatch.setattr(preparing, "native_policy", lambda: "mixed_bfloat16")
    train(tmp_path / "run", precision="auto")
    assert Run(tmp_path / "run").read()["arguments"]["precision"] == "mixed_bfloat16"
    monkeypatch.setattr(preparing, "native_policy", lambda: "float32")
    train(tmp_path / "run", precision="auto")  # on another machine


def test_unknown():
    with pytest.raises(ValueError, match=r"`precision` must be one of .*, got 'bfloat16'"):
        two_step("bnn_plus_alexnet", precision="bfloat16")
