"""The command `larq-reactnet`: every command is one library call.

It is a package of its own, and its modules import the library inside of functions only, so that
`--help`, `models` and wrong options do not wait for TensorFlow.
"""

from larq_reactnet_cli._benchmark import benchmark
from larq_reactnet_cli._binarize import binarize
from larq_reactnet_cli._check import check
from larq_reactnet_cli._data import data
from larq_reactnet_cli._export import export
from larq_reactnet_cli._inspect import inspect
from larq_reactnet_cli._models import import_torch, models, ops, summary
from larq_reactnet_cli._predict import predict
from larq_reactnet_cli._pull import pull
from larq_reactnet_cli._report import report
from larq_reactnet_cli._sensitivity import sensitivity
from larq_reactnet_cli._training import evaluate, recipes, train

import click

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="larq-reactnet")
def main() -> None:
    """Binary neural networks for Keras: train them, and export them to one-bit .tflite files.

    Commands are given what they work on, then what they write, then options.

    \b
    Examples:
      larq-reactnet models
      larq-reactnet data digits
      larq-reactnet train reactnet_a run --set width=0.25 --set stem_strides=1
      larq-reactnet evaluate run
      larq-reactnet report run
      larq-reactnet export run model.tflite
      larq-reactnet predict model.tflite photo.jpg
      larq-reactnet benchmark model.tflite
    """


COMMANDS = (
    data,
    train,
    recipes,
    evaluate,
    report,
    sensitivity,
    binarize,
    check,
    export,
    inspect,
    predict,
    benchmark,
    import_torch,
    summary,
    ops,
    models,
    pull,
)
for command in COMMANDS:
    main.add_command(command)
