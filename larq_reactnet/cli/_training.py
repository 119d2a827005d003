"""The commands `train` and `evaluate`."""

from pathlib import Path
from typing import Any

import larq_reactnet as lr
from larq_reactnet.cli._common import data_options, dataset_of, set_option, user_errors
from larq_reactnet.runs import Run, load_model

import click
import numpy as np

__all__ = ["evaluate", "train"]


@click.command()
@click.argument("model")
@set_option
@data_options
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--step1-epochs", type=click.IntRange(min=0), default=6, show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True)
@click.option("--learning-rate", type=float, default=2e-3, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@user_errors
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


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@data_options
@user_errors
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
        images, labels = dataset_of(path, where).test_arrays()
        outputs = lr.converters.predict_tflite(path.read_bytes(), images)
    else:
        model = load_model(path)
        images, labels = dataset_of(path, where).test_arrays()
        _check_shape(model, images)
        outputs = model.predict(images)
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        raise ValueError(f"{path} gives outputs of shape {outputs.shape[1:]}: it is no classifier.")
    accuracy = float(np.mean(outputs.argmax(-1) == labels))
    click.echo(f"Test accuracy {accuracy:.2%} of {len(labels):,} images")


def _check_shape(model: Any, images: np.ndarray) -> None:
    if model.input_shape[1:] != images.shape[1:]:
        raise ValueError(
            f"The model takes images of {model.input_shape[1:]}, the data set has "
            f"{images.shape[1:]}: give another --image-size."
        )
