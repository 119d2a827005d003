"""PyTorch checkpoints that must be refused: by name of what is wrong, and with nothing loaded."""

import os
import pickle
import sys

import larq_reactnet as lr
from larq_reactnet.converters.torch_checkpoint import load_torch_checkpoint

import numpy as np
import pytest
import tensorflow as tf
import torch
from torch_reference import network, weights_of


def build(name, **arguments):
    defaults = {"input_shape": (64, 64, 3), "num_classes": 10, "torch_padding": True}
    return lr.zoo.create(name, **{**defaults, **arguments})


@pytest.fixture(scope="module")
def reactnet_18():
    return build("reactnet_18")


def refused(model, path, *pieces):
    """Loading raises a ValueError with `pieces` in its message, and changes nothing."""
    before = model.get_weights()
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        load_torch_checkpoint(model, path)
    for piece in pieces:
        assert piece in str(caught.value)
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
    return str(caught.value)


def test_all_keys_that_do_not_fit_are_listed(tmp_path, reactnet_18):
    state = {f"module.{key}": tensor for key, tensor in weights_of("reactnet_18").items()}
    del state["module.layer1.0.move0.bias"]
    del state["module.bn1.running_var"]
    state["module.layer9.0.bn1.weight"] = torch.ones(3)
    state["module.fc.bias"] = torch.zeros(1000)
    state["module.layer1.1.move0.bias"] = torch.zeros(64)
    state["module.layer1.2.prelu.weight"] = torch.ones(1)
    state["module.conv1.weight"] = state["module.conv1.weight"].reshape(-1, 1)
    state["module.layer2.0.binary_conv.weight"][0] = 0
    state["module.layer2.1.bn1.bias"][0] = np.nan
    state["module.layer2.2.bn1.bias"] = torch.full((128,), 1e300, dtype=torch.float64)
    state["module.layer3.0.bn1.bias"] = torch.ones(256, dtype=torch.int64)
    torch.save(state, tmp_path / "weights.pth")
    message = refused(
        reactnet_18,
        tmp_path / "weights.pth",
        "weights.pth does not fit reactnet_18:\n",
        "  layer1.0.move0.bias is missing\n",
        "  bn1.running_var is missing\n",
        "  module.layer9.0.bn1.weight is unknown",
        "  module.fc.bias has shape (1000,) instead of (10,)\n",
        "  module.layer1.1.move0.bias has shape (64,) instead of (1, 64, 1, 1)\n",
        "  module.layer1.2.prelu.weight has shape (1,) instead of (64,)\n",
        "  module.conv1.weight has shape (9408, 1) instead of (64, 3, 7, 7)\n",
        "  module.layer2.0.binary_conv.weight has 576 binary weights that are 0",
        "  module.layer2.1.bn1.bias has NaN or infinite values of type float32\n",
        "  module.layer2.2.bn1.bias has NaN or infinite values of type float32\n",
        "  module.layer3.0.bn1.bias has numbers of type int64\n",
    )
    assert message.count("\n") == 11


def test_file_of_another_network(tmp_path, reactnet_18):
    """The official ResNet file held the MobileNet for months."""
    path = tmp_path / "weights.pth"
    for name in ("reactnet_a", "reactnet_34"):
        torch.save({"state_dict": network(name).state_dict()}, path)
        refused(
            reactnet_18,
            path,
            f"not a checkpoint of reactnet_18: its keys look like those of {name}.",
        )
    torch.save(torch.nn.Conv2d(3, 3, 1).state_dict(), path)
    refused(reactnet_18, path, "fc.weight is missing", "  weight is unknown")


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle 2", "pickle 4"])
def test_code_in_a_file_is_not_run(tmp_path, reactnet_18, how):
    created, path = tmp_path / "created", tmp_path / "checkpoint.pth.tar"
    content = {"state_dict": {**weights_of("reactnet_18"), "extra": Malicious(created)}}
    if how.startswith("pickle"):
        path.write_bytes(pickle.dumps(Malicious(created), protocol=int(how[-1])))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "zip")
    refused(
        reactnet_18, path, "is not a PyTorch checkpoint" if "4" in how else "would run posix.mkdir"
    )
    assert not created.exists()


def test_a_pickled_model_is_refused(tmp_path, reactnet_18):
    torch.save(torch.nn.Conv2d(3, 3, 1), tmp_path / "model.pth")
    refused(reactnet_18, tmp_path / "model.pth", "would run torch.nn", "`state_dict()`")


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_truncated_files(tmp_path, reactnet_18, is_zip, share):
    path = tmp_path / "checkpoint.pth"
    torch.save(weights_of("reactnet_18"), path, _use_new_zipfile_serialization=is_zip)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    refused(
        reactnet_18, path, "is not a PyTorch checkpoint, or is a damaged one: download it again."
    )


@pytest.mark.parametrize(
    "content", [b"<!DOCTYPE html><html>Sign in</html>", b"\xef\xbb\xbf\n<html>"]
)
def test_web_page(tmp_path, reactnet_18, content):
    (tmp_path / "checkpoint.pth").write_bytes(content)
    refused(reactnet_18, tmp_path / "checkpoint.pth", "is a web page, not a checkpoint")


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"state_dict": None},
        {"state_dict": {}},
        {"epoch": 3},
        {"a": torch.ones(1), 3: torch.ones(1)},
        {"a": torch.ones(2, 2).to_sparse()},
        torch.ones(3),
    ],
)
def test_files_without_weights(tmp_path, reactnet_18, content):
    torch.save(content, tmp_path / "checkpoint.pth")
    refused(reactnet_18, tmp_path / "checkpoint.pth", "it has no `state_dict` of named tensors")


def test_key_in_two_spellings(tmp_path, reactnet_18):
    state = weights_of("reactnet_18")
    state["layer1.0.binary_conv.weights"] = state["layer1.0.binary_conv.weight"]
    torch.save(state, tmp_path / "weights.pth")
    both = "both layer1.0.binary_conv.weight and layer1.0.binary_conv.weights"
    refused(reactnet_18, tmp_path / "weights.pth", both)


def test_no_file(tmp_path, reactnet_18):
    for path in (tmp_path / "missing.pth", tmp_path):
        with pytest.raises(OSError, match=str(tmp_path)):
            load_torch_checkpoint(reactnet_18, path)


def test_models_that_do_not_take_pytorchs_weights(tmp_path):
    path = tmp_path / "weights.pth"
    refused(build("reactnet_18", torch_padding=False), path, "with torch_padding=True")
    refused(build("reactnet_18", rsign=False), path, "no `input_quantizer.threshold` in a layer 's")
    odd = build("reactnet_18", input_shape=(96, 72, 3))
    refused(odd, path, "cannot halve the 12x9 map", "multiples of 32")
    for model, match in (("reactnet_18", "is None"), (tf.keras.Sequential(name="o"), "is 'o'")):
        with pytest.raises(
            ValueError, match=f"There are .* of reactnet_a, .*, but `model` {match}"
        ):
            load_torch_checkpoint(model, path)


def test_pytorch_cannot_take_the_sizes_that_are_refused():
    with pytest.raises(RuntimeError, match="must match the size"):
        network("reactnet_18")(torch.zeros((1, 3, 96, 72), dtype=torch.float64))


def test_without_pytorch(tmp_path, reactnet_18, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"larq-reactnet\[torch\]"):
        load_torch_checkpoint(reactnet_18, tmp_path / "weights.pth")


def test_pytorch_with_known_holes(tmp_path, reactnet_18, monkeypatch):
    monkeypatch.setattr(torch, "__version__", type(torch.__version__)("2.9.1"))
    with pytest.raises(ImportError, match=r"PyTorch 2\.9\.1 can be made to run code"):
        load_torch_checkpoint(reactnet_18, tmp_path / "weights.pth")


def test_changed_bytes_in_the_weights(tmp_path, reactnet_18):
    path = tmp_path / "checkpoint.pth"
    torch.save(weights_of("reactnet_18"), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    refused(reactnet_18, path, "is not a PyTorch checkpoint, or is a damaged one")


@pytest.mark.slow
def test_weights_for_rotated_images_fit_no_other_model(tmp_path):
    """Their shapes do."""
    small = {"width": 0.125, "num_classes": 10, "stem_strides": 1, "input_shape": (32, 32, 3)}
    for torch_padding in (True, False):
        model = lr.zoo.ReActNet18(**small, torch_padding=torch_padding)
        model.save_weights(tmp_path / "weights.h5")
        lr.save_packed(model, tmp_path / "weights.safetensors")
        for path in tmp_path.iterdir():
            with pytest.raises(ValueError, match="one is for models with `torch_padding=True`"):
                lr.zoo.ReActNet18(**small, torch_padding=not torch_padding, weights=path)
