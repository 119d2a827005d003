"""PyTorch checkpoints in Keras models: the same numbers as PyTorch gives."""

import larq_reactnet as lr
from larq_reactnet.converters.torch_checkpoint import load_torch_checkpoint
from larq_reactnet_cli import main

import numpy as np
import pytest
import tensorflow as tf
import torch
import torch_reference
from click.testing import CliRunner
from helpers import EVERY, assert_same_outputs, every, some
from torch_reference import network, weights_of

# The second one is neither square nor even, and one that PyTorch can take.
SIZES = [(64, 64), (95, 127)] + ([(96, 96), (128, 128)] if EVERY else [])


def build(name, **arguments):
    defaults = {"input_shape": (64, 64, 3), "num_classes": 10, "torch_padding": True}
    return lr.zoo.create(name, **{**defaults, **arguments})


def pair_of(name, folder):
    """The PyTorch network and the Keras model for images of any size, both in float64."""
    path = folder / "checkpoint.pth.tar"
    reference = network(name)
    torch.save({"epoch": 3, "state_dict": reference.state_dict(), "best_top1_acc": 69.4}, path)
    try:
        tf.keras.backend.set_floatx("float64")  # of inputs
        tf.keras.mixed_precision.set_global_policy("float64")  # of layers
        model = build(name, input_shape=(None, None, 3))
    finally:
        tf.keras.backend.set_floatx("float32")
        tf.keras.mixed_precision.set_global_policy("float32")
    load_torch_checkpoint(model, path)
    return reference, model


@pytest.fixture(scope="module", params=["reactnet_a", "reactnet_18"])
def pair(request, tmp_path_factory):
    return pair_of(request.param, tmp_path_factory.mktemp("checkpoints"))


def images_of(size, count=2):
    return np.random.default_rng(sum(size)).normal(size=(count, *size, 3))


def rotated(tensor):
    """A PyTorch map as Keras has it: channels last, and rotated by 180 degrees."""
    array = tensor.numpy()
    return array.transpose(0, 2, 3, 1)[:, ::-1, ::-1] if array.ndim == 4 else array


def run(reference, images):
    """The outputs of `reference`, and the input and output of each of its modules."""
    seen = {}
    hooks = [
        module.register_forward_hook(
            lambda _, inputs, output, name=name: seen.update({name: (inputs[0], output)})
        )
        for name, module in reference.named_modules()
    ]
    with torch.no_grad():
        outputs = reference(torch.tensor(images.transpose(0, 3, 1, 2)))
    for hook in hooks:
        hook.remove()
    return outputs.numpy(), seen


def steps_a():
    """(Keras layer, PyTorch modules that it is) for each layer of ReActNet-A but sums."""
    yield "stem", "feature.0.conv1", "feature.0.conv1"
    yield "stem_bn", "feature.0.bn1", "feature.0.bn1"
    for index, (inputs, outputs, stride) in enumerate(torch_reference.BLOCKS_A, 1):
        block = f"feature.{index}"
        yield f"block{index}_3x3", f"{block}.move11", f"{block}.binary_3x3"
        yield f"block{index}_3x3_bn", f"{block}.bn1", f"{block}.bn1"
        yield f"block{index}_3x3_rprelu", f"{block}.move12", f"{block}.move13"
        yield f"block{index}_1x1_rprelu", f"{block}.move22", f"{block}.move23"
        if stride == 2:
            yield f"block{index}_pool", f"{block}.pooling", f"{block}.pooling"
        if inputs == outputs:
            yield f"block{index}_1x1", f"{block}.move21", f"{block}.binary_pw"
            yield f"block{index}_1x1_bn", f"{block}.bn2", f"{block}.bn2"
        else:
            yield f"block{index}_1x1_shift", f"{block}.move21", f"{block}.move21"
            for branch, number in (("a", 1), ("b", 2)):
                conv = f"{block}.binary_pw_down{number}"
                yield f"block{index}_1x1_{branch}", conv, conv
                yield (
                    f"block{index}_1x1_{branch}_bn",
                    f"{block}.bn2_{number}",
                    f"{block}.bn2_{number}",
                )
    yield "logits", "fc", "fc"


def steps_resnet(blocks):
    """The same for a ResNet."""
    yield "stem", "conv1", "conv1"
    yield "stem_bn", "bn1", "bn1"
    yield "stem_pool", "maxpool", "maxpool"
    for stage, repeats in enumerate(blocks, 1):
        for index in range(repeats):
            layer, block = f"stage{stage}_block{index + 1}", f"layer{stage}.{index}"
            yield layer, f"{block}.move0", f"{block}.binary_conv"
            yield f"{layer}_bn", f"{block}.bn1", f"{block}.bn1"
            yield f"{layer}_rprelu", f"{block}.move1", f"{block}.move2"
            if stage > 1 and index == 0:
                for number, part in enumerate(("pool", "conv", "bn")):
                    module = f"{block}.downsample.{number}"
                    yield f"{layer}_shortcut_{part}", module, module
    yield "logits", "fc", "fc"


STEPS = {
    "reactnet_a": [*steps_a()],
    "reactnet_18": [*steps_resnet((4, 4, 4, 4))],
    "reactnet_34": [*steps_resnet((6, 8, 12, 6))],
}


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES[:2])
def test_every_layer_gives_what_pytorch_gives(pair, size):
    """Each layer gets what it gets in PyTorch."""
    assert_same_layers(*pair, size)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_model_gives_what_pytorch_gives(pair, size):
    """From the image on: every block, with its sums and concatenation, and the logits."""
    assert_same_blocks(*pair, size)


@every  # of the function that makes ReActNet-18
def test_reactnet_34(tmp_path):
    pair = pair_of("reactnet_34", tmp_path)
    assert_same_layers(*pair, (64, 64))
    assert_same_blocks(*pair, (96, 64))


def assert_same_layers(reference, model, size):
    _, seen = run(reference, images_of(size, 1))
    for layer, first, last in STEPS[model.name]:
        outputs = model.get_layer(layer)(rotated(seen[first][0])).numpy()
        assert outputs.dtype == np.float64
        np.testing.assert_allclose(
            outputs, rotated(seen[last][1]), rtol=0, atol=1e-9, err_msg=layer
        )
    compared = {layer for layer, *_ in STEPS[model.name]}
    assert compared >= {layer.name for layer in model.layers if layer.weights}


def assert_same_blocks(reference, model, size):
    images = images_of(size)
    logits, seen = run(reference, images)
    ends = [
        (layer, last.rsplit(".", 1)[0])
        for layer, _, last in STEPS[model.name]
        if last.endswith(("move23", "move2"))
    ]
    layers = [*(layer for layer, _ in ends), "logits"]
    outputs = tf.keras.Model(model.input, [model.get_layer(layer).output for layer in layers])
    *blocks, found = outputs(images)
    for output, (layer, block) in zip(blocks, ends, strict=True):
        np.testing.assert_allclose(
            output, rotated(seen[block][1]), rtol=0, atol=1e-9, err_msg=layer
        )
    np.testing.assert_allclose(found, logits, rtol=0, atol=1e-9)


def test_batch_norm_has_the_constants_of_pytorch(pair):
    for layer in pair[1].layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            assert (layer.epsilon, layer.momentum) == (1e-5, 0.9)


def decided(name, images):
    """A float32 network that is sure of its classes, as a trained one is: image `i` is of class i.

    In float32 a sign may flip where its input is within 1e-6 of 0, and in a random network that
    grows with every layer. So the classifier is fitted to tell the images apart.
    """
    reference = torch_reference.random_network(name).float()
    inputs = torch.tensor(images.transpose(0, 3, 1, 2))
    with torch.no_grad():
        for module in reference.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None  # statistics of the images
                module.reset_running_stats()
        reference.train()(inputs)
        features = run(reference.eval(), images)[1]["fc"][0]
        center = features.mean(0)
        weight = torch.linalg.pinv(features - center) @ (10 * torch.eye(len(images)))
        reference.fc.weight.copy_(weight.T)
        reference.fc.bias.copy_(-center @ weight)
    return reference


@every  # a minute: `make test` compares these networks above, and exports others of such layers
@pytest.mark.parametrize(
    ("name", "binary", "real"), [("reactnet_18", 16, 4), ("reactnet_a", 26, 1)]
)
def test_exported_model_gives_the_classes_of_pytorch(tmp_path, rng, name, binary, real):
    images = rng.normal(size=(10, 8, 8, 3)).repeat(4, 1).repeat(4, 2).astype(np.float32)
    reference = decided(name, images)
    logits, _ = run(reference, images)
    assert logits.argmax(-1).tolist() == [*range(10)]
    torch.save(reference.state_dict(), tmp_path / "weights.pth")
    model = build(name, input_shape=images.shape[1:])
    load_torch_checkpoint(model, tmp_path / "weights.pth")
    path = tmp_path / "model.tflite"
    report = lr.converters.export(model, path, verify_with=images, progress=False)
    assert report.operators["REVERSE_V2"] == 1
    assert report.operators["LceBconv2d"] == binary
    assert report.operators["CONV_2D"] == real
    found = lr.converters.predict_tflite(path.read_bytes(), images, progress=False)
    np.testing.assert_array_equal(found.argmax(-1), logits.argmax(-1))


def respelled(state, flat, plural, prefix):
    """`state` as other versions of the official code save it."""
    changed = {}
    for key, tensor in state.items():
        if ".binary" in key:
            shape = network("reactnet_a").get_submodule(key.rsplit(".", 1)[0]).shape
            tensor = tensor.reshape(-1, 1) if flat else tensor.reshape(shape)
            key = key.rsplit(".", 1)[0] + (".weights" if plural else ".weight")
        changed[f"{prefix}{key}"] = tensor
    return changed


@pytest.mark.slow
def test_spellings(tmp_path):
    model = build("reactnet_a")
    path = tmp_path / "checkpoint.pth"
    first = None
    for flat, plural, prefix, wrap, is_zip in (
        (True, True, "module.", lambda state: {"epoch": 1, "state_dict": state}, True),
        (False, False, "module.", lambda state: {"state_dict": state, "optimizer": {}}, False),
        (False, True, "", dict, True),
    ):
        state = respelled(weights_of("reactnet_a"), flat, plural, prefix)
        torch.save(wrap(state), path, _use_new_zipfile_serialization=is_zip)
        model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
        load_torch_checkpoint(model, path)
        weights = model.get_weights()
        first = first or weights
        for found, expected in zip(weights, first, strict=True):
            np.testing.assert_array_equal(found, expected)
    assert all(np.any(weight) for weight in first)


def test_other_float_types_and_no_counters(tmp_path):
    model = build("reactnet_18")
    state = {
        key: tensor.half() if "fc" in key else tensor.bfloat16()
        for key, tensor in weights_of("reactnet_18").items()
        if "num_batches_tracked" not in key
    }
    torch.save(state, tmp_path / "half.pth")
    load_torch_checkpoint(model, tmp_path / "half.pth")
    found = model.get_layer("logits").bias.numpy()
    np.testing.assert_array_equal(found, state["fc.bias"].float().numpy())
    found = model.get_layer("stage1_block1_bn").gamma.numpy()
    np.testing.assert_array_equal(found, state["layer1.0.bn1.weight"].float().numpy())


def test_model_without_classifier(tmp_path):
    model = build("reactnet_18", include_top=False)
    torch.save(weights_of("reactnet_18"), tmp_path / "weights.pth")
    load_torch_checkpoint(model, tmp_path / "weights.pth")
    found = model.get_layer("stage4_block4_rprelu").slope.numpy()
    np.testing.assert_allclose(found, weights_of("reactnet_18")["layer4.3.prelu.weight"], 1e-6)


def test_step_1_has_real_weights_and_they_may_be_0(tmp_path):
    model = build("reactnet_18", binary_weights=False)
    state = weights_of("reactnet_18")
    state["layer1.0.binary_conv.weight"][0, 0, 0, 0] = 0
    torch.save(state, tmp_path / "weights.pth")
    load_torch_checkpoint(model, tmp_path / "weights.pth")
    assert model.get_layer("stage1_block1").kernel.numpy()[2, 2, 0, 0] == 0


def test_a_weight_that_is_exactly_0_is_loaded_and_counted(tmp_path):
    """`torch.rand` gives one in 16 million. The official code computes with 0, its sign, there."""
    results = {}
    images = images_of((64, 64)).astype(np.float32)
    for value in (0.0, 1e-12):
        model, state = build("reactnet_18"), weights_of("reactnet_18")
        state["layer1.0.binary_conv.weight"][0, 0, 0, 0] = value
        torch.save(state, tmp_path / "weights.pth")
        if value:
            load_torch_checkpoint(model, tmp_path / "weights.pth")
        else:
            with pytest.warns(UserWarning, match=r"exactly 0: 1 of layer1.*computes with \+1"):
                load_torch_checkpoint(model, tmp_path / "weights.pth")
        results[value] = model(images).numpy()
    np.testing.assert_array_equal(results[0.0], results[1e-12])


@pytest.mark.slow
@pytest.mark.parametrize("suffix", some(["h5", "safetensors"], "safetensors"))
def test_command(suffix, tmp_path):
    checkpoint, weights = tmp_path / "checkpoint.pth.tar", tmp_path / f"weights.{suffix}"
    torch.save({"state_dict": weights_of("reactnet_18")}, checkpoint)
    size = ["--set", "num_classes=10", "--input-size", "64"]
    command = ["import-torch", str(checkpoint), "--model", "reactnet_18", *size, "--output"]
    done = CliRunner().invoke(main, [*command, str(weights)])
    assert done.exit_code == 0, done.output
    assert "build reactnet_18 with torch_padding=True" in done.output
    model = build("reactnet_18")
    load_torch_checkpoint(model, checkpoint)
    images = images_of((64, 64)).astype(np.float32)
    assert_same_outputs(model, build("reactnet_18", weights=str(weights)), images)
    for wrong, message in (
        ([*command, str(tmp_path / "weights.txt")], "must end in .h5 or .safetensors"),
        (
            ["import-torch", *command[1:2], "--model", "quicknet", "--output", str(weights)],
            "There are no PyTorch checkpoints of quicknet",
        ),
    ):
        done = CliRunner().invoke(main, wrong)
        assert done.exit_code in (1, 2)
        assert message in done.output
    checkpoint.write_bytes(b"<html>")
    before = weights.read_bytes()
    done = CliRunner().invoke(main, [*command, str(weights)])
    assert done.exit_code == 1
    assert "is a web page" in done.output
    assert weights.read_bytes() == before
