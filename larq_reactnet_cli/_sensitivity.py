"""The command `sensitivity`."""

import json
from pathlib import Path
from typing import Any

from larq_reactnet_cli._common import (
    Settings,
    data_options,
    form_options,
    html_option,
    user_errors,
)
from larq_reactnet_cli._what import model_options, trained_and_data

import click

__all__ = ["sensitivity"]


@click.command()
@click.argument("what", metavar="MODEL")
@model_options
@data_options
@form_options
@click.option(
    "--batches",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Number of batches of 64 training images that each loss is taken on.",
)
@click.option(
    "--budget",
    type=click.FloatRange(min=0),
    metavar="OPS",
    help="Say which layers should stay real so that the binary network has at most so many OPs, "
    "BOPs / 64 + FLOPs.",
)
@html_option("Write the result as a page, too.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@user_errors
def sensitivity(
    what: str,
    options: Settings,
    weights: str | None,
    style: str,
    skip: tuple[str, ...],
    batches: int,
    budget: float | None,
    page: Path | None,
    as_json: bool,
    **where: Any,
) -> None:
    """Show what each layer of the trained real MODEL does to the loss when it becomes binary.

    MODEL is the name of a model with pretrained weights, the folder of a run, or what Keras saved.
    Each layer is made binary alone, and then all are but it. Nothing is trained: only the
    statistics of batch normalization are adapted. So the losses say which layers are hard, not how
    good the binary network will be.

    \b
    Examples:
      larq-reactnet sensitivity float_run
      larq-reactnet sensitivity float.h5 --dataset digits --batches 4 --html sensitivity.html
      larq-reactnet sensitivity float_run --style birealnet --budget 5e6 --json
    """
    import larq_reactnet as lr
    from larq_reactnet._files import check_writable, write_whole

    if page is not None:
        check_writable(page)
    model, data = trained_and_data(what, options, weights, where)
    found = lr.sensitivity(
        model, data.train, style, batches=batches, skip=skip, budget=budget, report=None
    )
    chosen = None if budget is None else found.skip(budget)
    if page is not None:
        write_whole(page, found.html())
    if as_json:
        more = {} if chosen is None else {"skip": chosen}
        click.echo(json.dumps({**found.as_dict(), **more}, indent=1))
        return
    click.echo(found)
    if chosen is not None:
        names = " ".join(f"--skip {name}" for name in chosen) or "nothing has to stay real"
        click.echo(f"Within {budget:,.0f} OPs: {names}")
