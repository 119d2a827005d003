"""What `export --target c` does: the network as C source for microcontrollers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from larq_reactnet.zoo.datasets import Dataset

    import tensorflow as tf

__all__ = ["is_tflite", "write_c"]


def is_tflite(what: str) -> bool:
    """Whether WHAT is a `.tflite`."""
    path = Path(what)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(8)[4:] == b"TFL3"


def write_c(
    model: "tf.keras.Model | Path",
    output: Path,
    data: "Dataset | None",
    *,
    name: str,
    arithmetic: str,
    flash: int | None,
    ram: int | None,
    verify: bool,
    page: Path | None,
    **options: Any,
) -> None:
    """Write the folder, and the page if it is wanted, and print the report."""
    import larq_reactnet as lr
    from larq_reactnet._files import check_writable, write_whole

    if page is not None:
        check_writable(page)
    report: lr.converters.CReport = lr.converters.export_c(
        model,
        output,
        name=name,
        arithmetic=arithmetic,
        verify_with=None if data is None else data.test,
        flash=flash,
        ram=ram,
        verify=verify,
        **options,
    )
    if page is not None:
        write_whole(page, report.html(ram))
    if not verify:
        click.echo(
            "Warning: with --no-verify the C was not compiled or run, so nobody knows whether it "
            "computes its .tflite. Run the command without it where there is a C compiler.",
            err=True,
        )
    click.echo(report)
