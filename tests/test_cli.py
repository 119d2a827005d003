"""The command line, from training to the evaluation of the `.tflite`."""

import json
import re

import larq_reactnet as lr
from larq_reactnet_cli import main

import pytest
import tensorflow as tf
from click.testing import CliRunner
from helpers import binary_model, few_digits


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    with few_digits():
        result = run(
            *("train", "bnn_plus_alexnet", "--set", "width=0.1", "--output", folder),
            *("--step1-epochs", 1, "--epochs", 2, "--batch-size", 16),
        )
    assert result.exit_code == 0, result.output
    return folder, result.output


@pytest.mark.slow
def test_train_says_what_it_does(trained):
    folder, output = trained
    assert "Step 1: 1 epochs" in output
    assert "kernels are now binary" in output
    assert re.search(r"Test accuracy \d+\.\d\d%", output)
    assert str(folder) in output


@pytest.mark.slow
@pytest.mark.usefixtures("few_digits")
def test_evaluate_export_evaluate(trained, tmp_path):
    folder, output = trained
    accuracy = re.search(r"Test accuracy [\d.]+%", output).group()
    result = run("evaluate", folder)
    assert result.exit_code == 0
    assert accuracy in result.output
    path = tmp_path / "model.tflite"
    result = run("export", folder, path, "--images", 50)
    assert result.exit_code == 0, result.output
    assert "6 of 6 are LceBconv2d" in result.output
    assert "of 50 given inputs" in result.output
    metadata = lr.converters.read_metadata(path.read_bytes())
    assert metadata.labels == tuple("0123456789")
    assert metadata.mean == metadata.std == (127.5, 127.5, 127.5)
    result = run("evaluate", path, "--dataset", "digits")
    assert re.search(r"Test accuracy [\d.]+% of 52 images", result.output)
    percents = [
        float(re.search(r"Test accuracy ([\d.]+)%", text).group(1))
        for text in (output, result.output)
    ]
    assert percents[0] == pytest.approx(percents[1], abs=2)  # one image


@pytest.mark.slow
@pytest.mark.usefixtures("few_digits")
def test_train_by_a_recipe(tmp_path):
    """The recipe gets other values. The run is tested on the images held out, and exported."""
    folder = tmp_path / "run"
    result = run(
        *("train", "--recipe", "bnn_plus_dorefanet_cifar10_short", "--output", folder),
        *("--dataset", "digits", "--epochs", 1, "--batch-size", 16, "--learning-rate", 0.01),
        *("--set", "width=0.25", "--set", "beta=null", "--set", "holdout=60", "--set", "seed=3"),
        *("--set", "step1.schedule=cosine"),
    )
    assert result.exit_code == 0, result.output
    assert "Step 1: 1 epochs of 145 images" in result.output
    assert "6 of 6 are LceBconv2d" in result.output
    assert "of 60 given inputs" in result.output
    arguments = json.loads((folder / "run.json").read_text())["arguments"]
    (step,) = arguments["steps"]
    assert (step["epochs"], step["learning_rate"], step["schedule"]) == (1, 0.01, "cosine")
    assert (arguments["batch_size"], arguments["seed"], arguments["holdout"]) == (16, 3, 60)
    wanted = {"width": 0.25, "beta": None, "regularizer": "r1"}
    assert arguments["options"].items() >= wanted.items()
    assert lr.converters.read_metadata((folder / "model.tflite").read_bytes()).labels
    accuracy = re.search(r"Test accuracy [\d.]+%", result.output).group()
    assert f"{accuracy} of 60 images" in run("evaluate", folder).output


def test_recipes():
    listing = run("recipes")
    assert re.search(r"^reactnet18_cifar10 +ReActNet-18 on CIFAR-10", listing.output, re.MULTILINE)
    one = run("recipes", "reactnet18_cifar10").output
    assert one.startswith("ReActNet-18 on CIFAR-10")
    values = json.loads(one[one.index("{\n") :])
    assert values["teacher"] == "resnet18_cifar10"
    assert len(values["steps"]) == 2


@pytest.mark.slow
def test_export_of_a_file_and_its_options(tmp_path):
    model, path = tmp_path / "model.h5", tmp_path / "model.tflite"
    inputs = tf.keras.layers.Input((8, 8, 3))
    outputs = tf.keras.layers.Dense(64)(binary_model()(inputs))
    tf.keras.Model(inputs, outputs).save(str(model))
    images = ("--dataset", "digits", "--image-size", 8, "--images", 20, "--no-metadata")
    result = run("export", model, path, *images, "--storage", "float16", "--thorough")
    assert result.exit_code == 0, result.output
    assert "float16: as asked for" in result.output
    assert "DEQUANTIZE 1" in result.output
    assert "1 binary convolutions equal; binary within" in result.output
    result = run("export", model, path, *images, "--storage", "int4")
    assert result.exit_code == 2
    assert "'int4' is not one of 'int8', 'float16', 'float32'" in result.output


@pytest.mark.parametrize(
    "command",
    [
        "",
        "train",
        "data",
        "recipes",
        "evaluate",
        "report",
        "export",
        "predict",
        "benchmark",
        "summary",
        "ops",
        "models",
        "pull",
        "import-torch",
    ],
)
def test_help_has_examples(command):
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output
    assert f"larq-reactnet {command}" in result.output


def test_models():
    output = run("models").output
    for name in lr.zoo.list_models():
        assert name in output
    assert re.search(r"quicknet +QuickNet.*imagenet: 63.3 %", output)
    rows = {row["model"]: row for row in json.loads(run("models", "--json").output)}
    assert rows.keys() == set(lr.zoo.list_models())
    assert rows["reactnet_a"]["OPs"] == 87_126_016
    assert rows["quicknet"]["weights"]["imagenet"] == 63.3


def test_ops():
    output = run("ops", "mobilenet_v1", "--set", "width=0.5").output
    assert re.search(r"OPs +149,\d{3},\d{3}", output)
    found = json.loads(run("ops", "reactnet_a", "--json").output)
    assert found == {
        "bops": 4_816_896_000,
        "flops": 11_862_016,
        "binary_weights": 28_253_184,
        "float_weights": 1_112_296,
        "ops": 87_126_016,
        "packed_bytes": 7_980_832,
    }


def test_summary(trained):
    for arguments in (
        ("bnn_plus_alexnet", "--set", "width=0.1"),
        (trained[0],),
    ):
        result = run("summary", *arguments)
        assert result.exit_code == 0, result.output
        assert "BOPs" in result.output
        assert "bytes packed" in result.output
        assert "Number of MACs" in result.output


def test_bad_input_is_one_line_and_no_traceback(trained, tmp_path):
    folder = trained[0]
    model = tmp_path / "model.h5"
    binary_model("ste_tern").save(str(model))
    (tmp_path / "bad.tflite").write_bytes(b"no model")
    out = tmp_path / "out.tflite"
    wrong = [
        (("train", "reactnet_z", "--output", tmp_path / "r"), "No model is called 'reactnet_z'"),
        (("train", "reactnet_a", "--output", tmp_path / "r", "--dataset", "x"), "No data set is"),
        (
            ("train", "reactnet_a", "--output", tmp_path / "r", "--set", "depth=3"),
            "'depth' is neither a value of a recipe nor an argument of reactnet_a",
        ),
        (
            ("train", "reactnet_a", "--output", tmp_path / "r", "--set", "num_classes=3"),
            "`num_classes` cannot be set",
        ),
        (("train", "reactnet_a", "--output", tmp_path / "r", "--set", "width=wide"), "got 'wide'"),
        (("train", "quicknet", "--output", tmp_path / "r"), "--step1-epochs 0"),
        (("ops", "quicknet", "--set", "width=2"), "has no argument 'width'"),
        (("evaluate", tmp_path / "missing"), "There is no file or folder"),
        (
            ("evaluate", tmp_path / "bad.tflite", "--dataset", "digits"),
            "not a TensorFlow Lite model",
        ),
        (("evaluate", tmp_path / "missing.tflite", "--dataset", "digits"), "There is no file"),
        (("evaluate", folder, "--image-size", "16"), "The model takes images of"),
        (("export", folder, tmp_path / "missing" / "out.tflite"), "there is no folder"),
        (("export", model, out, "--dataset", "digits", "--image-size", 8), "ternary"),
        (("summary", tmp_path), "is not the folder of a run"),
        (("summary", "reactnet_a", "--set", "width=Infinity"), "`width` must be a number"),
    ]
    for arguments, message in wrong:
        result = run(*arguments)
        assert result.exit_code == 1, (arguments, result.output)
        assert isinstance(result.exception, SystemExit), arguments
        assert message in result.output, arguments
        assert "Traceback" not in result.output
    assert not out.exists()
    assert not (tmp_path / "r").exists()


def test_wrong_usage():
    for arguments, message in (
        (("train", "reactnet_a"), "Missing argument 'OUTPUT'"),
        (("train", "reactnet_a", "r", "--output", "s"), "Give OUTPUT once"),
        (("train", "reactnet_a", "--output", "r", "--set", "width"), "NAME=VALUE"),
        (("train", "reactnet_a", "--output", "r", "--epochs", "0"), "not in the range"),
        (("train", "--output", "r"), "Give either WHAT or --recipe"),
        (("train", "reactnet_a", "--recipe", "x", "--output", "r"), "Give either WHAT"),
        (("train", "--recipe", "x", "--output", "r"), "No recipe is called 'x'"),
        (
            ("train", "--recipe", "resnet18_cifar10", "--output", "r", "--step1-epochs", "1"),
            "This recipe has one step",
        ),
        (("evaluate", "model.h5"), "There is no file|--dataset"),
        (("summary", "tests", "--set", "width=1"), "--set and --weights are for models"),
    ):
        result = run(*arguments)
        assert result.exit_code in (1, 2)
        assert re.search(message, result.output), result.output
        assert "Traceback" not in result.output


@pytest.mark.slow
def test_names_of_the_zoo_are_what_commands_take(tmp_path):
    """A model with weights, by name or in a file, and what is said of names that do not exist."""
    small = ("--set", "width=0.125", "--set", "num_classes=10", "--set", "input_shape=[32,32,3]")
    weights = tmp_path / "weights.h5"
    arguments = {"width": 0.125, "num_classes": 10, "input_shape": (32, 32, 3)}
    lr.zoo.create("bnn_plus_dorefanet", **arguments).save_weights(str(weights))
    given = ("bnn_plus_dorefanet", "--weights", weights, *small)
    digits = ("--dataset", "digits", "--limit", 20)
    assert "of 20 images" in run("evaluate", *given, *digits).output
    assert run("ops", *given).exit_code == 0
    for arguments, message in (
        (("evaluate", "quicknet"), "Say with --dataset which images quicknet is for"),
        (("evaluate", "reactnet_b"), "There are no pretrained weights for reactnet_b: train it"),
        (("evaluate", "quiknet"), "Did you mean 'quicknet'?"),
        (("export", "bnn_plus_dorefanet_cifar10_shrt", "x.tflite"), "_short'?"),
        (("check", "reactnet_z"), "No model, pretrained weights, file or folder is called"),
        (("ops", "quicknet", "--weights", "cifar10"), "there is 'imagenet'"),
        (("evaluate", "missing.h5"), "There is no file or folder missing.h5"),
    ):
        result = run(*arguments)
        assert result.exit_code in (1, 2)
        assert message in result.output, result.output


def test_training_takes_a_recipe_by_its_name(tmp_path):
    """And OUTPUT is the second argument, which is also what it is with --recipe."""
    path = tmp_path / "out"
    for arguments in (
        ("resnet18_cifar10", path, "--step1-epochs", "1"),
        ("--recipe", "resnet18_cifar10", path, "--step1-epochs", "1"),
    ):
        assert "This recipe has one step" in run("train", *arguments).output
    assert "No model is called 'reactnet_z'" in run("train", "reactnet_z", path).output
    assert "Missing argument 'OUTPUT'" in run("import-torch", "x", "--model", "y").output
    assert not path.exists()


def test_data_of_a_model_file_must_be_said(tmp_path):
    binary_model().save(str(tmp_path / "model.h5"))
    result = run("evaluate", tmp_path / "model.h5")
    assert result.exit_code == 2
    assert "Say with --dataset" in result.output
