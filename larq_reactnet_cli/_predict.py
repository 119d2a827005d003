"""The command `predict`."""

from pathlib import Path
from typing import Any

from larq_reactnet_cli._common import engine_option, size_option, user_errors

import click

__all__ = ["predict"]


class Numbers(click.ParamType):
    """A number, or several with commas between them."""

    name = "number,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        try:
            return tuple(float(number) for number in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a number, or several with commas.", param, ctx)


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("photos", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Number of classes to print.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--mean",
    type=Numbers(),
    help="Inputs are (pixel - MEAN) / STD, with pixels from 0 to 255. By default what the file "
    "says.",
)
@click.option("--std", type=Numbers(), help="See --mean.")
@size_option
@engine_option("What runs MODEL; auto: the runtime if it is installed and can, else LCE.")
@user_errors
def predict(
    model: Path,
    photos: tuple[Path, ...],
    top: int,
    as_json: bool,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    size: tuple[int, ...] | None,
    engine: str,
) -> None:
    """Print what the .tflite MODEL sees in PHOTOS, the most probable classes first.

    Labels, normalization and the crop are those in the file, where `larq-reactnet export` put them.
    A photo that cannot be read is named, and does not hide the others; the exit code is then 1.

    \b
    Examples:
      larq-reactnet predict model.tflite photo.jpg
      larq-reactnet predict other.tflite photo.jpg --mean 123.7,116.3,103.5 --std 58.4,57.1,57.4
    """
    from larq_reactnet._shared.answers import print_answers
    from larq_reactnet.converters.predicting import classifier

    if model.is_dir():
        raise click.UsageError(
            f"{model} is a folder: give a .tflite file, such as `larq-reactnet export` makes."
        )
    how: dict[str, Any] = {"mean": mean or (), "std": std or (), "size": size, "engine": engine}
    with classifier(model, top=top, **how) as classify:
        succeeded = print_answers(
            classify,
            [str(photo) for photo in photos],
            as_json=as_json,
            complain=lambda text: click.echo(f"Error: {text}", err=True),
        )
    if not succeeded:
        raise click.exceptions.Exit(1)
