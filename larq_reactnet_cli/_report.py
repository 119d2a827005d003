"""The command `report`."""

from pathlib import Path
from typing import Any

from larq_reactnet_cli._common import dataset_of, user_errors

import click

__all__ = ["report"]


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The page. [default: report.html in the folder of the first RUN]",
)
@click.option("--data-dir", help="Where tensorflow-datasets keeps its data.")
@click.option(
    "--limit", type=click.IntRange(min=0), help="Use only the first LIMIT test images, 0 for none."
)
@user_errors
def report(
    runs: tuple[Path, ...], output: Path | None, data_dir: str | None, limit: int | None
) -> None:
    """Write a page for the browser about the training in RUN, or about several side by side.

    RUN is a folder that `larq-reactnet train` has made. The page has the curves of both steps, what
    the binary layers did and what went wrong in them, the confusion matrix, the surest mistakes as
    pictures, operations and sizes. It is one file that loads nothing else.

    The matrix and the mistakes need the test images. They are left out, with the reason, where
    these are not to be had, or the training is not finished.

    \b
    Examples:
      larq-reactnet report run
      larq-reactnet report run other_run --output compared.html
      larq-reactnet report run --data-dir ~/tensorflow_datasets --limit 100
    """
    import larq_reactnet as lr

    where: dict[str, Any] = {"dataset": None, "data_dir": data_dir, "image_size": None}
    page = lr.training.report(
        runs,
        output,
        data=None if limit == 0 else lambda folder: dataset_of(str(folder), where),
        limit=limit,
    )
    click.echo(f"The page is in {page}.")
