"""The step that `model.fit` runs, as files for a machine that has XLA but no TensorFlow.

`export_step` traces the model's own `train_step`, with its optimizer, schedule, losses and
constraints. The files are for a kit of scripts in another folder, called KIT here, whose README
says which files each call to the other machine must carry:

    # here: as `training.train` does
    network = network_of(recipe, step, data)  # of step 2: carry_over(network, network_of(...))
    model = compiled(network, recipe, step, 50_000 // recipe.batch_size, teacher)
    export_step(model, recipe.batch_size, ".gpu/3/step", mean=data.mean, std=data.std)
    # here, in an environment with the JAX of the other machine
    python KIT/bridge.py .gpu/3/step && rm .gpu/3/step/*.hlo
    # there, and with `--resume /tmp/run` in further calls; EPOCHS is step.epochs
    python3 train_loop.py step --data . --out /tmp/run --epochs EPOCHS --minutes 8
    # here, with the kit's load_weights.py; then the next step of the recipe, if there is one
    load_weights(network, ".gpu/3/step", "result/final.npz")

Three things differ from `model.fit`:

- The learning rate follows the optimizer's `iterations`, which are part of the state. The kit's
  loop sets a learning rate of its own in a slot that no program reads. So its options `--lr`,
  `--schedule` and `--warmup` change nothing, and the `lr` that it prints is not the one in use.
- The loop leaves out the last, smaller batch of an epoch, so `steps_per_epoch` is
  `images // batch_size`.
- Where shifted images leave a gap, the loop fills it with their mean color, `zoo.datasets` with
  black.
"""

import io
import json
import re
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from larq_reactnet._latent import latent
from larq_reactnet.distillation import Distiller

import numpy as np
import tensorflow as tf

__all__ = ["Program", "export_step", "programs_of"]

_PART_BYTES = 55 << 20  # of the initial weights, which travel in one call each


@dataclass(frozen=True)
class Program:
    """A compiled function of inputs and of the values of variables.

    Attributes:
        ir: Function that gives it at a stage of XLA, like `stage="hlo_serialized"`.
        inputs: What it takes first.
        state: Variables whose values it takes then, in this order.
        updated: Variables whose new values follow its results, in this order.
    """

    ir: Callable[..., Any]
    inputs: list[tf.TensorSpec]
    state: list[tf.Variable]
    updated: list[tf.Variable]


def programs_of(model: tf.keras.Model, batch_size: int) -> tuple[Program, Program]:
    """A batch of `model.fit`, and inference, as functions with explicit state.

    Args:
        model: Compiled with `metrics=["accuracy"]`; a `Distiller` or a model of one input and
            output. Neither weights nor optimizer are changed.
        batch_size: Images in a batch; the programs take no other number.

    Returns:
        Training, (images, labels, state) to (loss, accuracy, new state), where both are of the
        batch alone, and inference, (images, state) to outputs.

    Raises:
        ValueError: If the model is not compiled, has no accuracy, has an optimizer that is not a
            `tf.keras.optimizers.Optimizer`, or needs a tensor that is not a variable.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        raise ValueError(f"{model.name!r} is not compiled: call `model.compile` first.")
    if not isinstance(optimizer, tf.keras.optimizers.Optimizer):
        raise ValueError(
            f"The optimizer {type(optimizer).__name__} is a legacy one, which cannot be exported: "
            "compile the model with one of `tf.keras.optimizers`."
        )
    network = _network(model)
    images = tf.TensorSpec((batch_size, *network.input_shape[1:]), network.inputs[0].dtype)
    labels = tf.TensorSpec((batch_size,), tf.int32)

    # All variables must be there before the trace, but Keras makes these at the first step.
    optimizer.build(model.trainable_variables)
    example = tf.zeros((batch_size,), tf.int32)
    outputs = tf.ones((batch_size, network.output_shape[-1]), network.outputs[0].dtype)
    model.compiled_loss(example, outputs)
    if "accuracy" not in model.compute_metrics(None, example, outputs, None):
        raise ValueError(f'Compile {model.name!r} with `metrics=["accuracy"]`, which is exported.')
    model.reset_metrics()

    def step(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        model.reset_metrics()
        logs = model.train_step((images, labels))
        return logs["loss"], logs["accuracy"]

    def inference(images: tf.Tensor) -> tuple[tf.Tensor]:
        return (network(images, training=False),)

    train = _program(step, [images, labels], 2, optimizer.variables)
    return train, _program(inference, [images], 1)


def export_step(
    model: tf.keras.Model,
    batch_size: int,
    folder: str | Path,
    *,
    mean: Sequence[float],
    std: Sequence[float],
) -> dict[str, Any]:
    """Write the training step of `model`, its inference, and the values to start from.

    Args:
        model: See `programs_of`. Training goes on from its state.
        batch_size: Images in a batch.
        folder: New folder, for `train.hlo`, `eval.hlo`, `meta.json` and `weights.npz.00`, ...
        mean: Of each channel of the pixels, 0 to 255. The model sees `(pixels - mean) / std`.
        std: See `mean`.

    Returns:
        The content of `meta.json`.

    Raises:
        ValueError: If `folder` holds files, or as for `programs_of`.
        OSError: If the folder cannot be made.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists: give another folder, or remove it.")
    train, inference = programs_of(model, batch_size)
    network = _network(model)
    # What Larq trains of a quantized kernel is its latent variable.
    own = [latent(variable) for variable in network.variables]
    state = list({id(v): v for v in (*train.state, *inference.state, *own)}.values())
    place, model_index = ({id(v): index for index, v in enumerate(vs)} for vs in (state, own))
    lists = (train.state, train.updated, inference.state)
    train_state, updated, inference_state = ([place[id(v)] for v in vs] for vs in lists)
    keys = ("name", "shape", "dtype", "model_index")
    entries = [(v.name, v.shape.as_list(), v.dtype.name, model_index.get(id(v))) for v in state]
    entries.append(("unread", [], "float32", None))  # for the loop's learning rate
    meta = {
        "batch": batch_size,
        "image": {"shape": list(network.input_shape[1:]), "dtype": train.inputs[0].dtype.name},
        "classes": network.output_shape[-1],
        "mean": [float(value) for value in mean],
        "std": [float(value) for value in std],
        "teacher_logits": False,
        "learning_rate": 0.0,
        "learning_rate_state": len(state),
        "train": {"state": train_state, "updated": updated},
        "eval": {"state": inference_state},
        "state": [dict(zip(keys, entry, strict=True)) for entry in entries],
    }
    buffer = io.BytesIO()  # zeros, as most slots of optimizers are, are not written
    np.savez(buffer, **{f"s{i}": v.numpy() for i, v in enumerate(state) if v.numpy().any()})
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        new = Path(temporary) / "step"
        new.mkdir()
        (new / "train.hlo").write_bytes(train.ir(stage="hlo_serialized"))
        (new / "eval.hlo").write_bytes(inference.ir(stage="hlo_serialized"))
        (new / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")
        for number, start in enumerate(range(0, buffer.tell(), _PART_BYTES)):
            part = buffer.getbuffer()[start : start + _PART_BYTES]
            (new / f"weights.npz.{number:02d}").write_bytes(part)
        new.replace(folder)
    return meta


def _network(model: tf.keras.Model) -> tf.keras.Model:
    return model.student if isinstance(model, Distiller) else model


def _program(
    function: Callable[..., Any],
    inputs: list[tf.TensorSpec],
    results: int,
    updated: Sequence[tf.Variable] = (),
) -> Program:
    """`function`, which returns as many values as `results` says, with its state made explicit.

    `updated` are variables that it may only write, in operations that take their handles.
    """
    compiled = tf.function(function, jit_compile=True, input_signature=inputs)
    concrete = compiled.get_concrete_function()
    known = (*concrete.graph.variables, *updated)
    variables = {id(variable.handle): variable for variable in known}
    for tensor in concrete.captured_inputs:
        if id(tensor) not in variables:
            raise ValueError(
                f"The step needs a {tensor.dtype.name} tensor of shape {tensor.shape} that is not "
                "a variable: make it a `tf.Variable` or a NumPy array."
            )
    state = [variables[id(tensor)] for tensor in concrete.captured_inputs]
    ir = compiled.experimental_get_compiler_ir(*[tf.zeros(i.shape, i.dtype) for i in inputs])
    text = ir(stage="hlo")
    if re.search(r"\brng(-bit-generator)?\(", text):
        warnings.warn("The step draws random numbers, others than `model.fit`.", stacklevel=3)
    # The first line says which result replaces which parameter.
    pairs = re.findall(r"\{(\d+)\}: \((\d+), \{\}, (?:may|must)-alias\)", text.split("\n", 1)[0])
    if [int(result) for result, _ in pairs] != [*range(results, results + len(pairs))]:
        raise ValueError("The results of the step are in an order that is not understood.")
    return Program(ir, inputs, state, [state[int(p) - len(inputs)] for _, p in pairs])
