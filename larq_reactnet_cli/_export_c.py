"""What `export --target c` does: the network as C source for microcontrollers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from larq_reactnet.zoo.datasets import Dataset

    import tensorflow as tf

__all__ = ["is_tflite", "refuse_for_tflite", "write_c"]

# Options that say how a model is read, or made a .tflite.
_OF_MODELS = (
    "options",
    "weights",
    "imports",
    "allow_float",
    "storage",
    "task",
    "input_shape",
    "thorough",
    "no_metadata",
)


def is_tflite(what: str) -> bool:
    """Whether WHAT is a `.tflite`."""
    path = Path(what)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(8)[4:] == b"TFL3"


def refuse_for_tflite(what: str, target: str) -> None:
    """Raise a UsageError if the command of a `.tflite` WHAT has options that are for models."""
    if target != "c":
        raise click.UsageError(f"{what} is a .tflite already; --target c writes C source of it.")
    context = click.get_current_context()
    given = [
        option.opts[0]
        for option in context.command.params
        if option.name in _OF_MODELS
        and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{what} is a .tflite; {', '.join(given)} are for models.")


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
