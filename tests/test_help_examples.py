"""Every example of a help text is run, or is marked here with the reason why it is not."""

import re
import shlex

import larq_reactnet as lr
from larq_reactnet_cli import main

import numpy as np
import pytest
from doc_runs import run_command
from helpers import few_digits, some
from PIL import Image

# Beginnings of examples that are not run, and why.
NOT_RUN = {
    "larq-reactnet evaluate quicknet": "it downloads weights, and needs ImageNet",
    "larq-reactnet export quicknet": "it downloads weights",
    "larq-reactnet evaluate bnn_plus_dorefanet_cifar10_short": "it needs CIFAR-10: "
    "tests/test_shipped.py runs it where DATA_DIR has it",
    "larq-reactnet export bnn_plus_dorefanet_cifar10_short": "likewise",
    "larq-reactnet pull quicknet": "it downloads weights: tests of pull have a server of their own",
    "larq-reactnet import-torch": "the official checkpoints cannot be had here: "
    "tests/test_torch_checkpoint.py runs the command with others of the same form",
    "larq-reactnet data imagenet2012": "it needs ImageNet: tests/test_large_data.py has another",
    "larq-reactnet train bnn_plus_dorefanet tuned": "tests/test_docs_blocks.py runs it for the "
    "page on fine-tuning",
    "larq-reactnet train bnn_plus_dorefanet_cifar10": "it trains for hours: "
    "tests/test_cli.py runs another recipe",
}
# What is replaced, so that an example takes seconds and needs no data set.
SHORTER = {
    "train reactnet_a on_all_gpus --set width=0.25 --set stem_strides=1": "train "
    "bnn_plus_vgg_small on_all_gpus --set width=0.05 --step1-epochs 0 --epochs 1",
    "--set width=0.25 --set stem_strides=1": "--set width=0.05 --step1-epochs 1 --epochs 1",
    "--dataset cifar10 --step1-epochs 0 --epochs 50": "--step1-epochs 0 --epochs 1 --set width=0.1",
    "--dataset cifar10 --data-dir ~/tensorflow_datasets": "--dataset digits",
    "--dataset cifar10 --images 10000": "--dataset digits --images 50",
    "--runs 100": "--runs 2",
    "binarize mobilenet_v1 --set width=0.25": "binarize vgg_small --set width=0.1",
    "binarize mobilenet_v1 --output": "binarize mobilenet_v1 --set width=0.25 --output",
    "--set style=birealnet": "--set style=birealnet --step1-epochs 1 --epochs 1",
    "sensitivity float": "sensitivity --batches 1 --skip conv3 --skip conv4 float",
    "run other_run": "run run",
    " > model.json": "",
    "train reactnet_a run": "train bnn_plus_alexnet other_run --image-size 16",
}


def examples():
    """The commands under "Examples:" in all help texts, each once."""
    texts = [main.help, *(command.help for command in main.commands.values())]
    found = []
    for text in texts:
        lines = text.partition("Examples:")[2].replace("\\\n", " ").splitlines()
        found += [" ".join(line.split()) for line in lines if line.strip()]
    return [*dict.fromkeys(found)]


def shortened(example):
    for old, new in SHORTER.items():
        example = example.replace(old, new)
    return example


RUN = [example for example in examples() if not example.startswith(tuple(NOT_RUN))]


# The first of each command that is run: options that the others have are parsed by another test.
FIRST = {example.split()[1]: example for example in reversed(RUN)}


def test_every_command_has_examples_and_no_mark_is_left_over():
    found = examples()
    for name in main.commands:
        assert any(example.startswith(f"larq-reactnet {name}") for example in found), name
    for mark in NOT_RUN:
        assert any(example.startswith(mark) for example in found), mark
    for text in SHORTER:
        assert any(text in example for example in RUN), text


@pytest.mark.parametrize("example", examples())
def test_example_is_understood(example):
    """Names, options and their values; also of those that are not run."""
    _, name, *arguments = shlex.split(re.sub(r" > \S+$", "", example))
    main.commands[name].make_context(name, arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the examples are about: a trained run, its model in two formats, and a photo."""
    folder = tmp_path_factory.mktemp("examples")
    for example in (
        "train bnn_plus_vgg_small --set width=0.1 --step1-epochs 0 --epochs 2 --output run",
        "export run model.tflite",
        "train vgg_small float_run --set width=0.1 --step1-epochs 0 --epochs 1",
    ):
        with few_digits():
            run_command(["larq-reactnet", *example.split()], folder)
    (folder / "other.tflite").write_bytes((folder / "model.tflite").read_bytes())
    for run, file in (("run", "model.h5"), ("float_run", "float.h5")):
        lr.training.load_model(folder / run).save(folder / file)
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "photo.jpg")
    for name in ("photos/train/cat", "photos/train/dog", "photos/test/cat", "photos/test/dog"):
        (folder / name).mkdir(parents=True)
        Image.fromarray(pixels).save(folder / name / "1.jpg")
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("few_digits")
@pytest.mark.parametrize("example", some(RUN, *FIRST.values()))
def test_example_runs(example, folder):
    if "runtime" in example:
        pytest.importorskip("larq_reactnet_runtime")
    run_command(shlex.split(shortened(example)), folder)
