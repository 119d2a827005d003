"""The commands `train`, `recipes` and `evaluate`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from larq_reactnet_cli import _library
from larq_reactnet_cli._common import (
    Setting,
    Settings,
    data_options,
    dataset_of,
    engine_option,
    output_argument,
    required,
    user_errors,
)
from larq_reactnet_cli._export import metadata_of
from larq_reactnet_cli._what import import_option, model_options, trained_and_data

import click

if TYPE_CHECKING:
    from larq_reactnet.zoo.recipes import Recipe

    import numpy as np
    import tensorflow as tf

__all__ = ["evaluate", "recipes", "train"]


@click.command()
@click.argument("model", metavar="WHAT", required=False)
@output_argument("The same as OUTPUT: the folder of the run.")
@click.option("--recipe", help="The same as WHAT, for recipes only.")
@click.option(
    "--set",
    "values",
    type=Setting(),
    multiple=True,
    help="Argument of the model's constructor, such as width=0.25, or any value of the recipe, "
    "such as holdout=5000 or step2.weight_decay=1e-5. May be repeated.",
)
@data_options
@click.option("--teacher", type=click.Path(path_type=Path), help="Folder of the teacher's run.")
@click.option(
    "--float-model",
    type=click.Path(path_type=Path),
    help="In place of WHAT: a trained real network, as the folder of a run or what Keras saved. It "
    "is made binary, and is the teacher. --set style=birealnet and the other arguments of "
    "`larq-reactnet binarize` say how.",
)
@import_option
@click.option(
    "--weights",
    help="Start from these: a data set or recipe of pretrained weights, a file, or the folder of a "
    "run. The last layer is a new one if the classes are others.",
)
@click.option(
    "--freeze-until",
    metavar="LAYER",
    help="Keep the weights of LAYER and all before it, as `larq-reactnet summary` lists them.",
)
@click.option(
    "--step1-epochs", type=click.IntRange(min=0), help="[default: 6, or 0 with --weights]"
)
@click.option("--epochs", type=click.IntRange(min=1), help="[default: 8]")
@click.option("--batch-size", type=click.IntRange(min=1), help="[default: 32]")
@click.option("--learning-rate", type=float, help="At the start of each step. [default: 0.002]")
@click.option("--seed", type=int, help="[default: 0]")
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "mixed_bfloat16", "mixed_float16"]),
    help="Dtype policy of the training; auto: the short type that this machine multiplies in, if "
    "any. [default: float32]",
)
@click.option(
    "--keep-best",
    is_flag=True,
    default=None,
    help="End each step with the weights of its best epoch. Choose it by other images than those "
    "of the test, with --set holdout=5000.",
)
@click.option(
    "--ema",
    type=float,
    help="Share of their moving average that weights keep in each batch, such as 0.999; the "
    "averages are the result. [default: 0, no averages]",
)
@click.option(
    "--early-stopping",
    metavar="EPOCHS",
    type=click.IntRange(min=0),
    help="End a step after so many epochs without a better accuracy. [default: 0, never]",
)
@click.option(
    "--strategy",
    type=click.Choice(["mirrored", "multi_worker"]),
    help="mirrored: on all GPUs of this machine. multi_worker: on all machines that the variable "
    "TF_CONFIG of the environment lists; start the same command on each.",
)
@click.option(
    "--sync-batch-norm/--no-sync-batch-norm",
    default=True,
    show_default=True,
    help="With --strategy, whether batch normalization sees the whole batch or only the part that "
    "is on the same processor.",
)
@user_errors
def train(
    model: str | None,
    recipe: str | None,
    values: Settings,
    output: Path | None,
    data_dir: str | None,
    teacher: Path | None,
    float_model: Path | None,
    strategy: str | None,
    sync_batch_norm: bool,
    strict: bool,
    **flags: Any,
) -> None:
    """Train WHAT, and keep everything in the folder OUTPUT.

    WHAT is a model, which `larq-reactnet models` lists, or a recipe, which `larq-reactnet recipes`
    lists.

    Step 1 (--step1-epochs) trains with binary activations and real weights, step 2 (--epochs) goes
    on with binary weights. A recipe has its own steps, and its teacher is trained first if there is
    none; the result is exported too. The folder of the run gets weights.h5, packed.safetensors,
    history.csv and .png, insight.jsonl, run.json and TensorBoard logs, and with a recipe
    model.tflite. `larq-reactnet report` makes a page of it. Ctrl-C and SIGTERM stop it as soon as
    it is saved; repeat the command to go on, also after it was killed. With --weights a trained
    network is fine-tuned; its images are normalized as those that the weights know. With
    --float-model, OUTPUT stands alone: a real network becomes binary, learns in both steps from
    what it was itself, and is exported.

    With --strategy, batch size and learning rate are those of all processors together. Of several
    workers, the first writes the folder, which all must see.

    \b
    Examples:
      larq-reactnet train reactnet_a run --set width=0.25 --set stem_strides=1
      larq-reactnet train bnn_plus_alexnet bnn_plus --dataset cifar10 --step1-epochs 0 \\
          --epochs 50 --batch-size 256 --learning-rate 1e-3 --set regularizer=r2
      larq-reactnet train bnn_plus_dorefanet_cifar10 run --set beta=10
      larq-reactnet train binary_run --float-model float.h5 --set style=birealnet
      larq-reactnet train bnn_plus_dorefanet tuned --weights cifar10 --freeze-until bn3
      larq-reactnet train reactnet_a on_all_gpus --set width=0.25 --set stem_strides=1 \\
          --batch-size 256 --strategy mirrored
    """
    import larq_reactnet as lr
    from larq_reactnet._workers import is_chief
    from larq_reactnet.training import Run
    from larq_reactnet.training.distributing import strategy_of
    from larq_reactnet.zoo.recipes import two_step

    if (recipe or float_model) and model and output is None:  # `train --recipe NAME OUTPUT`
        output, model = Path(model), None
    if model in _library.recipes() and not recipe:
        model, recipe = None, model
    output = required(output)
    given = {name: value for name, value in flags.items() if value is not None}
    if [model, recipe, float_model].count(None) != 2:
        raise click.UsageError("Give either WHAT or --recipe or --float-model.")
    if float_model:
        chosen = two_step("binarized", float_model=str(float_model), **given)
    elif model:
        chosen = two_step(model, **given)
    else:
        chosen = _changed(lr.zoo.recipes.load(str(recipe)), given)
    chosen = chosen.with_values(dict(values))
    where = strategy_of(strategy)
    network = lr.training.train(
        chosen,
        output,
        data_dir=data_dir,
        teacher=teacher,
        strategy=where,
        sync_batch_norm=sync_batch_norm,
        strict=strict,
    )
    if not is_chief(where):
        click.echo("Finished. The first worker writes the results.")
        return
    results = Run(output).read()["results"]
    click.echo(f"Test accuracy {results['accuracy']:.2%} after {results['hours']:.2f} hours")
    click.echo(f"The run is in {output}")
    if (recipe or float_model) and lr.profiling.ops(network).bops:
        data = dataset_of(str(output), dict.fromkeys(("dataset", "data_dir", "image_size")))
        click.echo(
            lr.converters.export(
                network,
                output / "model.tflite",
                verify_with=data.test,
                metadata=metadata_of(network, data),
            )
        )


def _changed(recipe: "Recipe", flags: dict[str, Any]) -> "Recipe":
    """The recipe with the values of the flags: `epochs` are those of the last step."""
    last = len(recipe.steps)
    names = {"epochs": [f"step{last}.epochs"], "step1_epochs": ["step1.epochs"]}
    names["learning_rate"] = [f"step{number}.learning_rate" for number in range(1, last + 1)]
    if "step1_epochs" in flags and last == 1:
        raise click.UsageError("This recipe has one step: give its --epochs.")
    values = {key: value for name, value in flags.items() for key in names.get(name, [name])}
    return recipe.with_values(values)


@click.command()
@click.argument("name", required=False)
@user_errors
def recipes(name: str | None) -> None:
    """List the recipes, or show what the one called NAME says, and all its values.

    \b
    Examples:
      larq-reactnet recipes
      larq-reactnet recipes reactnet18_cifar10
    """
    if name is None:
        from tabulate import tabulate

        click.echo(tabulate(_library.recipes().items()))
        return
    import larq_reactnet as lr

    recipe = lr.zoo.recipes.load(name)
    click.echo(f"{lr.zoo.recipes.text_of(name)}\n\n{json.dumps(recipe.as_dict(), indent=1)}")


@click.command()
@click.argument("what")
@model_options
@data_options
@click.option("--limit", type=click.IntRange(min=1), help="Use only the first LIMIT test images.")
@engine_option("What runs a .tflite; auto: the runtime if it is installed and can, else LCE.")
@user_errors
def evaluate(
    what: str,
    limit: int | None,
    engine: str,
    options: Settings,
    weights: str | None,
    **where: Any,
) -> None:
    """Test accuracy of WHAT: a model with weights, or a .tflite file.

    WHAT is the name of a model or of pretrained weights (see `larq-reactnet models`), the folder of
    a run, what Keras saved (a .h5 or .keras file or a SavedModel), or a .tflite file. What was
    trained here is tested on its own data set unless another is given.

    \b
    Examples:
      larq-reactnet evaluate bnn_plus_dorefanet_cifar10_short --data-dir ~/tensorflow_datasets
      larq-reactnet evaluate run
      larq-reactnet evaluate quicknet --weights imagenet --dataset imagenet2012
      larq-reactnet evaluate model.tflite --dataset cifar10 --data-dir ~/tensorflow_datasets
      larq-reactnet evaluate model.tflite --dataset digits --engine lce
    """
    import larq_reactnet as lr
    from larq_reactnet.converters.rescaling import as_file_takes

    if what.endswith(".tflite"):
        data = dataset_of(what, where)
        images, labels = data.test_arrays(limit)
        images = as_file_takes(what, images, data.mean, data.std)
        outputs = lr.converters.predict_tflite(what, images, engine=engine)
    elif engine != "auto":
        raise click.UsageError("--engine is for .tflite files.")
    else:
        model, data = trained_and_data(what, options, weights, where)
        images, labels = data.test_arrays(limit)
        _check_shape(model, images)
        outputs = model.predict(images)
    accuracy = float((_answers(what, outputs, data.num_classes) == labels).mean())
    click.echo(f"Test accuracy {accuracy:.2%} of {len(labels):,} images")


def _answers(what: str, outputs: "np.ndarray", num_classes: int) -> "np.ndarray":
    """The classes that a classifier gives. One number is the score of the second of two classes."""
    if outputs.ndim != 2 or (outputs.shape[1] == 1 and num_classes != 2):
        shape = outputs.shape[1:]
        raise ValueError(
            f"{what} gives outputs of shape {shape}: it is not a classifier of {num_classes} "
            "classes."
        )
    if outputs.shape[1] > 1:
        return outputs.argmax(-1)
    is_probability = outputs.min() >= 0 and outputs.max() <= 1
    return (outputs[:, 0] > (0.5 if is_probability else 0.0)).astype(int)


def _check_shape(model: "tf.keras.Model", images: "np.ndarray") -> None:
    if model.input_shape[1:] != images.shape[1:]:
        raise ValueError(
            f"The model takes images of {model.input_shape[1:]}, the data set has "
            f"{images.shape[1:]}: give another --image-size."
        )
