"""The command `export`."""

from pathlib import Path
from typing import Any

import larq_reactnet as lr
from larq_reactnet.cli._common import data_options, dataset_of, trained, user_errors
from larq_reactnet.zoo.datasets import Dataset

import click
import tensorflow as tf

__all__ = ["export"]


@click.command()
@click.argument("what")
@click.argument("output", type=click.Path(path_type=Path))
@data_options
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
    help="Share of images that must get the same class. Near ties do not count, and nothing is "
    "refused for a number of other classes that chance explains.",
)
@click.option("--allow-float", is_flag=True, help="Accept layers that stay in float.")
@click.option(
    "--storage",
    type=click.Choice(["int8", "float16", "float32"]),
    help="How to store the last dense layers. By default as the smallest type that moves no output "
    "by more than 2 % of what it varies by; int8 only if it saves at least 5 % of the file.",
)
@click.option(
    "--thorough", is_flag=True, help="Also compare each binary convolution by itself, in float64."
)
@click.option("--no-metadata", is_flag=True, help="Leave labels and normalization out of the file.")
@user_errors
def export(
    what: str,
    output: Path,
    images: int,
    min_agreement: float,
    allow_float: bool,
    storage: str | None,
    thorough: bool,
    no_metadata: bool,
    **where: Any,
) -> None:
    """Convert WHAT to the one-bit .tflite OUTPUT.

    WHAT is the name of pretrained weights (see `larq-reactnet models`), the folder of a run or a
    Keras .h5 file.

    The file is written only if it computes what the Keras model computes, in Larq Compute Engine's
    interpreter and, where it is installed, in larq-reactnet-runtime: each sign on two images must
    be that of the model in float64, and the test images must get the same classes.
    It carries the names of the classes and how images are normalized, which `predict` uses.

    \b
    Examples:
      larq-reactnet export bnn_plus_dorefanet_cifar10_short model.tflite --data-dir ~/datasets
      larq-reactnet export run model.tflite
      larq-reactnet export model.h5 model.tflite --dataset cifar10 --images 10000
      larq-reactnet export run model.tflite --storage float16 --thorough
    """
    model = trained(what)
    data = dataset_of(what, where)
    report = lr.converters.export(
        model,
        output,
        verify_with=data.test,
        verify_limit=images,
        min_agreement=min_agreement,
        allow_float=allow_float,
        storage=storage,
        thorough=thorough,
        metadata=None if no_metadata else metadata_of(model, data),
    )
    click.echo(report)


def metadata_of(model: tf.keras.Model, data: Dataset) -> "lr.converters.Metadata":
    """What a program must know to use `model`, which takes images as the data set scales them."""
    return lr.converters.Metadata(
        name=model.name,
        labels=tuple(data.class_names),
        mean=data.mean,
        std=data.std,
        crop=data.crop,
        resize=data.resize,
    )
