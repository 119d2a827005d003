"""The command `pull`."""

from pathlib import Path
from typing import TYPE_CHECKING

from larq_reactnet_cli._common import user_errors

import click

if TYPE_CHECKING:
    from larq_reactnet.zoo import pretrained

__all__ = ["pull"]


@click.command()
@click.argument("name", required=False)
@click.option("--list", "as_list", is_flag=True, help="List all files, and which of them are here.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Put the files into FOLDER, to carry them to a machine without network.",
)
@user_errors
def pull(name: str | None, as_list: bool, output: Path | None) -> None:
    """Download the pretrained weights of the model NAME, and check them, ahead of time.

    They are kept in the cache of Keras, where networks find them. A machine without network takes
    them from a folder: set the environment variable LARQ_REACTNET_WEIGHTS to its path. It may also
    be the address of a mirror, a folder on a server with files of the same names.

    \b
    Examples:
      larq-reactnet pull --list
      larq-reactnet pull quicknet
      larq-reactnet pull quicknet --output weights
    """
    if (name is None) != as_list:
        raise click.UsageError("Give either NAME or --list.")
    from larq_reactnet.zoo import pretrained
    from larq_reactnet.zoo.registry import get

    if name is None:
        from tabulate import tabulate

        table = [
            (r.model, r.recipe or r.dataset, _top(r), r.place()) for r in pretrained.list_weights()
        ]
        click.echo(tabulate(table, headers=["model", "weights", "top", "where"]))
        return
    get(name)  # says what there is
    rows = pretrained.list_weights(name)
    if not rows:
        pretrained.find(name, "imagenet")  # says for which models there are weights
    for row in rows:
        click.echo(f"{row.recipe or row.dataset} ({_top(row)} top): {row.file(output)}")


def _top(row: "pretrained.Weights") -> str:
    return "with" if row.include_top else "without"
