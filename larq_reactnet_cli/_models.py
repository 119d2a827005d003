"""The commands about models: `summary`, `ops`, `models` and `import-torch`."""

import json
import warnings
from pathlib import Path

from larq_reactnet_cli import _library
from larq_reactnet_cli._common import Settings, output_argument, required, set_option, user_errors
from larq_reactnet_cli._what import model_options, network

import click

__all__ = ["import_torch", "models", "ops", "summary"]


@click.command()
@click.argument("model")
@model_options
@user_errors
def summary(model: str, options: Settings, weights: str | None) -> None:
    """Layers, weights and operations of MODEL: a name, the folder of a run, or what Keras saved.

    \b
    Examples:
      larq-reactnet summary reactnet_a
      larq-reactnet summary run
    """
    import larq_reactnet as lr

    import larq as lq

    found = network(model, options, weights)
    lq.models.summary(found, print_fn=click.echo)
    click.echo(lr.profiling.ops(found))


@click.command()
@click.argument("model")
@model_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@user_errors
def ops(model: str, options: Settings, weights: str | None, as_json: bool) -> None:
    """BOPs, FLOPs, OPs and bytes of MODEL: a name, the folder of a run, or what Keras saved.

    One multiply-accumulate of a convolution or dense layer is one operation, and nothing else is,
    as in the ReActNet paper: OPs = BOPs / 64 + FLOPs. Bytes are those of packed weights: one bit
    for a binary weight and four bytes for any other. `export` reports those of the .tflite.

    \b
    Examples:
      larq-reactnet ops reactnet_a
      larq-reactnet ops mobilenet_v1 --set width=0.5
      larq-reactnet ops run --json
    """
    import larq_reactnet as lr

    found = lr.profiling.ops(network(model, options, weights))
    click.echo(json.dumps(found.as_dict(), indent=1) if as_json else found)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def models(as_json: bool) -> None:
    """List the models of the zoo: at their default size, with their pretrained weights.

    \b
    Examples:
      larq-reactnet models
      larq-reactnet models --json
    """
    table = _library.models()
    if as_json:
        click.echo(json.dumps(table, indent=1))
        return
    for row in table:
        row["parameters"] = f"{row['parameters'] / 1e6:.2f} M"
        row["OPs"] = f"{row['OPs'] / 1e8:.3f}e8"
        row[".tflite"] = f"{row['.tflite'] / 1e6:.2f} MB"
        row["weights"] = ", ".join(
            name if top1 is None else f"{name}: {top1} %" for name, top1 in row["weights"].items()
        )
    from tabulate import tabulate

    click.echo(tabulate(table, headers="keys", stralign="left", disable_numparse=True))
    click.echo("\nweights: the recipe or the data set, and the measured top-1 accuracy")


@click.command("import-torch")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@output_argument("The same as OUTPUT.")
@click.option("--model", required=True, help="reactnet_a, reactnet_18 or reactnet_34.")
@set_option
@click.option("--input-size", type=click.IntRange(min=1), default=224, show_default=True)
@user_errors
def import_torch(
    checkpoint: Path,
    model: str,
    options: Settings,
    input_size: int,
    output: Path | None,
) -> None:
    """Turn CHECKPOINT, a PyTorch file of ReActNet or AdamBNN, into weights for a model of the zoo.

    OUTPUT is a file of weights: .h5, or .safetensors with one bit for each binary weight.

    The model for them is built with torch_padding=True and gives the numbers of PyTorch.

    \b
    Examples:
      larq-reactnet import-torch checkpoint.pth.tar weights.safetensors --model reactnet_a
      larq-reactnet import-torch step1.pth.tar step1.h5 --model reactnet_18 \\
          --set binary_weights=false
    """
    import larq_reactnet as lr
    from larq_reactnet._files import check_writable
    from larq_reactnet.weights_files import save_weights

    output = required(output)
    if output.suffix not in (".h5", ".safetensors"):
        raise click.UsageError("OUTPUT must end in .h5 or .safetensors.")
    check_writable(output)
    if "torch_padding" not in lr.zoo.get(model).arguments:
        raise ValueError(f"There are no PyTorch checkpoints of {model}.")
    arguments = {"input_shape": (input_size, input_size, 3), **dict(options)}
    keras_model = lr.zoo.create(model, **{**arguments, "torch_padding": True})
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        lr.converters.load_torch_checkpoint(keras_model, checkpoint)
    for warning in said:
        click.echo(warning.message, err=True)
    if output.suffix == ".h5":
        save_weights(keras_model, output)
    else:
        lr.save_packed(keras_model, output)
    click.echo(
        f"The weights are in {output}: build {model} with torch_padding=True and "
        f"weights={str(output)!r}."
    )
