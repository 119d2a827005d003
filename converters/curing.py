"""A copy of a model without those faults that can be cured without changing its function."""

from collections.abc import Callable
from typing import Any

from larq_reactnet._graph.calls import Call, KerasTensor, Tensors, rebuild, run_call
from larq_reactnet._graph.graph import Graph
from larq_reactnet._graph.padding import (
    Amounts,
    Sizes,
    Window,
    padding_of,
    sizes_of,
    trimmed,
    window,
)
from larq_reactnet.converters._faults.finding import Fault
from larq_reactnet.converters._faults.kernels import missing_kernels
from larq_reactnet.converters._faults.loops import as_loop, unrolled
from larq_reactnet.converters._faults.parts import by_parts
from larq_reactnet.converters._faults.rewrites import (
    Rewrite,
    again,
    as_convolution,
    as_plane,
    padded,
    padded_before,
    plain_sign,
    split,
    with_map,
    with_ones,
)
from larq_reactnet.converters._faults.rules import faults
from larq_reactnet.converters._faults.signs import gives_one, is_sign
from larq_reactnet.converters._faults.steps import as_signs

import larq as lq
import tensorflow as tf

__all__ = ["CURES", "cure"]

# A function of a call, its graph, and the new tensors by the id of the old ones. It returns the new
# output of the call.
Cure = Callable[[Call, Graph, Tensors], KerasTensor]


def cure(model: tf.keras.Model) -> tf.keras.Model:
    """Cure every finding of `check` that is `applied`, without changing the function.

    For inference only: the copy is not meant to be trained.

    !!! example
        ```python
        deployed = lr.converters.cure(model)  # `export` does it by itself
        ```

    Args:
        model: Functional or sequential model. It is not changed.

    Returns:
        A functional model of the same inputs and outputs, or `model` itself if there is nothing
        to cure.

    Raises:
        ValueError: If a layer cannot be copied.
    """
    model = _cure_inner(model)
    graph = Graph(model)
    found = [*faults(graph), *missing_kernels(graph)]
    for name, cure_ in CURES.items():
        # A call is identified by its output.
        ours = {id(fault.call.outputs[0]): fault for fault in found if fault.cured_by == name}
        if ours:
            model = rebuild(model, _replacing(ours, cure_, graph))
            graph = Graph(model)
            found = [*faults(graph), *missing_kernels(graph)]
    return model


def _cure_inner(model: tf.keras.Model) -> tf.keras.Model:
    """Cure the models that are layers of `model`."""
    inner = {id(m): m for m in model.layers if isinstance(m, tf.keras.Model) and m.inputs}
    cured = {key: cure(found) for key, found in inner.items()}
    if all(cured[key] is inner[key] for key in inner):
        return model

    def replace(call: Call, tensors: Tensors) -> Any:
        layer = cured.get(id(call.layer), call.layer)
        return None if layer is call.layer else run_call(call, layer, tensors)

    return rebuild(model, replace)


def _replacing(found: dict[int, Fault], cure_: Cure, graph: Graph) -> Any:
    def replace(call: Call, tensors: Tensors) -> Any:
        fault = found.get(id(call.outputs[0]))
        return None if fault is None else cure_(fault.call, graph, tensors)

    return replace


def _plain_sign(call: Call, graph: Graph, tensors: Tensors) -> Any:
    """Replace a sign that LCE does not recognize by one that it does."""
    if not is_sign(call.layer):
        return _sign_again(call, graph, tensors)
    tensor = tensors[id(call.inputs[0])]
    return lq.quantizers.SteSign(name=graph.name(call), dtype=tensor.dtype)(tensor)


def _sign_again(call: Call, graph: Graph, tensors: Tensors) -> Any:
    """Give the layer an input quantizer: the sign of a sign is the same sign."""
    tensor = tensors[id(call.inputs[0])]
    return again(call.layer, tensor, name=graph.name(call), input_quantizer=plain_sign(call.layer))


def _pad_before_sign(call: Call, graph: Graph, tensors: Tensors) -> Any:
    """Replace padding with ones after a sign by padding before it, with what has the sign +1."""
    return again(call.layer, _signs_with_ones(call, graph, tensors), name=graph.name(call))


def _ring_of_ones(call: Call, graph: Graph, tensors: Tensors) -> Any:
    """Replace padding with zeros after a sign by ones, and subtract what they add."""
    padding = graph.source(call.inputs[0])
    amounts, sizes, view = _geometry(padding, call)
    tensor, kept = _signs_with_ones(call, graph, tensors), trimmed(sizes, amounts, view)
    return with_map(call.layer, tensor, graph.name(call), sizes, kept)


def _signs_with_ones(call: Call, graph: Graph, tensors: Tensors) -> KerasTensor:
    """The signs before a convolution, padded with ones where they were padded after the sign."""
    padding = graph.source(call.inputs[0])
    sign = graph.source(padding.inputs[0])
    amounts, sizes, view = _geometry(padding, call)
    name, tensor = graph.name(call), tensors[id(sign.inputs[0])]
    if gives_one(sign.layer, 0.0, tensor.shape[-1]):
        tensor = _zero_padding(tensor, trimmed(sizes, amounts, view), f"{name}_padding")
    else:
        tensor = padded(tensor, trimmed(sizes, amounts, view))
    return again(sign.layer, tensor, name=f"{name}_sign")


def _same_padding(value: float) -> Cure:
    """Replace padding after a sign by the `padding="same"` of the convolution."""

    def cure_(call: Call, graph: Graph, tensors: Tensors) -> Any:
        tensor = tensors[id(graph.source(call.inputs[0]).inputs[0])]
        return again(call.layer, tensor, name=graph.name(call), padding="same", pad_values=value)

    return cure_


def _trim(call: Call, graph: Graph, tensors: Tensors) -> Any:
    """Leave out padding that is never read; LCE does not mistake the rest for "same"."""
    taker = graph.only_taker(call)
    assert taker is not None  # because the rule `_shift` found one
    amounts, sizes, view = _geometry(call, taker)
    tensor = tensors[id(call.inputs[0])]
    return _zero_padding(tensor, trimmed(sizes, amounts, view), graph.name(call))


def _zero_padding(tensor: KerasTensor, amounts: Amounts, name: str) -> Any:
    return tf.keras.layers.ZeroPadding2D(amounts, name=name, dtype=tensor.dtype)(tensor)


def _geometry(padding: Call, convolution: Call) -> tuple[Amounts, Sizes, Window]:
    pad, sizes = padding_of(padding), sizes_of(padding.inputs[0])
    view = window(convolution.layer)
    if pad is None or sizes is None or view is None:  # the rules find no such fault
        raise ValueError(f"{convolution.layer.name} has no padding before it.")
    return pad.amounts, sizes, view


def _rewritten(rewrite: Rewrite) -> Cure:
    def cure_(call: Call, graph: Graph, tensors: Tensors) -> Any:
        return rewrite(call.layer, tensors[id(call.inputs[0])], graph.name(call))

    return cure_


def _by_parts(call: Call, graph: Graph, tensors: Tensors) -> Any:
    """Compute a layer by functions for which the engines have kernels."""
    parts = by_parts(call)
    assert parts is not None  # because the fault says so
    return parts.build(tensors[id(call.inputs[0])], graph.name(call))


def _recurrent(replacement: Callable[..., tf.keras.layers.Layer | None]) -> Cure:
    """Replace a recurrent layer by another with the same weights."""

    def cure_(call: Call, graph: Graph, tensors: Tensors) -> Any:
        layer = replacement(call.layer, graph.name(call))
        assert layer is not None  # because the fault says so
        result = run_call(call, layer, tensors)
        layer.set_weights(call.layer.get_weights())
        return result

    return cure_


# The cures, by the `cured_by` of the faults that they cure. They are applied in this order, so that
# later ones also cure the faults of layers that earlier ones have made.
CURES: dict[str, Cure] = {
    "parts": _by_parts,
    "loop": _recurrent(as_loop),
    "unrolled": _recurrent(unrolled),
    "form": _plain_sign,
    "lost": _sign_again,
    "steps": _rewritten(as_signs),
    "line": _rewritten(as_plane),
    "ones": _pad_before_sign,
    "same": _same_padding(1.0),
    "zeros": _same_padding(0.0),
    "ring": _ring_of_ones,
    "minus": _rewritten(padded_before),
    "dense": _rewritten(as_convolution),
    "groups": _rewritten(split),
    "small": _rewritten(with_ones),
    "shift": _trim,
}
