"""What `weights=` of a constructor takes."""

import hashlib
import json
import os

import larq_reactnet as lr
from larq_reactnet.packed import save_packed
from larq_reactnet.zoo import pretrained
from larq_reactnet.zoo._download import DownloadError

import numpy as np
import pooch
import pytest
import tensorflow as tf
from helpers import assert_same_outputs
from weights_tables import OPTIONS, line, table

SHAPE = (32, 32, 3)


def alexnet(**arguments):
    return lr.zoo.BNNPlusAlexNet(input_shape=SHAPE, **{**OPTIONS, **arguments})


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A folder like the one in the package, with the weights of the model that is returned."""
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    model = alexnet()
    path = tmp_path / "weights.safetensors"
    save_packed(model, path)
    cells = {"bytes": str(path.stat().st_size), "sha256": pooch.file_hash(path)}
    table(tmp_path, line(**cells))
    return model


@pytest.fixture
def images(rng):
    return rng.normal(size=(4, *SHAPE)).astype(np.float32)


# What `weights=` takes.


def test_weights_of_the_package(shipped, images):
    assert_same_outputs(shipped, alexnet(weights="cifar10"), images)


def test_weights_of_a_recipe(shipped, images, tmp_path):
    """Of several for one data set, the data set means the first, and a recipe its own."""
    arguments = {"input_shape": SHAPE}
    made = lr.zoo.create("bnn_plus_alexnet", weights="cifar10_bnn_plus", **arguments)
    assert_same_outputs(shipped, made, images)
    row = pretrained.find("bnn_plus_alexnet", "cifar10")
    wide = alexnet(width=0.25)
    save_packed(wide, tmp_path / "wide.safetensors")
    first = {"sha256": row.sha256, "bytes": str(row.bytes)}
    second = {
        "location": "wide.safetensors",
        "sha256": pooch.file_hash(tmp_path / "wide.safetensors"),
        "options": '{"width": 0.25}',
        "recipe": "wide",
    }
    table(tmp_path, line(**first), line(**second))
    for name, model in (("cifar10", shipped), ("cifar10_bnn_plus", shipped), ("wide", wide)):
        made = lr.zoo.create("bnn_plus_alexnet", weights=name, **arguments)
        assert_same_outputs(model, made, images)
    assert pretrained.by_recipe("wide").options == {"width": 0.25}
    assert pretrained.by_recipe("") is pretrained.by_recipe("narrow") is None
    assert pretrained.options_of("binary_alexnet", None) == {}


@pytest.mark.slow
def test_create_takes_the_options_of_the_weights(shipped, images):
    arguments = {"weights": "cifar10", "input_shape": SHAPE}
    assert_same_outputs(shipped, lr.zoo.create("bnn_plus_alexnet", **arguments), images)
    with pytest.raises(ValueError, match=r"are for 'cifar10' with width=0\.125"):
        lr.zoo.create("bnn_plus_alexnet", width=0.25, **arguments)
    assert lr.zoo.create("bnn_plus_alexnet").count_params() > shipped.count_params()


def test_a_name_comes_before_a_file_of_that_name(shipped, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    alexnet().save_weights("other.h5")
    os.rename("other.h5", "cifar10")
    assert_same_outputs(shipped, alexnet(weights="cifar10"), images)


@pytest.mark.parametrize("name", ["weights.h5", "weights.safetensors", "weights.bin"])
def test_file(name, tmp_path, images):
    model = alexnet()
    path = tmp_path / name
    model.save_weights(path) if path.suffix == ".h5" else save_packed(model, path)
    assert_same_outputs(model, alexnet(weights=str(path)), images)
    assert_same_outputs(model, alexnet(weights=path), images)


def test_other_options(shipped):
    with pytest.raises(
        ValueError, match=r"for .cifar10. with width=0\.125, and the default"
    ) as caught:
        alexnet(weights="cifar10", width=0.25)
    assert "does not hold the weights of bnn_plus_alexnet:\n  conv1: kernel" in str(caught.value)


def test_unknown_names(shipped, tmp_path):
    there_is = r"there is 'cifar10' with width=0.125\."
    with pytest.raises(ValueError, match=f"no 'imagenet' weights for bnn_plus_alexnet: {there_is}"):
        alexnet(weights="imagenet")
    with pytest.raises(ValueError, match=f"{there_is} Did you mean 'cifar10'"):
        alexnet(weights="cifar100")
    with pytest.raises(ValueError, match=r"got .*missing\.h5"):
        alexnet(weights=tmp_path / "missing.h5")
    with pytest.raises(ValueError, match="must be None, the path of a file or a name"):
        alexnet(weights=tmp_path)
    table(tmp_path)
    with pytest.raises(ValueError, match="There are no pretrained weights for bnn_plus_alexnet"):
        alexnet(weights="cifar10")


@pytest.mark.parametrize("name", ["weights.h5", "weights.safetensors"])
def test_file_that_is_corrupt(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"\x89HDF\r\n\x1a\nand then nothing")
    with pytest.raises(ValueError, match="does not hold the weights of bnn_plus_alexnet"):
        alexnet(weights=path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=str(path)):
        alexnet(weights=path)


def test_package_that_is_broken(shipped, tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ValueError, match=r"is corrupt.*Install larq_reactnet again"):
        alexnet(weights="cifar10")
    path.unlink()
    with pytest.raises(FileNotFoundError, match="install larq_reactnet again"):
        alexnet(weights="cifar10")


def test_weights_from_the_network(shipped, images, tmp_path, monkeypatch):
    """The address and hash go to `fetch`, whose own tests are in test_download.py."""
    url = "https://localhost/weights.safetensors"
    path = tmp_path / "weights.safetensors"
    row = pretrained.find("bnn_plus_alexnet", "cifar10")
    cells = {"sha256": row.sha256, "bytes": str(row.bytes)}
    table(tmp_path, line(location=url, **cells), line(dataset="digits", location=url))

    def fetch(address, sha256, output):
        assert address == url
        if sha256 != hashlib.sha256(path.read_bytes()).hexdigest():
            raise DownloadError("not the file")
        return path

    monkeypatch.setattr(pretrained, "fetch", fetch)
    assert_same_outputs(shipped, alexnet(weights="cifar10"), images)
    with pytest.raises(DownloadError, match="not the file"):
        alexnet(weights="digits")


# Another head, or none.


@pytest.fixture(params=["name", "run", "weights.h5", "model.h5", "packed.safetensors"])
def head_of_10(request, shipped, tmp_path):
    """A network with 10 classes, and what `weights=` may be to get its weights."""
    if request.param == "name":
        return shipped, "cifar10"
    path = tmp_path / request.param
    if path.suffix == ".safetensors":
        save_packed(shipped, path)
    elif path.stem == "model":
        shipped.save(path)
    else:
        path.mkdir() if request.param == "run" else None
        shipped.save_weights(path / "weights.h5" if request.param == "run" else path)
    if request.param == "run":
        arguments = {"model": "bnn_plus_alexnet", "options": {**OPTIONS, "input_shape": SHAPE}}
        arguments |= {"dataset": "digits", "data_dir": None, "image_size": None}
        (path / "run.json").write_text(json.dumps({"arguments": arguments}))
    return shipped, path


def create(weights, **arguments):
    return lr.zoo.create(
        "bnn_plus_alexnet", weights=weights, **{"input_shape": SHAPE, **OPTIONS, **arguments}
    )


def features(model, images):
    """What stands in front of the dense layers."""
    return tf.keras.Model(model.input, model.get_layer("bn5").output)(images)


def test_without_head(head_of_10, images, capsys):
    whole, weights = head_of_10
    for make in (create, lambda weights, **arguments: alexnet(weights=weights, **arguments)):
        model = make(weights, include_top=False)
        np.testing.assert_array_equal(model(images), features(whole, images))
        (line,) = capsys.readouterr().err.splitlines()
        wanted = "were loaded without their head (include_top=False)."
        assert line == f"bnn_plus_alexnet: the weights {str(weights)!r} {wanted}"
    any_size = create(weights, include_top=False, input_shape=None)
    np.testing.assert_array_equal(any_size(images), features(whole, images))


@pytest.mark.slow
def test_new_head(head_of_10, images, capsys):
    whole, weights = head_of_10
    for make in (create, lambda weights, **arguments: alexnet(weights=weights, **arguments)):
        tf.keras.utils.set_random_seed(1)
        model = make(weights, num_classes=3)
        tf.keras.utils.set_random_seed(1)
        fresh = alexnet(num_classes=3)
        for layer in model.layers[1:-2]:
            for found, wanted in zip(
                layer.get_weights(), whole.get_layer(layer.name).get_weights(), strict=True
            ):
                np.testing.assert_array_equal(np.sign(found), np.sign(wanted))
        for found, wanted in zip(
            model.get_layer("logits").get_weights(),
            fresh.get_layer("logits").get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(found, wanted)
        before = tf.keras.Model(model.input, model.layers[-3].output)(images)
        same = tf.keras.Model(whole.input, whole.layers[-3].output)(images)
        np.testing.assert_array_equal(before, same)
        (line,) = capsys.readouterr().err.splitlines()
        assert line.endswith(
            "were loaded without those of logits, which is new: it has 3 classes instead of 10."
        )
    create(weights)
    create(weights, num_classes=10)
    assert capsys.readouterr().err == ""


def test_number_of_classes_that_was_forgotten(tmp_path):
    """The default is 10, and the weights are for 3."""
    path = tmp_path / "weights.h5"
    alexnet(num_classes=3).save_weights(path)
    for make in (create, lambda path: alexnet(weights=path)):
        with pytest.raises(ValueError, match="Say in `num_classes` how many") as caught:
            make(path)
        assert "\n  logits: kernel [512, 3] in the file, kernel [512, 10] in the" in str(
            caught.value
        )
    assert create(path, num_classes=10).output_shape == (None, 10)  # it is asked for


def test_weights_that_do_not_fit_have_the_names_of_layers(head_of_10):
    _, weights = head_of_10
    for arguments in ({"include_top": False}, {"num_classes": 3}, {}):
        with pytest.raises(ValueError, match="does not hold the weights of") as caught:
            create(weights, **{**arguments, "width": 0.25})
        assert "\n  conv1: kernel [5, 5, 3, 8]" in str(caught.value)
        assert not any(part.isdigit() for part in str(caught.value).split("."))
    other = create(None, width=0.25)
    before = other.get_weights()
    with pytest.raises(ValueError, match="does not hold"):
        pretrained.load(other, weights, "bnn_plus_alexnet", other_head=True)
    for found, wanted in zip(other.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_run_of_another_model(tmp_path):
    arguments = {"model": "resnet18", "options": {}, "dataset": "digits", "data_dir": None}
    text = json.dumps({"arguments": {**arguments, "image_size": None}})
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match=r"is a run of resnet18, not of bnn_plus_alexnet\."):
        create(tmp_path)
    (tmp_path / "run.json").write_text(text.replace("resnet18", "bnn_plus_alexnet"))
    with pytest.raises(ValueError, match="is not finished"):
        create(tmp_path)


def test_new_head_for_keras_weights(monkeypatch, images, capsys):
    """Keras refuses them for another number of classes. Random ones stand in for its download."""
    original = tf.keras.applications.MobileNet

    def without_network(*, weights, include_top, **arguments):
        tf.keras.utils.set_random_seed(7 if weights else 1)
        return original(weights=None, include_top=include_top, **arguments)

    monkeypatch.setattr(tf.keras.applications, "MobileNet", without_network)
    arguments = {"weights": "imagenet", "input_shape": SHAPE, "width": 0.25}
    model = lr.zoo.create("mobilenet_v1", num_classes=3, **arguments)
    backbone = lr.zoo.create("mobilenet_v1", include_top=False, **arguments)
    assert model.output_shape == (None, 3)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "mobilenet_v1: the weights 'imagenet' were loaded without those of conv_preds, which is "
        "new: it has 3 classes instead of 1000."
    )
    last = tf.keras.Model(model.input, model.get_layer("conv_pw_13_relu").output)
    np.testing.assert_array_equal(last(images), backbone(images))
