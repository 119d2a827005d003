"""The command `larq-reactnet`: every command is one library call."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import larq_reactnet as lr
from larq_reactnet._files import check_writable, replacing
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


@main.command("import-torch")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--model", required=True, help="reactnet_a, reactnet_18 or reactnet_34.")
@_set
@click.option("--input-size", type=click.IntRange(min=1), default=224, show_default=True)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="File of weights: .h5, or .safetensors with one bit for each binary weight.",
)
@_user_errors
def import_torch(
    checkpoint: Path,
    model: str,
    options: tuple[tuple[str, Any], ...],
    input_size: int,
    output: Path,
) -> None:
    """Turn CHECKPOINT, a PyTorch file of ReActNet or AdamBNN, into weights for a model of the zoo.

    The model for them is built with torch_padding=True and gives the numbers of PyTorch.

    \b
    Examples:
      larq-reactnet import-torch checkpoint.pth.tar --model reactnet_a --output weights.safetensors
      larq-reactnet import-torch step1.pth.tar --model reactnet_18 --set binary_weights=false \\
          --output step1.h5
    """
    if output.suffix not in (".h5", ".safetensors"):
        raise click.UsageError("--output must end in .h5 or .safetensors.")
    check_writable(output)
    if "torch_padding" not in lr.zoo.get(model).arguments:
        raise ValueError(f"There are no PyTorch checkpoints of {model}.")
    arguments = {"input_shape": (input_size, input_size, 3), **dict(options)}
    network = lr.zoo.create(model, **{**arguments, "torch_padding": True})
    lr.converters.load_torch_checkpoint(network, checkpoint)
    if output.suffix == ".h5":
        with replacing(output) as temporary:
            network.save_weights(str(temporary))
    else:
        lr.save_packed(network, output)
    click.echo(
        f"The weights are in {output}: build {model} with torch_padding=True and "
        f"weights={str(output)!r}."
    )


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

    network = _network(model, options)
    lq.models.summary(network, print_fn=click.echo)
    click.echo(lr.profiling.ops(network))


@main.command()
@click.argument("model")
@_set
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@_user_errors
def ops(model: str, options: tuple[tuple[str, Any], ...], as_json: bool) -> None:
    """BOPs, FLOPs, OPs and bytes of MODEL: a name, the folder of a run or a Keras .h5 file.

    One multiply-accumulate of a convolution or dense layer is one operation, and nothing else is,
    as in the ReActNet paper: OPs = BOPs / 64 + FLOPs. Bytes are one bit for a binary weight and
    four bytes for any other.

    \b
    Examples:
      larq-reactnet ops reactnet_a
      larq-reactnet ops mobilenet_v1 --set width=0.5
      larq-reactnet ops run --json
    """
    found = lr.profiling.ops(_network(model, options))
    click.echo(json.dumps(found.as_dict(), indent=1) if as_json else found)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def models(as_json: bool) -> None:
    """List the models of the zoo: at their default size, with their pretrained weights.

    \b
    Examples:
      larq-reactnet models
      larq-reactnet models --json
    """
    from larq_reactnet.zoo import pretrained, sizes

    table: list[dict[str, Any]] = []
    for name in lr.zoo.list_models():
        entry, size = lr.zoo.get(name), sizes.read()[name]
        weights = [row for row in pretrained.list_weights(name) if row.include_top]
        table.append(
            {
                "model": name,
                "paper": entry.paper,
                "year": entry.year,
                "image": size.image,
                "parameters": size.parameters,
                "OPs": size.ops,
                "bytes": size.deployed_bytes,
                "weights": {row.dataset: row.top1 for row in weights},
            }
        )
    if as_json:
        click.echo(json.dumps(table, indent=1))
        return
    for row in table:
        row["parameters"] = f"{row['parameters'] / 1e6:.2f} M"
        row["OPs"] = f"{row['OPs'] / 1e8:.3f}e8"
        row["bytes"] = f"{row['bytes'] / 1e6:.2f} MB"
        row["weights"] = ", ".join(
            dataset if top1 is None else f"{dataset}: {top1} %"
            for dataset, top1 in row["weights"].items()
        )
    from tabulate import tabulate

    click.echo(tabulate(table, headers="keys", stralign="left", disable_numparse=True))
    click.echo("\nweights: the data set, and the measured top-1 accuracy")


def _network(model: str, options: tuple[tuple[str, Any], ...]) -> tf.keras.Model:
    """A model by its name, or from the folder of a run or an .h5 file."""
    is_name = model in lr.zoo.list_models() or not Path(model).exists()
    if options and not is_name:
        raise click.UsageError("--set is for models of the zoo, not for files and runs.")
    return lr.zoo.create(model, **dict(options)) if is_name else load_model(model)


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
