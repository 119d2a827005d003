"""The command `check`."""

import json
from typing import TYPE_CHECKING

from larq_reactnet_cli._common import Settings, user_errors
from larq_reactnet_cli._what import model_options, network

import click

if TYPE_CHECKING:
    from larq_reactnet.converters import Finding

__all__ = ["check"]


@click.command()
@click.argument("model")
@model_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.pass_context
@user_errors
def check(
    ctx: click.Context, model: str, options: Settings, weights: str | None, as_json: bool
) -> None:
    """List what LCE would leave in float or get wrong in MODEL, without converting it.

    MODEL is a name, the folder of a run, or what Keras saved. The last column says who applies the
    cure. "export": `larq-reactnet export` does. "you": it refuses the model until you have done it.
    "-": the result is right as it is, and could be cheaper. The exit code is 1 if something is left
    for you to do.

    \b
    Examples:
      larq-reactnet check reactnet_a
      larq-reactnet check model.h5
      larq-reactnet check run --json
    """
    import larq_reactnet as lr

    findings = lr.converters.check(network(model, options, weights))
    if as_json:
        click.echo(json.dumps([finding.as_dict() for finding in findings], indent=1))
    else:
        _print(findings)
    if any(finding.blocks for finding in findings):
        ctx.exit(1)


def _print(findings: "list[Finding]") -> None:
    from tabulate import tabulate

    table = [
        {
            "layer": finding.layer,
            "kind": finding.kind,
            "what would happen": finding.problem,
            "cure": finding.cure,
            "by": "export" if finding.applied else "you" if finding.blocks else "-",
        }
        for finding in findings
    ]
    if table:
        widths = [24, None, 40, 40, None]
        click.echo(tabulate(table, headers="keys", tablefmt="simple_grid", maxcolwidths=widths))
    cured = sum(finding.applied for finding in findings)
    left = sum(finding.blocks for finding in findings)
    if cured + left:
        click.echo(f"{cured} cured by export, {left} left to you.")
    else:
        click.echo("Nothing that LCE would get wrong or leave in float.")
