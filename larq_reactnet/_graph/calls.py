"""Functional and sequential Keras models, read as a list of calls and built again."""

import contextlib
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from larq_reactnet._keras import refuse_keras_3

import tensorflow as tf

# What layers are called with while a functional model is built, and take and give in it.
KerasTensor: TypeAlias = Any
# New tensors, by the id of the old ones in whose place they come.
Tensors: TypeAlias = dict[int, KerasTensor]
# A quantizer of Larq, which is a layer, or a function of tensors.
Quantizer: TypeAlias = Any

__all__ = [
    "Call",
    "KerasTensor",
    "Quantizer",
    "Tensors",
    "call_again",
    "calls_in",
    "clone",
    "consumers",
    "flattened",
    "float64_errors",
    "functions_of",
    "model_like",
    "model_of",
    "new_inputs",
    "rebuild",
    "run_call",
    "run_in_inference",
]


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer in a model. Two are equal if they give the same tensors.

    Attributes:
        layer: The layer; one that is shared has several calls.
        inputs: Keras tensors that it takes, wherever among its arguments.
        outputs: Keras tensors that it gives.
        arguments: All arguments and keyword arguments, Keras tensors among them.
    """

    layer: tf.keras.layers.Layer
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Call) and self.outputs[0] is other.outputs[0]

    def __hash__(self) -> int:
        return id(self.outputs[0])


def calls_in(model: tf.keras.Model) -> list[Call]:
    """The calls of `model`, each after those that it depends on; the inputs come first."""
    refuse_keras_3(model)
    found: dict[int, Call] = {}
    for tensor in model.inputs:
        node = tensor.node
        found[id(node)] = Call(node.layer, (), (tensor,), ((), {}))
    waiting = [tensor.node for tensor in reversed(model.outputs)]
    while waiting:  # not recursive, because a network may be deeper than Python's stack
        node = waiting[-1]
        missing = [t.node for t in node.keras_inputs if id(t.node) not in found]
        if id(node) in found or missing:
            waiting.extend(reversed(missing)) if id(node) not in found else waiting.pop()
            continue
        waiting.pop()
        found[id(node)] = Call(
            node.layer,
            tuple(node.keras_inputs),
            tuple(tf.nest.flatten(node.outputs)),
            (node.call_args, node.call_kwargs),
        )
    return [*found.values()]


def consumers(model: tf.keras.Model) -> dict[int, list[Call]]:
    """For the id of each Keras tensor of `model`, the calls that take it."""
    taken: dict[int, list[Call]] = defaultdict(list)
    for call in calls_in(model):
        for tensor in dict.fromkeys(map(id, call.inputs)):
            taken[tensor].append(call)
    return taken


def clone(
    layer: tf.keras.layers.Layer, *, dtype: str | None = None, **changes: Any
) -> tf.keras.layers.Layer:
    """A new layer of the same class and configuration, with `changes`; it has no weights yet.

    Args:
        layer: The layer.
        dtype: Type of the new one, and of the quantizers in it.
        **changes: Other values in its configuration.

    Raises:
        ValueError: If the layer has no `get_config`.
    """
    try:
        config = layer.get_config()
    except NotImplementedError as error:
        raise ValueError(
            f"{layer.name} cannot be copied: its class {type(layer).__name__} has no `get_config`."
        ) from error
    config = {key: _own(layer, key, value) for key, value in _unbuilt(config, dtype).items()}
    with tf.keras.utils.custom_object_scope(functions_of(layer)):
        return type(layer).from_config({**config, **changes})


def _own(layer: tf.keras.layers.Layer, key: str, value: Any) -> Any:
    """What a layer has itself in place of `value`, if that is a lambda: Keras reads no code.

    But for `Lambda`, which reads its own.
    """
    own = getattr(layer, key, None)
    is_lambda = getattr(own, "__name__", None) == "<lambda>"
    return own if is_lambda and not isinstance(layer, tf.keras.layers.Lambda) else value


def functions_of(layer: tf.keras.layers.Layer) -> dict[str, Any]:
    """The functions that a layer has as quantizers and the like, by their names.

    The configuration of a layer has only the names of functions. Keras does not find those that are
    not registered with it, unless it is given them.
    """
    values = [value for value in vars(layer).values() if callable(value)]
    return {value.__name__: value for value in values if hasattr(value, "__name__")}


def _unbuilt(config: Any, dtype: str | None) -> Any:
    """A configuration without the shapes that the layer was built for, and with type `dtype`."""
    if isinstance(config, dict):
        return {
            key: dtype or value if key == "dtype" else _unbuilt(value, dtype)
            for key, value in config.items()
            if key != "build_config"
        }
    return [_unbuilt(value, dtype) for value in config] if isinstance(config, list) else config


def run_call(
    call: Call, layer: tf.keras.layers.Layer, tensors: Tensors, *, training: bool | None = None
) -> Any:
    """Call `layer` with the arguments of `call`, with `tensors` in place of its Keras tensors.

    Args:
        call: Call of a layer.
        layer: The layer to call in place of its own.
        tensors: New tensors by the id of the old ones.
        training: Whether the layer is to train, if it can tell. Layers of augmentation are active
            unless they get False. With None, it is left to the model that is built.
    """
    args, kwargs = tf.nest.map_structure(
        lambda value: tensors.get(id(value), value), call.arguments
    )
    if training is not None and "training" in inspect.signature(layer.call).parameters:
        kwargs = {**kwargs, "training": training}
    return layer(*args, **kwargs)


def run_in_inference(call: Call, tensors: Sequence[Any]) -> Any:
    """What the layer of `call` gives for other tensors than its Keras tensors, in inference."""
    args, kwargs = call.arguments
    if "training" in inspect.signature(call.layer.call).parameters:
        kwargs = {**kwargs, "training": False}
    inference = Call(call.layer, call.inputs, call.outputs, (args, kwargs))
    given = {id(old): new for old, new in zip(call.inputs, tensors, strict=True)}
    return run_call(inference, call.layer, given)


def new_inputs(
    model: tf.keras.Model,
    dtype: str | None = None,
    shapes: Sequence[tuple[int, ...]] | None = None,
) -> list[Any]:
    """Input tensors like those of `model`, or of other shapes (without the axis of the batch)."""
    return [
        tf.keras.layers.Input(
            batch_shape=(tensor.shape[0], *(tensor.shape[1:] if shapes is None else shapes[i])),
            name=tensor.node.layer.name,
            dtype=dtype or tensor.dtype,
        )
        for i, tensor in enumerate(model.inputs)
    ]


def call_again(
    model: tf.keras.Model,
    inputs: list[Any],
    replace: Callable[[Call, Tensors], Any] | None = None,
    dtype: str | None = None,
) -> dict[int, Any]:
    """Call copies of the layers of `model`, weights included, on other inputs.

    Args:
        model: Functional or sequential model. It is not changed.
        inputs: A Keras tensor for each of its inputs.
        replace: Given a call and the new tensors by the id of the old ones, returns the new output
            of that call, or `None` to have its layer copied.
        dtype: Type of the copies, such as `"float64"`.

    Returns:
        The new tensors, by the id of the old ones.
    """
    tensors = {id(old): new for old, new in zip(model.inputs, inputs, strict=True)}
    layers: dict[int, tf.keras.layers.Layer] = {}
    for call in calls_in(model)[len(model.inputs) :]:
        new = None if replace is None else replace(call, tensors)
        if new is None:
            if id(call.layer) not in layers:
                layers[id(call.layer)] = copy = clone(call.layer, dtype=dtype)
                new = run_call(call, copy, tensors)
                copy.set_weights(call.layer.get_weights())
            else:
                new = run_call(call, layers[id(call.layer)], tensors)
        for old, output in zip(call.outputs, tf.nest.flatten(new), strict=True):
            tensors[id(old)] = output
    return tensors


def rebuild(
    model: tf.keras.Model,
    replace: Callable[[Call, Tensors], Any] | None = None,
    dtype: str | None = None,
) -> tf.keras.Model:
    """A copy of `model`, weights included, with some calls replaced: see `call_again`."""
    inputs = new_inputs(model, dtype)
    tensors = call_again(model, inputs, replace, dtype)
    return model_of(inputs, [tensors[id(tensor)] for tensor in model.outputs], model.name)


@contextlib.contextmanager
def float64_errors(model: tf.keras.Model) -> Iterator[None]:
    """Raise ValueError if a layer of `model` turns out to compute in float32 only."""
    try:
        yield
    except (TypeError, tf.errors.InvalidArgumentError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(f"{model.name!r} does not run in float64: {reason}") from error


def model_like(model: tf.keras.Model, inputs: list[Any], outputs: list[Any]) -> tf.keras.Model:
    """The functional model from `inputs` to `outputs`, which takes and gives them as `model` does.

    Its inputs and outputs may be lists and dictionaries.
    """
    return tf.keras.Model(
        tf.nest.pack_sequence_as(model.input, inputs),
        tf.nest.pack_sequence_as(model.output, outputs),
        name=model.name,
    )


def model_of(inputs: list[Any], outputs: list[Any], name: str) -> tf.keras.Model:
    """The functional model from `inputs` to `outputs`, one or several."""
    return tf.keras.Model(
        inputs[0] if len(inputs) == 1 else inputs,
        outputs[0] if len(outputs) == 1 else outputs,
        name=name,
    )


def flattened(model: tf.keras.Model) -> tf.keras.Model:
    """A copy of `model` with the layers of inner models as its own; `model` if there are none.

    A layer whose name is taken gets the name of its inner model in front of it.
    """
    if not any(isinstance(layer, tf.keras.Model) and layer.inputs for layer in model.layers):
        return model
    names = {layer.name for layer in model.layers}
    copies: dict[int, tf.keras.layers.Layer] = {}

    def call_inside(call: Call, tensors: Tensors, prefix: str) -> Any:
        layer = call.layer
        if isinstance(layer, tf.keras.Model) and layer.inputs:
            inside = {
                id(inner): tensors[id(outer)]
                for inner, outer in zip(layer.inputs, call.inputs, strict=True)
            }
            for inner in calls_in(layer)[len(layer.inputs) :]:
                new = tf.nest.flatten(call_inside(inner, inside, f"{layer.name}_"))
                inside.update(zip(map(id, inner.outputs), new, strict=True))
            return [inside[id(tensor)] for tensor in layer.outputs]
        if id(layer) in copies:
            return run_call(call, copies[id(layer)], tensors)
        name = layer.name
        while prefix and name in names:
            name = prefix + name
        names.add(name)
        copies[id(layer)] = copy = clone(layer, name=name)
        result = run_call(call, copy, tensors)
        copy.set_weights(layer.get_weights())
        return result

    return rebuild(model, lambda call, tensors: call_inside(call, tensors, ""))
