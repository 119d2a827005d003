"""The command `benchmark`."""

import json
from pathlib import Path
from typing import Any

from larq_reactnet_cli._common import engine_option, size_option, user_errors

import click

__all__ = ["benchmark"]


class Counts(click.ParamType):
    """A number above zero, or several with commas between them."""

    name = "number,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        try:
            counts = tuple(int(number) for number in str(value).split(","))
        except ValueError:
            counts = ()
        if not counts or min(counts) < 1:
            self.fail(f"{value!r} is not a number above zero, or several with commas.", param, ctx)
        return counts


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--threads", type=Counts(), default="1", show_default=True, help="One number, or several."
)
@click.option(
    "--runs",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    help="Runs of each engine that count.",
)
@size_option
@engine_option("What is timed; auto: all that are installed.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@user_errors
def benchmark(
    model: Path,
    threads: tuple[int, ...],
    runs: int,
    size: tuple[int, ...] | None,
    engine: str,
    as_json: bool,
) -> None:
    """Print how long the .tflite MODEL takes for one input, in each engine that is installed.

    The engines are Larq Compute Engine's interpreter (LCE), which is timed with XNNPACK too, and
    larq-reactnet-runtime. They take turns, so that what else the machine does slows all of them.
    "x LCE" is how many times as fast an engine is as LCE with as many threads and its faster
    setting. Let nothing else run on the machine, above all with more than one thread.

    \b
    Examples:
      larq-reactnet benchmark model.tflite
      larq-reactnet benchmark model.tflite --threads 1,2 --runs 100
      larq-reactnet benchmark model.tflite --engine runtime --json
    """
    import larq_reactnet as lr

    found = lr.converters.benchmark(model, engine=engine, num_threads=threads, runs=runs, size=size)
    click.echo(json.dumps(found.as_dict(), indent=1) if as_json else found)
