"""The command `export`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from larq_reactnet_cli._common import (
    Settings,
    Sizes,
    data_options,
    dataset_of,
    html_option,
    user_errors,
)
from larq_reactnet_cli._export_c import is_tflite, refuse_for_tflite, write_c
from larq_reactnet_cli._what import model_options, trained_and_data

import click

if TYPE_CHECKING:
    import larq_reactnet as lr
    from larq_reactnet.zoo.datasets import Dataset

    import tensorflow as tf

__all__ = ["export"]


class Size(click.ParamType):
    """Bytes, as a number or like 256k or 1M."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        factor = {"k": 1024, "m": 1024**2}.get(text[-1:].lower(), 1)
        digits = text if factor == 1 else text[:-1]
        if not digits.isdecimal():
            self.fail(f"{text!r} is not a number of bytes, like 262144, 256k or 1M.", param, ctx)
        return int(digits) * factor


_c_options: list[Callable[..., Any]] = [
    click.option(
        "--target",
        type=click.Choice(["tflite", "c"]),
        default="tflite",
        show_default=True,
        help="tflite: the file OUTPUT. c: the folder OUTPUT with C source for microcontrollers. "
        "WHAT may then be a .tflite, too.",
    ),
    click.option(
        "--name",
        default="model",
        show_default=True,
        help="With --target c: prefix of all names in C, and of the files: small letters, digits "
        "and _. Networks in one firmware need a name each.",
    ),
    click.option(
        "--arithmetic",
        type=click.Choice(["float32", "int16"]),
        help="With --target c: how numbers are computed that are not only signs. int16 is fixed "
        "point, for processors without floating point, and for less RAM. float32 by default.",
    ),
    click.option("--flash", type=Size(), help="With --target c: refuse larger weights (1M, 512k)."),
    click.option("--ram", type=Size(), help="With --target c: refuse a larger arena (64k)."),
    click.option(
        "--no-verify",
        is_flag=True,
        help="With --target c: write the C without a proof. For that a C compiler is needed: cc, "
        "or what the variable CC names.",
    ),
    html_option("With --target c: write a page with a picture of the arena."),
]


def c_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of `--target c`."""
    for option in reversed(_c_options):
        command = option(command)
    return command


@click.command()
@click.argument("what")
@click.argument("output", type=click.Path(path_type=Path))
@model_options
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
    "refused for a number of other classes that chance explains. For numbers, the share of the "
    "variance of each that must be right.",
)
@click.option("--allow-float", is_flag=True, help="Accept layers that stay in float.")
@click.option(
    "--storage",
    type=click.Choice(["int8", "float16", "float32"]),
    help="How to store the last dense layers. By default as the smallest type that moves no output "
    "by more than 2 % of what it varies by; int8 only if it saves at least 5 % of the file.",
)
@click.option(
    "--task",
    type=click.Choice(["auto", "classify", "regress"]),
    default="auto",
    show_default=True,
    help="What the outputs are: classes, of which the largest wins, or numbers (regress), each of "
    "which is judged by its error relative to what it varies by. auto: classes if they come out of "
    "a softmax or have labels.",
)
@click.option(
    "--input-type",
    type=click.Choice(["float32", "uint8", "int8"]),
    help="Type of the inputs; float32 of a file, uint8 of C if not given. uint8: the bytes of a "
    "picture, which are normalized inside. int8: these minus 128.",
)
@click.option(
    "--input-shape",
    type=Sizes("HEIGHT,WIDTH,CHANNELS"),
    help="For a model that takes images of any size: the size for which the file is meant, as "
    "HEIGHT,WIDTH,CHANNELS.",
)
@click.option(
    "--thorough", is_flag=True, help="Also compare each binary convolution by itself, in float64."
)
@click.option(
    "--proof",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="How many images to put into the file with its outputs, which `larq-reactnet-runtime "
    "verify` runs on a device.",
)
@click.option(
    "--proof-beside", is_flag=True, help="Put them beside the file, into OUTPUT with .proof.npz."
)
@click.option("--no-metadata", is_flag=True, help="Leave labels and normalization out of the file.")
@c_options
@user_errors
def export(
    what: str,
    output: Path,
    images: int,
    min_agreement: float,
    allow_float: bool,
    storage: str | None,
    task: str,
    input_type: str | None,
    input_shape: tuple[int, ...] | None,
    thorough: bool,
    proof: int,
    proof_beside: bool,
    no_metadata: bool,
    target: str,
    name: str,
    arithmetic: str | None,
    flash: int | None,
    ram: int | None,
    no_verify: bool,
    page: Path | None,
    options: Settings,
    weights: str | None,
    **where: Any,
) -> None:
    """Convert WHAT to the one-bit .tflite OUTPUT, or to C source in the folder OUTPUT.

    WHAT is the name of a model or of pretrained weights (see `larq-reactnet models`), the folder of
    a run, or what Keras saved: a .h5 or .keras file or a SavedModel.

    The file is written only if it computes what the Keras model computes, in Larq Compute Engine's
    interpreter and, where it is installed, in larq-reactnet-runtime: each sign on two images must
    be that of the model in float64, and the test images must get the same classes, or the same
    numbers within a small error.
    It carries the names of the classes and how images are normalized, which `predict` uses.

    \b
    Examples:
      larq-reactnet export bnn_plus_dorefanet_cifar10_short model.tflite --data-dir ~/datasets
      larq-reactnet export run model.tflite
      larq-reactnet export quicknet quicknet.tflite --weights imagenet --dataset photos
      larq-reactnet export model.h5 model.tflite --dataset cifar10 --images 10000
      larq-reactnet export run model.tflite --storage float16 --thorough
      larq-reactnet export run model.tflite --input-type uint8
      larq-reactnet export run model.tflite --proof 4
      larq-reactnet export run firmware --target c --name digits --ram 64k
      larq-reactnet export model.tflite firmware --target c --flash 1M --html arena.html
      larq-reactnet export run firmware --target c --arithmetic int16
    """
    import larq_reactnet as lr

    input_type = input_type or ("uint8" if target == "c" else "float32")
    if no_metadata and input_type != "float32":
        raise click.UsageError("--input-type needs the normalization, so leave out --no-metadata.")
    if target == "tflite" and (arithmetic or flash or ram or no_verify or page or name != "model"):
        raise click.UsageError(
            "--name, --arithmetic, --flash, --ram, --no-verify and --html are for --target c."
        )
    if target == "c" and (proof or proof_beside):
        raise click.UsageError("--proof and --proof-beside are for --target tflite.")
    if is_tflite(what):
        refuse_for_tflite(what, target)
    common: dict[str, Any] = {
        "verify_limit": images,
        "min_agreement": min_agreement,
        "input_type": input_type,
    }
    for_c: dict[str, Any] = {
        "name": name,
        "arithmetic": arithmetic or "float32",
        "flash": flash,
        "ram": ram,
        "verify": not no_verify,
        "page": page,
    }
    if is_tflite(what):
        data = dataset_of(what, where) if where["dataset"] else None
        write_c(Path(what), output, data, **for_c, **common)
        return
    model, data = trained_and_data(what, options, weights, where)
    common |= {
        "allow_float": allow_float,
        "storage": storage,
        "task": task,
        "input_shape": input_shape,
        "thorough": thorough,
        "metadata": None if no_metadata else metadata_of(model, data),
    }
    if target == "c":
        write_c(model, output, data, **for_c, **common)
        return
    common |= {"proof": proof, "proof_beside": proof_beside}
    click.echo(lr.converters.export(model, output, verify_with=data.test, **common))


def metadata_of(model: "tf.keras.Model", data: "Dataset") -> "lr.converters.Metadata":
    """What a program must know to use `model`, which takes images as the data set scales them."""
    import larq_reactnet as lr

    return lr.converters.Metadata(
        name=model.name,
        labels=tuple(data.class_names),
        mean=data.mean,
        std=data.std,
        crop=data.crop,
        resize=data.resize,
    )
