"""A real network of the user's own, made binary: what `train --float-model` trains.

It is no model of the list, because it is nothing without the file of the real network.
"""

from pathlib import Path

from larq_reactnet import model_files
from larq_reactnet._graph.calls import call_again, model_of
from larq_reactnet._graph.endings import endings
from larq_reactnet._graph.graph import Graph
from larq_reactnet._run_folder import RunFolder
from larq_reactnet._types import ImageShape
from larq_reactnet.binarizing.rewriting import binarize_model
from larq_reactnet.binarizing.unfolding import unfolded
from larq_reactnet.zoo.registry import create, register

import tensorflow as tf

__all__ = ["Binarized", "real_network"]


def real_network(path: str | Path) -> tf.keras.Model:
    """The real network in the folder of a run, or in what Keras saved."""
    path = Path(path)
    if RunFolder(path).exists():
        return create(RunFolder(path).read()["arguments"]["model"], weights=path)
    return model_files.load_model(path)


@register(
    "binarized",
    paper="ReActNet",
    year=2020,
    url="https://arxiv.org/abs/2003.03488",
    listed=False,
)
def Binarized(
    *,
    source: str,
    input_shape: ImageShape | None = None,
    num_classes: int | None = None,
    weights: str | None = None,
    classifier_activation: str | None = "softmax",
    binary_weights: bool = True,
    real: bool = False,
    style: str = "reactnet",
    skip: tuple[str, ...] = (),
    shortcuts: bool | None = None,
    widen: bool | None = None,
) -> tf.keras.Model:
    """The binary form of a real network, with its weights to start from.

    By default, sizes and classes are those of the real network.

    Args:
        source: The file of the real network, or the folder of its run.
        binary_weights: `False` for real weights, as in step 1.
        real: Whether the network stays as it is; only input and output are as said here.
        style: This one and the next three are arguments of `binarize_model`.
        skip: See there.
        shortcuts: See there.
        widen: See there.
    """
    if weights is not None:
        raise ValueError("`weights` of a binarized network are the folder of a run, or None.")
    found = real_network(source)
    try:
        model = _to_logits(found, num_classes)
        if input_shape is not None:
            model = _for_images(model, tuple(input_shape))
        if not real:
            model = binarize_model(
                model,
                style,
                skip=skip,
                shortcuts=shortcuts,
                widen=widen,
                binary_weights=binary_weights,
                report=None,
            )
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    if classifier_activation is None:
        return model
    ending = tf.keras.layers.Activation(classifier_activation, dtype="float32", name="output")
    return model_of(model.inputs, [ending(model.output)], model.name)


def _to_logits(model: tf.keras.Model, num_classes: int | None) -> tf.keras.Model:
    """`model` without the softmax at its end.

    Raises:
        ValueError: If it does not classify, or has another number of classes.
    """
    shapes = [tuple(tensor.shape) for tensor in model.outputs]
    ending = endings(model)[0]
    if len(model.inputs) > 1 or shapes[1:] or len(shapes[0]) != 2 or ending not in _ENDINGS:
        raise ValueError(
            f"it must take images and end in a softmax or in logits of classes, but it has "
            f"{len(model.inputs)} inputs, outputs of shape {shapes} and ends in {ending!r}."
        )
    if num_classes not in (None, shapes[0][1]):
        raise ValueError(
            f"it has {shapes[0][1]} classes, and the data set has {num_classes}: train the real "
            "network on this data set first, with a last layer of its own."
        )
    if ending == "linear":
        return model
    model = unfolded(model, last=True)
    softmax = Graph(model).source(model.outputs[0])
    return model_of(model.inputs, [softmax.inputs[0]], model.name)


_ENDINGS = ("softmax", "linear")


def _for_images(model: tf.keras.Model, shape: ImageShape) -> tf.keras.Model:
    """`model`, if it takes images of `shape`; with this shape, if it takes any size.

    Raises:
        ValueError: If it takes others.
    """
    taken = tuple(model.input_shape[1:])
    fits = len(taken) == len(shape) and all(
        size in (None, given) for size, given in zip(taken, shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"it takes images of {taken}, and those of the data set are {shape}: give another "
            "--image-size (`image_size`)."
        )
    if taken == shape:
        return model
    inputs = [tf.keras.layers.Input(shape)]
    tensors = call_again(model, inputs)
    return model_of(inputs, [tensors[id(tensor)] for tensor in model.outputs], model.name)
