"""Runs in their folders: complete ones, killed and resumed ones, and what is refused."""

import csv
import json
import os
import subprocess
import sys
from unittest.mock import Mock

import larq_reactnet as lr
from larq_reactnet._insight import records
from larq_reactnet.training import Run, fitting, load_model, opening
from larq_reactnet.training.compiling import compiled
from larq_reactnet.training.fine_tuning import with_defaults
from larq_reactnet.training.resuming import continued
from larq_reactnet.zoo.recipes import two_step
from larq_reactnet_cli import main

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from helpers import binary_model

AUGMENTATIONS = {
    "flip": "true",
    "randaugment": 2,
    "randaugment_magnitude": 5,
    "color_jitter": 0.4,
    "lighting": 0.1,
    "mixup": 0.2,
    "cutmix": 1.0,
}
VALUES = {"options": {"width": 0.05}, "step1_epochs": 2, "epochs": 3, "batch_size": 64}
# In a process of their own, because determinism of operations cannot be switched off again.
SCRIPT = """
import json, pathlib, sys
import larq_reactnet as lr
import tensorflow as tf
from helpers import few_digits

tf.config.experimental.enable_op_determinism()
for folder, values, changes in eval(sys.argv[1]):
    tf.keras.backend.clear_session()
    recipe = lr.zoo.recipes.two_step("bnn_plus_alexnet", **values).with_values(changes)
    with few_digits():
        lr.training.train(recipe, folder, verbose=0)
    print(json.dumps(lr.training.Run(pathlib.Path(folder)).read()["results"]))
"""


def train(folder, changes=None, **values):
    recipe = two_step("bnn_plus_alexnet", **VALUES | values).with_values(changes or {})
    return lr.training.train(recipe, folder, verbose=0)


def trained(*runs):
    """The results of trainings with few digits, of which each is (folder, changes, values)."""
    arguments = [(str(folder), VALUES | values, changes) for folder, changes, values in runs]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, repr(arguments)],
        env={**os.environ, "PYTHONPATH": os.path.dirname(__file__)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def epochs_of(folder):
    path = Run(folder).history
    if not path.exists():
        return []
    with path.open() as file:
        return [(int(row["step"]), int(row["epoch"])) for row in csv.DictReader(file)]


def weights_of(folder):
    return Run(folder).load_model().get_weights()


CONSTANT = {"step1.schedule": "tenths"}  # in few epochs, a constant rate
ONE, TWO = ({"step1_epochs": 0, "epochs": epochs} for epochs in (1, 2))


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    """The folder of runs that were not interrupted, and of one that got another epoch."""
    parent = tmp_path_factory.mktemp("runs")
    _, _, before, _ = trained(
        (parent / "whole", {}, {}),
        (parent / "wanted", CONSTANT, TWO),
        (parent / "longer", CONSTANT, ONE),
        (parent / "longer", CONSTANT, TWO),
    )
    (parent / "before.json").write_text(json.dumps(before))
    return parent


@pytest.fixture(scope="module")
def whole(parent):
    return parent / "whole"


@pytest.mark.slow
def test_folder(whole):
    content = json.loads((whole / "run.json").read_text())
    assert content["arguments"]["options"]["input_shape"] == [32, 32, 3]
    assert content["arguments"]["seed"] == 0
    assert content["packages"]["tensorflow"] == tf.__version__
    assert 0 <= content["results"]["accuracy"] <= 1
    assert 0 < content["results"]["hours"] < 1
    assert "cores of" in content["hardware"]
    assert epochs_of(whole) == [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]
    assert (whole / "history.png").read_bytes().startswith(b"\x89PNG")
    assert list(whole.glob("logs/step2/validation/*"))
    assert list(whole.glob("logs/step2/insight/*"))
    assert not list(whole.glob("checkpoint/*"))


@pytest.mark.usefixtures("few_digits")
def test_loaded_model_gives_the_result_of_the_run(whole):
    model = load_model(whole)
    model.compile(metrics=["accuracy"])
    images, labels = lr.zoo.datasets.load("digits").test_arrays()
    accuracy = np.mean(model.predict(images, verbose=0).argmax(-1) == labels)
    assert accuracy == pytest.approx(Run(whole).read()["results"]["accuracy"])
    twin = lr.zoo.create("bnn_plus_alexnet", input_shape=(32, 32, 3), width=0.05)
    lr.load_packed(twin, Run(whole).packed)
    np.testing.assert_array_equal(twin(images[:8]), model(images[:8]))


def test_finished_run_is_not_trained_again(whole):
    before = (whole / "weights.h5").read_bytes()
    train(whole)
    assert (whole / "weights.h5").read_bytes() == before


@pytest.mark.slow
def test_finished_run_says_so(whole, capsys):
    lr.training.train(two_step("bnn_plus_alexnet", **VALUES), whole)
    assert f"{whole} is already finished: there is nothing to train." in capsys.readouterr().out


@pytest.mark.slow
def test_longer(parent):
    """A run that gets one more epoch is the run that had it from the beginning."""
    longer, wanted = Run(parent / "longer"), Run(parent / "wanted")
    for found, expected in zip(weights_of(longer.folder), weights_of(wanted.folder), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert epochs_of(longer.folder) == [(1, 0), (1, 1)]
    content = longer.read()
    assert content["arguments"]["steps"][0]["epochs"] == 2
    assert content["results"]["accuracy"] == wanted.read()["results"]["accuracy"]
    assert content["results"] != json.loads((parent / "before.json").read_text())
    with pytest.raises(ValueError, match=r"step1\.epochs \(2, not 1\): only the last step"):
        train(longer.folder, CONSTANT, **ONE)


def test_not_longer(whole):
    before = (whole / "weights.h5").read_bytes(), (whole / "run.json").read_bytes()
    with pytest.raises(ValueError, match=r"another step2\.epochs \(3, not 4\): its learning"):
        train(whole, epochs=4)
    with pytest.raises(ValueError, match=r"another step1\.epochs \(2, not 3\): only the last st"):
        train(whole, step1_epochs=3)
    assert before == ((whole / "weights.h5").read_bytes(), (whole / "run.json").read_bytes())


def test_run_of_an_earlier_version(whole):
    """It has fewer values. What it does not have is as it was then."""
    content = json.loads((whole / "run.json").read_text())
    arguments = json.loads(json.dumps(content["arguments"]))
    for name in ("weights", "freeze_until", "normalization", *AUGMENTATIONS):
        del content["arguments"][name]
    for step in content["arguments"]["steps"]:
        del step["nesterov"], step["decay_classifier"], step["label_smoothing"]
    assert continued(Run(whole), content, arguments) is content
    arguments["steps"][1]["decay_classifier"] = False
    with pytest.raises(ValueError, match=r"another step2\.decay_classifier"):
        continued(Run(whole), content, arguments)
    arguments["mixup"] = 0.2
    with pytest.raises(ValueError, match=r"another mixup \(0\.0, not 0\.2\)"):
        continued(Run(whole), content, arguments)


@pytest.mark.slow
def test_every_value_reaches_a_run_and_its_folder(tmp_path, monkeypatch):
    """From the command line on: `--seed`, SGD with Nesterov, the augmentations."""
    optimizers = []

    def kept(model, *arguments):
        optimizers.append(compiled(model, *arguments).optimizer)
        return model

    monkeypatch.setattr("larq_reactnet.training.loop.compiled", kept)
    steps = {"optimizer": "sgd", "nesterov": "true", "label_smoothing": 0.1, "schedule": "tenths"}
    values = {f"step1.{name}": value for name, value in steps.items()} | AUGMENTATIONS
    values |= {"width": 0.05, "holdout": 1300}
    settings = [f"{name}={value}" for name, value in values.items()]
    command = ["train", "bnn_plus_alexnet", str(tmp_path / "run"), "--image-size", "16"]
    command += ["--step1-epochs", "0", "--batch-size", "64", "--seed", "7"]
    command += [word for setting in settings for word in ("--set", setting)]
    result = CliRunner().invoke(main, [*command, "--epochs", "1"])
    assert result.exit_code == 0, result.output
    arguments = Run(tmp_path / "run").read()["arguments"]
    assert arguments["seed"] == 7
    assert {name: arguments[name] for name in AUGMENTATIONS} == AUGMENTATIONS | {"flip": True}
    assert arguments["steps"][0].items() >= (steps | {"nesterov": True}).items()
    (optimizer,) = optimizers
    assert isinstance(optimizer, tf.keras.optimizers.SGD)
    assert optimizer.get_config().items() >= {"momentum": 0.9, "nesterov": True}.items()


@pytest.mark.slow
@pytest.mark.usefixtures("few_digits")
def test_weights_that_are_not_numbers_are_not_kept(tmp_path, monkeypatch):
    """The last good checkpoint is, from which the same command goes on."""
    folder = tmp_path / "run"

    def poison(epoch, logs):
        if epoch == 1:
            model = callback.model
            model.get_layer("bn3").gamma.assign(model.get_layer("bn3").gamma * np.nan)

    callback = tf.keras.callbacks.LambdaCallback(on_epoch_end=poison)
    values = {"step1_epochs": 0, "epochs": 2, "batch_size": 128}
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "insights", lambda *arguments: [callback])
        message = r"in step 1, epoch 2: .*gamma has values .*The checkpoint after epoch 1 is kept"
        with pytest.raises(ValueError, match=message):
            train(folder, **values)
    assert not Run(folder).weights.exists()
    train(folder, **values)
    assert epochs_of(folder) == [(1, 0), (1, 1)]
    assert all(np.isfinite(weight).all() for weight in weights_of(folder))
    # The first epoch was trained without a look.
    assert [record["epoch"] for record in records.read(Run(folder).insight)] == [1]


# From weights.


@pytest.mark.slow
@pytest.mark.usefixtures("few_digits")
def test_from_the_weights_of_a_run(whole, tmp_path, capsys):
    """With a frozen part, which is as it was, also after training; the width is that of the run."""
    recipe = two_step("bnn_plus_alexnet", batch_size=64, epochs=1, weights=str(whole))
    assert len(recipe.steps) == 1
    recipe = recipe.with_values({"freeze_until": "bn3"})
    model = lr.training.train(recipe, tmp_path / "tuned", verbose=0)
    before = Run(whole).load_model()
    names = [layer.name for layer in model.layers if layer.weights]
    for name in names:
        old, new = (m.get_layer(name).get_weights() for m in (before, model))
        same = all(map(np.array_equal, old, new))
        assert same == (names.index(name) <= names.index("bn3")), name
    arguments = Run(tmp_path / "tuned").read()["arguments"]
    assert arguments["options"]["width"] == 0.05
    assert (arguments["weights"], arguments["image_size"]) == (str(whole), 32)
    assert load_model(tmp_path / "tuned", include_top=False).output_shape == (None, 4, 4, 16)
    (line,) = capsys.readouterr().err.splitlines()
    assert "without their head" in line
    lr.training.train(recipe, tmp_path / "tuned", verbose=0)  # it is finished


def test_normalization_is_that_of_the_weights(tmp_path):
    """The weights in the package know images that are normalized as CIFAR-10 is."""
    recipe = two_step("bnn_plus_dorefanet", weights="cifar10", epochs=1, batch_size=512)
    recipe = with_defaults(recipe.with_values({"freeze_until": "bn6"}))
    assert (recipe.normalization, recipe.image_size) == ("cifar10", 32)
    recipe = with_defaults(two_step("quicknet", weights="imagenet"))
    assert (recipe.normalization, recipe.image_size) == ("imagenet2012", 224)
    recipe = with_defaults(two_step("reactnet_a", weights="cifar10", dataset="cifar10"))
    assert (recipe.normalization, recipe.options) == (None, {"width": 0.25, "stem_strides": 1})


def test_refusals_of_fine_tuning(whole, tmp_path):
    for values, match in (
        ({"freeze_until": "bn33"}, r"bnn_plus_alexnet has no layer 'bn33': .*Did you mean 'bn3'"),
        ({"freeze_until": "output"}, "there is nothing to train"),
        ({"weights": "cifar"}, "`weights` must be None, the path of a file or a name"),
        ({"weights": str(tmp_path)}, "is not the folder of a run"),
    ):
        with pytest.raises(ValueError, match=match):
            train(tmp_path / "run", **values)
    assert not (tmp_path / "run").exists()


def test_load_model_takes_arguments_of_runs_only(whole, tmp_path):
    binary_model().save(tmp_path / "model.h5")
    with pytest.raises(ValueError, match="not the folder of a run: num_classes is for those"):
        load_model(tmp_path / "model.h5", num_classes=3)
    with pytest.raises(FileNotFoundError, match="Did you mean the weights 'bnn_plus_dorefanet_c"):
        load_model("bnn_plus_dorefanet_cifar10_shrt")


def test_refusals(whole, tmp_path):
    with pytest.raises(ValueError, match=r"another step1\.learning_rate \(0\.002, not 1\.0\)"):
        train(whole, learning_rate=1.0)
    with pytest.raises(ValueError, match=r"another width \(0\.05, not 0\.1\)"):
        train(whole, options={"width": 0.1})
    with pytest.raises(ValueError, match="holds a run with another batch_size"):
        train(whole, batch_size=2)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is not the folder of a run"):
        train(tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"Cannot make .*b: there is no folder .*a\. Make it"
    ):
        train(tmp_path / "a" / "b")
    for wrong in ({"epochs": 0}, {"learning_rate": float("nan")}, {"step1_epochs": -1}):
        with pytest.raises(ValueError, match=r"Cannot train|learning_rate"):
            train(tmp_path / "run", **wrong)
    with pytest.raises(ValueError, match="`num_classes` cannot be set"):
        train(tmp_path / "run", options={"num_classes": 3})
    with pytest.raises(ValueError, match="is for a recipe with a teacher"):
        train(tmp_path / "run", label_loss_weight=0.5)
    smoothed = {"teacher": "resnet18_cifar10", "step2.label_smoothing": 0.1}
    with pytest.raises(ValueError, match=r"`step2.label_smoothing` is 0.1, but nothing is learned"):
        train(tmp_path / "run", smoothed)
    with pytest.raises(ValueError, match="`mixup` must be a number from 0 on, got -1"):
        train(tmp_path / "run", {"mixup": -1})
    with pytest.raises(ValueError, match="No model is called 'x'"):
        lr.training.train(two_step("x"), tmp_path / "run")
    with pytest.raises(ValueError, match="No recipe is called 'x'"):
        lr.training.train("x", tmp_path / "run")
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_that_was_left_before_run_json(tmp_path, monkeypatch):
    """Of a full disk, or of a process that was killed then: the same command goes on."""
    folder, strategy = tmp_path / "run", tf.distribute.get_strategy()
    with monkeypatch.context() as context:
        context.setattr(Run, "write", Mock(side_effect=OSError("No space left")))
        with pytest.raises(OSError, match="No space left"):
            opening.opened(folder, {}, [], strategy).__enter__()
    (folder / ".run.abc.json").write_text("{")
    assert sorted(os.listdir(folder)) == [".lock", ".run.abc.json"]
    with opening.opened(folder, {}, ["a"], strategy) as (run, content):
        assert run.exists()
        assert content["class_names"] == ["a"]
    assert sorted(os.listdir(folder)) == [".lock", "run.json"]


def test_read_only_folders(tmp_path, monkeypatch):
    """Root may write everywhere, so only the answer of the system is that of such a folder."""
    folder, strategy = tmp_path / "run", tf.distribute.get_strategy()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match=rf"Cannot write {folder}: {tmp_path} is read-only"):
        opening.opened(folder, {}, [], strategy).__enter__()
    assert not folder.exists()
    folder.mkdir()
    with pytest.raises(PermissionError, match=rf"{folder}/\.lock: {folder} is read-only"):
        opening.opened(folder, {}, [], strategy).__enter__()
    assert os.listdir(folder) == []


def test_corrupt_folder(whole, tmp_path):
    (tmp_path / "run.json").write_text('{"arguments": 3')
    with pytest.raises(ValueError, match=r"run[.]json is corrupt"):
        load_model(tmp_path)
    (tmp_path / "run.json").write_bytes((whole / "run.json").read_bytes())
    (tmp_path / "weights.h5").write_bytes((whole / "weights.h5").read_bytes()[:5000])
    with pytest.raises(ValueError, match="does not hold the weights of bnn_plus_alexnet"):
        load_model(tmp_path)
