"""What several commands share: options, error messages, and the data they name."""

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from larq_reactnet_cli._known import known_of

import click

if TYPE_CHECKING:
    from larq_reactnet.zoo.datasets import Dataset

__all__ = [
    "Setting",
    "Settings",
    "Sizes",
    "data_options",
    "dataset_of",
    "engine_option",
    "form_options",
    "html_option",
    "output_argument",
    "place_options",
    "required",
    "set_option",
    "size_option",
    "user_errors",
]

Command: TypeAlias = Callable[..., None]
ENGINES = ("auto", "lce", "runtime")  # those of larq_reactnet.converters
STYLES = ("reactnet", "birealnet", "bnn_plus", "plain")  # those of larq_reactnet.binarizing
Settings: TypeAlias = tuple[tuple[str, Any], ...]  # what `set_option` gives


def user_errors(command: Command) -> Command:
    """Turn what the library raises about bad input into one line and exit code 1."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except (ValueError, TypeError, OSError, ImportError) as error:
            raise click.ClickException(str(error)) from error
        except Exception as error:
            tensorflow = sys.modules.get("tensorflow")  # which is not imported to find out
            if tensorflow is None or not isinstance(error, tensorflow.errors.OpError):
                raise
            # Of data that cannot be read.
            raise click.ClickException(error.message.strip().split("\n")[0]) from error

    return wrapped


class Sizes(click.ParamType):
    """Whole numbers with commas between them, of a form such as `HEIGHT,WIDTH`."""

    name = "sizes"

    def __init__(self, form: str):
        self._form = form

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        try:
            return tuple(int(size) for size in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not of the form {self._form}.", param, ctx)


class Setting(click.ParamType):
    """NAME=VALUE, where VALUE is JSON or else a string."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        name, equals, text = str(value).partition("=")
        if not equals or not all(part.isidentifier() for part in name.split(".")):
            self.fail(f"{value!r} is not of the form NAME=VALUE.", param, ctx)
        try:
            return name, json.loads(text)
        except ValueError:
            return name, text


set_option = click.option(
    "--set",
    "options",
    type=Setting(),
    multiple=True,
    help="Argument of the model's constructor, such as width=0.25. May be repeated.",
)
_dataset = click.option(
    "--dataset",
    help="'digits', a name in tensorflow-datasets, or a folder with images in CLASS/, or in "
    "train/CLASS/ and test/CLASS/.",
)
_place = [
    click.option("--data-dir", help="Where tensorflow-datasets keeps its data."),
    click.option("--image-size", type=click.IntRange(min=1), help="Height and width of images."),
    click.option(
        "--strict",
        is_flag=True,
        help="Refuse a folder with images that cannot be read. By default they are named and left "
        "out.",
    ),
]


def place_options(command: Command) -> Command:
    """Where a data set is, and how its images are read."""
    return functools.reduce(lambda decorated, option: option(decorated), reversed(_place), command)


def data_options(command: Command) -> Command:
    """`place_options`, and which data set it is."""
    return _dataset(place_options(command))


def output_argument(text: str) -> Callable[[Command], Command]:
    """What a command writes, as the argument OUTPUT after the one that says what is given.

    `--output` means the same.
    """
    path = click.Path(path_type=Path)

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def wrapped(*args: Any, output: Path | None, option: Path | None, **kwargs: Any) -> None:
            if output is not None and option is not None:
                raise click.UsageError("Give OUTPUT once: as an argument, or as --output.")
            command(*args, output=output or option, **kwargs)

        argument = click.argument("output", type=path, required=False)
        return argument(click.option("--output", "option", type=path, help=text)(wrapped))

    return decorate


def required(output: Path | None) -> Path:
    """The path in OUTPUT, which must be there."""
    if output is None:
        raise click.UsageError("Missing argument 'OUTPUT'.")
    return output


def engine_option(text: str) -> Callable[[Command], Command]:
    return click.option(
        "--engine",
        type=click.Choice(ENGINES),
        default="auto",
        show_default=True,
        help=f"{text} lce: Larq Compute Engine's interpreter. runtime: larq-reactnet-runtime.",
    )


def form_options(command: Command) -> Command:
    """The form in which layers become binary, and those that do not."""
    style = click.option(
        "--style",
        type=click.Choice(STYLES),
        default="reactnet",
        show_default=True,
        help="Whose form the binary convolutions get.",
    )
    skip = click.option("--skip", multiple=True, help="Layer that stays real. May be repeated.")
    return style(skip(command))


def html_option(text: str) -> Callable[[Command], Command]:
    """The option of a page, whose path is given as `page`.

    Without a path, the page has the name of the command.
    """

    def named(context: click.Context, _: click.Parameter, page: Path | None) -> Path | None:
        return Path(f"{context.info_name}.html") if page == Path() else page

    return click.option(
        "--html",
        "page",
        type=click.Path(path_type=Path),
        metavar="[FILE]",
        is_flag=False,
        flag_value="",
        callback=named,
        help=f"{text} Without FILE it is called like the command.",
    )


def dataset_of(what: str, where: dict[str, Any]) -> "Dataset":
    """The data set that was asked for, or that the run or pretrained weights are for.

    Its images are prepared as those were that the network knows, and its classes are the same.
    """
    import larq_reactnet as lr

    known = known_of(what)
    name = where["dataset"] or known.dataset
    if name is None:
        raise click.UsageError(f"Say with --dataset which images {what} is for.")
    data = lr.zoo.datasets.load(
        name,
        image_size=where["image_size"] or known.image_size,
        data_dir=where["data_dir"] or known.data_dir,
        strict=bool(where.get("strict")),
        # Which images are tested is a question of the data set that the network was trained on.
        holdout=0 if where["dataset"] else known.holdout,
        **known.preparation,
    )
    known.check_classes(what, data)
    return data


def size_option(command: Command) -> Command:
    """The option `--size`, of files that take images of any size."""
    text = "Of a file that takes images of any size: the HEIGHT,WIDTH that they get."
    return click.option("--size", type=Sizes("HEIGHT,WIDTH"), help=text)(command)
