"""The command `larq-reactnet`: every command is one library call."""

import larq_reactnet as lr
from larq_reactnet.cli._benchmark import benchmark
from larq_reactnet.cli._check import check
from larq_reactnet.cli._export import export
from larq_reactnet.cli._inspect import inspect
from larq_reactnet.cli._models import import_torch, models, ops, summary
from larq_reactnet.cli._predict import predict
from larq_reactnet.cli._pull import pull
from larq_reactnet.cli._training import evaluate, recipes, train

import click

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(lr.__version__)
def main() -> None:
    """Binary neural networks for Keras: train them, and export them to one-bit .tflite files.

    \b
    Examples:
      larq-reactnet models
      larq-reactnet train reactnet_a --set width=0.25 --set stem_strides=1 --output run
      larq-reactnet evaluate run
      larq-reactnet export run model.tflite
      larq-reactnet predict model.tflite photo.jpg
      larq-reactnet benchmark model.tflite
    """


COMMANDS = (
    train,
    recipes,
    evaluate,
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
