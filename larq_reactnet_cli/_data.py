"""The command `data`."""

import inspect
import json
from pathlib import Path

from larq_reactnet_cli._common import Setting, Settings, html_option, place_options, user_errors

import click

__all__ = ["data"]


@click.command()
@click.argument("what", metavar="WHAT")
@place_options
@click.option(
    "--set",
    "values",
    type=Setting(),
    multiple=True,
    help="Argument of zoo.datasets.load, such as augmentation=crop, randaugment=2 or holdout=5000. "
    "May be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, with all classes.")
@html_option(
    "Write a page for the browser with pictures, in place of the table. It goes together with "
    "--json."
)
@click.option(
    "--classes",
    type=click.IntRange(min=1),
    default=12,
    show_default=True,
    help="Number of classes whose pictures are on the page.",
)
@user_errors
def data(
    what: str,
    data_dir: str | None,
    image_size: int | None,
    strict: bool,
    values: Settings,
    as_json: bool,
    page: Path | None,
    classes: int,
) -> None:
    """What is in WHAT, a data set, before a long training on it.

    WHAT is 'digits', a name in tensorflow-datasets, or a folder with images in CLASS/, or in
    train/CLASS/ and test/CLASS/. Every file of a folder is looked at.

    It shows the names of the classes, how many images each has, their sizes, what is done to them,
    and which files cannot be read. Classes that are nearly empty or much smaller than others are
    warned of. The page has some images of the classes, as a network sees them in its tests and,
    augmented, in its training.

    \b
    Examples:
      larq-reactnet data digits
      larq-reactnet data photos/ --html photos.html
      larq-reactnet data photos/ --image-size 64 --set augmentation=crop --html photos.html
      larq-reactnet data imagenet2012 --data-dir ~/tensorflow_datasets --set augmentation=crop
    """
    import larq_reactnet as lr
    from larq_reactnet._files import check_writable, write_whole
    from larq_reactnet._names import did_you_mean
    from larq_reactnet.zoo.datasets.sheet import sheet

    given = dict(values)
    allowed = {*inspect.signature(lr.zoo.datasets.load).parameters} - {
        *("name", "data_dir", "image_size", "strict", "batch_size", "default_size")
    }
    for name in given.keys() - allowed:
        raise ValueError(
            f"`{name}` is nothing that a data set is loaded with{did_you_mean(name, [*allowed])}"
        )
    if page is not None:
        check_writable(page)
    loaded = lr.zoo.datasets.load(
        what, data_dir=data_dir, image_size=image_size, strict=strict, **given
    )
    found = lr.zoo.datasets.overview(loaded)
    if page is not None:
        text = sheet(found, classes)
        write_whole(page, text)
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=1))
    else:
        click.echo(found if page is None else f"{found.short()}\nThe page is in {page}.")
