"""The command `binarize`."""

import json
from pathlib import Path

from larq_reactnet_cli._common import (
    Settings,
    form_options,
    html_option,
    output_argument,
    required,
    user_errors,
)
from larq_reactnet_cli._what import model_options, network

import click

__all__ = ["binarize"]


@click.command()
@click.argument("model")
@output_argument("What is written: a .h5 or .keras file.")
@model_options
@form_options
@click.option(
    "--shortcuts/--no-shortcuts",
    default=None,
    help="Whether convolutions get shortcuts without parameters. By default as the style has it.",
)
@click.option(
    "--step",
    type=click.IntRange(1, 2),
    default=2,
    show_default=True,
    help="1: binary activations and real weights, for two-step training. 2: both binary.",
)
@html_option("Write the report as a page, too.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@user_errors
def binarize(
    model: str,
    output: Path | None,
    options: Settings,
    weights: str | None,
    style: str,
    skip: tuple[str, ...],
    shortcuts: bool | None,
    step: int,
    page: Path | None,
    as_json: bool,
) -> None:
    """Make a binary network of the real MODEL, to be trained, and write it to OUTPUT.

    MODEL is a name, the folder of a run, or what Keras saved. Weights are carried over where they
    fit. The table says what became of each layer, and why. To train the result, load it with
    `tf.keras.models.load_model` after `import larq_reactnet`.

    \b
    Examples:
      larq-reactnet binarize mobilenet_v1 --set width=0.25 --output binary.h5 --html report.html
      larq-reactnet binarize resnet18 --set width=0.125 --output binary.h5 --style birealnet
      larq-reactnet binarize mobilenet_v1 --output step1.h5 --step 1 --skip conv_pw_13
    """
    import larq_reactnet as lr
    from larq_reactnet._files import check_writable, replacing, write_whole
    from larq_reactnet.binarizing import Binarization

    path = required(output)
    if path.suffix not in (".h5", ".keras"):
        raise click.UsageError(f"OUTPUT must be a .h5 or .keras file, got {path}.")
    if path.resolve() == Path(model).resolve():
        raise click.UsageError(f"OUTPUT is MODEL, the real network {path}: give another file.")
    for output_path in filter(None, (path, page)):
        check_writable(output_path)
    reports: list[Binarization] = []
    binary = lr.binarize_model(
        network(model, options, weights),
        style,
        skip=skip,
        shortcuts=shortcuts,
        binary_weights=step == 2,
        report=reports.append,
    )
    with replacing(path) as new:
        binary.save(new)
    if page is not None:
        write_whole(page, reports[0].html())
    click.echo(json.dumps(reports[0].as_dict(), indent=1) if as_json else reports[0])
