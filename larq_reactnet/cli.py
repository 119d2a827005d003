"""The command `larq-reactnet`: every command is one library call."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import larq_reactnet as lr
from larq_reactnet.runs import Run, load_model

import click
import numpy as np
import tensorflow as tf

__all__ = ["main"]


def _user_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Turn what the library raises about bad input into one line and exit code 1."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except (ValueError, TypeError, OSError, ImportError) as error:
            raise click.ClickException(str(error)) from error
        except tf.errors.OpError as error:  # of data that cannot be read
            raise click.ClickException(error.message.strip().split("\n")[0]) from error

    return wrapped


class _Setting(click.ParamType):
    """NAME=VALUE, where VALUE is JSON or else a string."""

    name = "name=value"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, Any]:
        name, equals, text = str(value).partition("=")
        if not equals or not name.isidentifier():
            self.fail(f"{value!r} is not of the form NAME=VALUE.", param, ctx)
        try:
            return name, json.loads(text)
        except ValueError:
            return name, text


_set = click.option(
    "--set",
    "options",
    type=_Setting(),
    multiple=True,
    help="Argument of the model's constructor, such as width=0.25. May be repeated.",
)
_data = [
    click.option("--dataset", help="'digits', a name in tensorflow-datasets, or a folder."),
    click.option("--data-dir", help="Where tensorflow-datasets keeps its data."),
    click.option("--image-size", type=click.IntRange(min=1), help="Height and width of images."),
]


def _data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    return functools.reduce(lambda decorated, option: option(decorated), reversed(_data), command)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(lr.__version__)
def main() -> None:
    """Binary neural networks for Keras: train them, and export them to one-bit .tflite files.

    \b
    Examples:
      larq-reactnet models
      larq-reactnet train reactnet_a --set width=0.25 --set stem_strides=1 --output run
      larq-reactnet evaluate run
      larq-reactnet export run model.tflite
    """


@main.command()
@click.argument("model")
@_set
@_data_options
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--step1-epochs", type=click.IntRange(min=0), default=6, show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True)
@click.option("--learning-rate", type=float, default=2e-3, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@_user_errors
def train(options: tuple[tuple[str, Any], ...], dataset: str | None, **arguments: Any) -> None:
    """Train MODEL, a name that `larq-reactnet models` lists.

    Step 1 (--step1-epochs) trains with binary activations and real weights, step 2 (--epochs) goes
    on with binary weights. The folder of the run gets weights.h5, history.csv and .png, run.json
    and TensorBoard logs. Repeat the command to resume it after an interruption.

    \b
    Examples:
      larq-reactnet train reactnet_a --set width=0.25 --set stem_strides=1 --output run
      larq-reactnet train bnn_plus_alexnet --dataset cifar10 --step1-epochs 0 --epochs 50 \\
          --batch-size 256 --learning-rate 1e-3 --set regularizer=r2 --output bnn_plus
    """
    lr.training.train(options=dict(options), dataset=dataset or "digits", **arguments)
    run = Run(arguments["output"])
    click.echo(f"Test accuracy {run.read()['results']['accuracy']:.2%}. The run is in {run.folder}")


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
@_data_options
@_user_errors
def evaluate(path: Path, **where: Any) -> None:
    """Test accuracy of PATH: the folder of a run, a Keras .h5 file or a .tflite file.

    A .tflite runs in Larq Compute Engine's interpreter. A run is tested on its own data set unless
    another is given.

    \b
    Examples:
      larq-reactnet evaluate run
      larq-reactnet evaluate model.tflite --dataset cifar10 --data-dir ~/tensorflow_datasets
    """
    if path.suffix == ".tflite":
        images, labels = _dataset(path, where).test_arrays()
        outputs = lr.converters.predict_tflite(path.read_bytes(), images)
    else:
        model = load_model(path)
        images, labels = _dataset(path, where).test_arrays()
        _check_shape(model, images)
        outputs = model.predict(images)
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        raise ValueError(f"{path} gives outputs of shape {outputs.shape[1:]}: it is no classifier.")
    accuracy = float(np.mean(outputs.argmax(-1) == labels))
    click.echo(f"Test accuracy {accuracy:.2%} of {len(labels):,} images")


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@_data_options
@click.option(
    "--images",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Number of test images to verify with.",
)
@click.option(
    "--min-agreement",
    type=click.FloatRange(0, 1),
    default=0.99,
    show_default=True,
    help="Share of images that must get the same class.",
)
@click.option("--allow-float", is_flag=True, help="Accept layers that stay in float.")
@_user_errors
def export(
    path: Path, output: Path, images: int, min_agreement: float, allow_float: bool, **where: Any
) -> None:
    """Convert PATH, the folder of a run or a Keras .h5 file, to the one-bit .tflite OUTPUT.

    The .tflite must give the same classes as the Keras model on test images, or nothing is written.

    \b
    Examples:
      larq-reactnet export run model.tflite
      larq-reactnet export model.h5 model.tflite --dataset cifar10 --images 10000
    """
    model = load_model(path)
    report = lr.converters.export(
        model,
        output,
        verify_with=_dataset(path, where).test,
        verify_limit=images,
        min_agreement=min_agreement,
        allow_float=allow_float,
    )
    click.echo(report)


@main.command()
@click.argument("model")
@_set
@_user_errors
def summary(model: str, options: tuple[tuple[str, Any], ...]) -> None:
    """Layers, weights and operations of MODEL: a name, the folder of a run or a Keras .h5 file.

    \b
    Examples:
      larq-reactnet summary reactnet_a
      larq-reactnet summary run
    """
    import larq as lq

    is_name = model in lr.zoo.list_models() or not Path(model).exists()
    if options and not is_name:
        raise click.UsageError("--set is for models of the zoo, not for files and runs.")
    network = lr.zoo.create(model, **dict(options)) if is_name else load_model(model)
    lq.models.summary(network, print_fn=click.echo)
    ops = lr.profiling.ops(network)
    click.echo(
        f"BOPs {ops.bops:,}   FLOPs {ops.flops:,}   OPs {ops.ops:,.0f}   "
        f"(OPs = BOPs / 64 + FLOPs)   {ops.deployed_bytes:,} bytes deployed"
    )


@main.command()
def models() -> None:
    """List the models of the zoo."""
    from tabulate import tabulate

    entries = [lr.zoo.get(name) for name in lr.zoo.list_models()]
    rows = [
        (
            entry.name,
            entry.paper,
            entry.url,
            " ".join(f"--set {name}={value}" for name, value in entry.small.items()),
        )
        for entry in entries
    ]
    click.echo(tabulate(rows, ["model", "paper", "", "small version for 32x32 images"]))


def _dataset(path: Path, where: dict[str, Any]) -> Any:
    """The data set that was asked for, or that the run in the folder `path` was trained on."""
    if where["dataset"] is None:
        if not path.is_dir():
            raise click.UsageError(f"Say with --dataset which images {path} is for.")
        arguments = Run(path).read()["arguments"]
        where = {key: where[key] or arguments[key] for key in where}
    return lr.zoo.datasets.load(where.pop("dataset"), **where)


def _check_shape(model: Any, images: np.ndarray) -> None:
    if model.input_shape[1:] != images.shape[1:]:
        raise ValueError(
            f"The model takes images of {model.input_shape[1:]}, the data set has "
            f"{images.shape[1:]}: give another --image-size."
        )


if __name__ == "__main__":
    main()
