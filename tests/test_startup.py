"""What the command says without TensorFlow, which takes seconds to import."""

import json
import subprocess
import sys

import larq_reactnet as lr
from larq_reactnet.converters.compressing import STORAGES
from larq_reactnet.converters.interpreter import ENGINES
from larq_reactnet.converters.rescaling import INPUT_TYPES
from larq_reactnet.converters.tasks import TASKS
from larq_reactnet.zoo import pretrained, sizes
from larq_reactnet.zoo.recipes._recipe import PRECISIONS
from larq_reactnet_cli import _common, _library, main

import pytest
from click.testing import CliRunner

# Runs a command in a new process, and prints its exit code and what of this was imported.
HEAVY = ("larq", "larq_reactnet", "numpy", "tensorflow", "tf_keras")
CODE = f"""
import sys
from larq_reactnet_cli import main
try:
    main(sys.argv[1:], "larq-reactnet")
except SystemExit as error:
    print([error.code, *(name for name in {HEAVY} if name in sys.modules)], file=sys.stderr)
"""
COMMANDS = [
    ([], 2),
    (["--help"], 0),
    (["--version"], 0),
    *(([name, "--help"], 0) for name in main.commands),
    (["models"], 0),
    (["models", "--json"], 0),
    (["recipes"], 0),
    (["export", "run"], 2),  # an argument is missing
    (["exprot", "run"], 2),  # there is no such command
]


@pytest.mark.parametrize(("arguments", "code"), COMMANDS, ids=lambda value: str(value))
def test_starts_without_tensorflow(arguments, code):
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments], capture_output=True, text=True, check=False
    )
    assert done.stderr.strip().splitlines()[-1] == f"[{code}]", done.stderr


def test_what_needs_tensorflow_imports_it():
    """So that the test above can fail."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, "recipes", "nothing"], capture_output=True, text=True
    )
    assert "'tensorflow'" in done.stderr


def test_table_of_models_is_that_of_the_library():
    rows = {row["model"]: row for row in _library.models()}
    assert list(rows) == lr.zoo.list_models()
    for name, row in rows.items():
        entry, size = lr.zoo.get(name), sizes.read()[name]
        assert (row["paper"], row["year"]) == (entry.paper, entry.year)
        assert (row["image"], row["parameters"]) == (size.image, size.parameters)
        assert (row["OPs"], row[".tflite"]) == (size.ops, size.tflite_bytes)
        weights = [row for row in pretrained.list_weights(name) if row.include_top]
        assert row["weights"] == {row.recipe or row.dataset: row.top1 for row in weights}
    assert json.loads(CliRunner().invoke(main, ["models", "--json"]).output) == [*rows.values()]


def test_list_of_recipes_is_that_of_the_library():
    texts = {name: lr.zoo.recipes.text_of(name) for name in lr.zoo.recipes.list_recipes()}
    assert _library.recipes() == {name: text.split("\n")[0] for name, text in texts.items()}


def test_choices_are_those_of_the_library():
    assert _common.ENGINES == ENGINES
    options = {option.name: option for option in main.commands["export"].params}
    choices = {n: tuple(options[n].type.choices) for n in ("task", "input_type", "storage")}
    assert choices["task"] == TASKS
    assert choices["input_type"] == INPUT_TYPES
    assert {*choices["storage"]} == {*STORAGES}
    options = {option.name: option for option in main.commands["train"].params}
    assert tuple(options["precision"].type.choices) == PRECISIONS
