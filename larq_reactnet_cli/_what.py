"""The models that commands are given: by a name of the zoo, or in a file or folder."""

import functools
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from larq_reactnet_cli._common import Settings, dataset_of, set_option

import click

if TYPE_CHECKING:
    from larq_reactnet.zoo.datasets import Dataset

    import tensorflow as tf

__all__ = ["import_option", "model_options", "network", "trained", "trained_and_data"]

Command: TypeAlias = Callable[..., None]


def _import(paths: tuple[Path, ...]) -> None:
    """Run Python files, and let Keras know the classes that they define."""
    if not paths:
        return
    import larq_reactnet  # noqa: F401  # selects Keras 2, before the files import it

    import tensorflow as tf

    for path in paths:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if not path.is_file() or spec is None or spec.loader is None:
            raise click.UsageError(f"--import: there is no Python file {path}.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:  # the file may raise anything
            reason = f"{type(error).__name__}: {error}"
            raise click.ClickException(f"{path} cannot be imported: {reason}") from error
        own = {
            name: value
            for name, value in vars(module).items()
            if getattr(value, "__module__", None) == module.__name__ and callable(value)
        }
        tf.keras.utils.get_custom_objects().update(own)


_options = [
    set_option,
    click.option(
        "--weights",
        help="For a model of the zoo: the name of pretrained weights, such as imagenet, or a file.",
    ),
]


def import_option(command: Command) -> Command:
    """The option --import of every command that reads what Keras saved."""

    @click.option(
        "--import",
        "imports",
        type=click.Path(path_type=Path),
        metavar="FILE.py",
        multiple=True,
        help="Python file with layers of your own, which is run. May be repeated.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, imports: tuple[Path, ...], **kwargs: Any) -> None:
        _import(imports)
        command(*args, **kwargs)

    return wrapped


def model_options(command: Command) -> Command:
    """The options of every command that takes a model: --set, --weights and --import."""
    return functools.reduce(
        lambda decorated, option: option(decorated), reversed(_options), import_option(command)
    )


def network(what: str, options: Settings, weights: str | None) -> "tf.keras.Model":
    """The model of the zoo that is called `what`, or what `trained` gives."""
    import larq_reactnet as lr

    if _is_file(what) or what not in lr.zoo.list_models():
        return trained(what, options, weights)
    return lr.zoo.create(what, weights=weights, **dict(options))


def trained(what: str, options: Settings = (), weights: str | None = None) -> "tf.keras.Model":
    """A model with weights: of the zoo, of pretrained weights, or in a file or folder."""
    import larq_reactnet as lr
    from larq_reactnet.training import load_model

    if not _is_file(what) and what in lr.zoo.list_models():
        return lr.zoo.create(what, weights=weights or _pretrained(what), **dict(options))
    if options or weights:
        raise click.UsageError("--set and --weights are for models of the zoo, by their name.")
    row = None if _is_file(what) else lr.zoo.pretrained.by_recipe(what)
    if row is not None:
        return lr.zoo.create(row.model, weights=what)
    _refuse_unknown(what)
    return load_model(what)


def trained_and_data(
    what: str, options: Settings, weights: str | None, where: dict[str, Any]
) -> "tuple[tf.keras.Model, Dataset]":
    """A model with weights, and the data set that was asked for, or that it is for.

    Images have the size that the model takes, if no other is asked for.
    """
    import larq_reactnet as lr

    source = _source_of(what, weights)
    if where["dataset"] is None and not _is_file(source) and source in lr.zoo.list_models():
        raise click.UsageError(f"Say with --dataset which images {what} is for.")
    model = trained(what, options, weights)
    shape = model.input_shape
    if isinstance(shape, tuple) and len(shape) == 4 and shape[1] == shape[2]:
        where = {**where, "image_size": where["image_size"] or shape[1]}
    return model, dataset_of(source, where)


def _source_of(what: str, weights: str | None = None) -> str:
    """The name of the recipe that made the pretrained weights of a model, or `what` itself."""
    import larq_reactnet as lr

    if _is_file(what) or what not in lr.zoo.list_models() or Path(weights or "").is_file():
        return what
    name = weights or _pretrained(what)
    rows = lr.zoo.pretrained.list_weights(what)
    return next(
        (row.recipe for row in rows if row.recipe and name in (row.dataset, row.recipe)), what
    )


def _is_file(what: str) -> bool:
    """Whether `what` is a file, or a folder with a model; an empty folder is not taken for one."""
    path = Path(what)
    return path.is_file() or any((path / name).is_file() for name in ("run.json", "saved_model.pb"))


def _pretrained(model: str) -> str:
    """The name of the pretrained weights of a model, if there are weights for one data set."""
    import larq_reactnet as lr

    rows = lr.zoo.pretrained.list_weights(model)
    names = sorted({row.dataset for row in rows if row.include_top})
    if not names:
        raise ValueError(
            f"There are no pretrained weights for {model}: train it with `larq-reactnet train "
            f"{model} run`, and give the folder; or give a file with --weights."
        )
    if len(names) > 1:
        raise ValueError(f"Say with --weights which weights of {model}: {' or '.join(names)}.")
    return names[0]


def _refuse_unknown(what: str) -> None:
    """Raise ValueError if `what` looks like a name, but there is none; the message lists them."""
    import larq_reactnet as lr
    from larq_reactnet._names import did_you_mean

    path = Path(what)
    if path.exists() or path.suffix or path.name != what:
        return  # a path, of which more is said where it is read
    rows = lr.zoo.pretrained.list_weights()
    names = [*lr.zoo.list_models(), *(row.recipe for row in rows if row.recipe)]
    raise ValueError(
        f"No model, pretrained weights, file or folder is called {what!r}"
        f"{did_you_mean(what, names)}"
    )
