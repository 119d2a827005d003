"""The command `inspect`."""

import json
from pathlib import Path

from larq_reactnet_cli._common import html_option, user_errors

import click

__all__ = ["inspect"]


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@html_option("Write a page for the browser, in place of the table. It goes together with --json.")
@user_errors
def inspect(path: Path, as_json: bool, page: Path | None) -> None:
    """What is in PATH, a .tflite file: operators, bytes by kind, what is binary and what is not.

    For each convolution and dense layer that is not binary, it says why.

    \b
    Examples:
      larq-reactnet inspect model.tflite
      larq-reactnet inspect model.tflite --html model.html
      larq-reactnet inspect model.tflite --html model.html --json > model.json
    """
    import larq_reactnet as lr
    from larq_reactnet._files import write_whole

    found = lr.converters.inspect(path)
    if page is not None:
        from larq_reactnet.converters.inspection_page import html

        if page.exists() and page.samefile(path):
            raise click.UsageError("--html must be another file than the .tflite.")
        text = html(found, path.name)
        write_whole(page, text)
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=1))
    else:
        click.echo(found if page is None else f"The page is in {page}.")
