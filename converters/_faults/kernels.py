"""Layers with real numbers that the engines have no kernel for, or that LCE gets wrong.

Nobody has a list of what LCE converts and its interpreter runs, and a model may hold any function.
So layers and functions that are not known to be good are tried: LCE converts them, and its
interpreter runs them on random numbers. All of a model are tried at once, and one by one only if
something is wrong.
"""

import functools
import itertools
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from larq_reactnet._graph.calls import Call, KerasTensor, run_in_inference
from larq_reactnet._graph.graph import Graph
from larq_reactnet.converters._faults.finding import Fault, Finding
from larq_reactnet.converters._faults.known import (
    GOOD_ACTIVATIONS,
    is_good_function,
    is_good_layer,
)
from larq_reactnet.converters._faults.loops import (
    gives_sequences,
    is_fused,
    is_loop,
    is_stateful,
    unrolled,
)
from larq_reactnet.converters._faults.parts import by_parts
from larq_reactnet.converters._faults.rules import is_binary_convolution
from larq_reactnet.converters._faults.trying import Trial, try_function
from larq_reactnet.converters._lce import BCONV2D, BMAXPOOL2D, DEQUANTIZE, QUANTIZE

import larq as lq
import numpy as np
import tensorflow as tf

__all__ = ["missing_kernels"]

layers = tf.keras.layers

_TOLERANCE = 1e-3  # relative to the largest output; what is wrong is wrong by far more
_ROWS = 2  # the second shows what an interpreter keeps of the first
# Operators of what a function is tried with.
_AROUND = ("RESHAPE", "STRIDED_SLICE", "SPLIT_V", "CONCATENATION", "CAST")
_OWN = (QUANTIZE, DEQUANTIZE, BCONV2D, BMAXPOOL2D)

# What to do instead, by words in the names of operators that there are no kernels for.
_HINTS = {
    "Pool3D": "reshape, so that the pooling has two dimensions",
    "Resize": "use the interpolation 'bilinear' or 'nearest'",
    "ScaleAndTranslate": "use the interpolation 'bilinear' or 'nearest'",
    "Bincount": "use `tf.one_hot` and `tf.reduce_sum`",
    "Erfc": "use `1 - tf.math.erf(x)`, which `export` writes by its parts",
    "Tan": "use `tf.sin(x) / tf.cos(x)`",
}

_tried: dict[str, "_Verdict | None"] = {}  # by the keys of pieces
_MOST = 200  # answers that are kept


class _Verdict(NamedTuple):
    problem: str
    kind: str = "refused"
    cure: str = ""  # if it is another one than usual


_JOINED = _Verdict(
    "LCE makes one tensor of the two states of an LSTM, and engines keep it from one input to the "
    "next",
    "wrong",
)
_SEVERAL = _Verdict(
    "LCE cannot convert several recurrent layers, or its interpreter computes other numbers",
    "wrong",
)
_SEQUENCES = _Verdict(
    "LCE's interpreter computes other numbers if a recurrent layer gives its output for each step",
    "wrong",
)
_FUSED = _Verdict(
    "LCE fuses its constant, which is not one number per channel, into the binary convolution "
    "before it, whose kernel refuses that",
    cure="add or multiply by one number per channel, of shape (channels,)",
)


class _Piece(NamedTuple):
    """A function of tensors that is tried.

    Attributes:
        function: The function.
        inputs: Keras tensors that it takes.
        is_behind: Whether a binary convolution gives the first of them.
        key: What tells it from other functions.
    """

    function: Callable[[Sequence[Any]], Any]
    inputs: tuple[KerasTensor, ...]
    is_behind: bool
    key: str


def missing_kernels(graph: Graph) -> list[Fault]:
    """The faults of layers that the engines cannot run, or that LCE converts wrongly."""
    loops = [call for call in graph.calls if is_loop(call.layer)]
    found = []
    if len(loops) > 1:
        found = [_of_loop(call, _SEVERAL) for call in loops]
    elif any(gives_sequences(call.layer) for call in loops):
        found = [_of_loop(call, _SEQUENCES) for call in loops]
    else:
        found = [_of_loop(call, _JOINED) for call in loops if is_fused(call.layer)]
    judged = {id(fault.layer) for fault in found}
    waiting = [
        (call, piece)
        for call in graph.calls
        if id(call.layer) not in judged and (piece := _piece(graph, call)) is not None
    ]
    verdicts = _verdicts([piece for _, piece in waiting])
    for (call, _), verdict in zip(waiting, verdicts, strict=True):
        if verdict is not None:
            found.append(_fault(call, verdict))
    return found


def _of_loop(call: Call, verdict: "_Verdict") -> Fault:
    """What is wrong with a recurrent layer, and the form in which it is right."""
    layer = call.layer
    cure, cured_by = "use one recurrent layer, not stateful, that can be unrolled", ""
    if not is_stateful(layer):
        if verdict is _JOINED:
            cure, cured_by = "write it as `RNN(LSTMCell(...))`, a loop", "loop"
        elif call.inputs[0].shape[1] is not None and unrolled(layer, layer.name) is not None:
            cure, cured_by = "give it `unroll=True`", "unrolled"
    finding = Finding(layer.name, verdict.problem, cure, verdict.kind, bool(cured_by))
    return Fault(finding, layer, call, cured_by)


def _fault(call: Call, verdict: _Verdict) -> Fault:
    if is_loop(call.layer):
        return _of_loop(call, verdict)
    parts = by_parts(call)
    if parts is not None:
        cure = parts.cure
    else:
        hints = (hint for name, hint in _HINTS.items() if name in verdict.problem)
        usual = next(hints, "write it by functions for which TensorFlow Lite has kernels")
        cure = verdict.cure or usual
    finding = Finding(call.layer.name, verdict.problem, cure, verdict.kind, parts is not None)
    return Fault(finding, call.layer, call, "" if parts is None else "parts")


def _piece(graph: Graph, call: Call) -> _Piece | None:
    """What of a call has to be tried; None if it is known to be good, or cannot be tried."""
    layer = call.layer
    inner = isinstance(layer, tf.keras.Model) and layer.inputs
    if inner or isinstance(layer, lq.quantizers.Quantizer) or not call.inputs:
        return None
    if is_good_function(call):
        return None
    key: Any = (_form(layer), _shapes(call.arguments))
    function: Callable[[Sequence[Any]], Any] = functools.partial(run_in_inference, call)
    inputs = call.inputs
    if is_good_layer(call):
        activation = getattr(layer, "activation", None)
        if activation is None or activation in GOOD_ACTIVATIONS or _is_sign(graph, call):
            return None
        if type(layer) is not layers.Activation:  # the rest of the layer is good
            inputs, key = call.outputs, (activation, _shapes(call.outputs))
            function = lambda tensors: activation(tensors[0])  # noqa: E731
    if any(None in tensor.shape[1:] or tensor.dtype == tf.string for tensor in inputs):
        return None
    is_behind = inputs is call.inputs and _is_behind_binary(graph, call)
    return _Piece(function, tuple(inputs), is_behind, repr((key, is_behind)))


def _is_sign(graph: Graph, call: Call) -> bool:
    """Whether a binary convolution takes the result, so that its rules judge the activation."""
    taker = graph.only_taker(call)
    if taker is None or not is_binary_convolution(graph, taker):
        return False
    return taker.layer.input_quantizer is None


def _is_behind_binary(graph: Graph, call: Call) -> bool:
    """Whether LCE may join what the call does with a binary convolution before it."""
    tensor = call.inputs[0]
    if len(tensor.shape) != 4 or tensor.dtype != tf.float32:
        return False
    source = graph.source(tensor)
    while type(source.layer) is layers.BatchNormalization:
        source = graph.source(source.inputs[0])
    return is_binary_convolution(graph, source)


def _verdicts(pieces: list[_Piece]) -> list[_Verdict | None]:
    """What is wrong with each of these; nothing if it is in float64 and was not tried before.

    In float64 are copies of models that were tried.
    """
    new = [p for p in {p.key: p for p in pieces}.values() if p.key not in _tried]
    new = [p for p in new if all(tensor.dtype != tf.float64 for tensor in p.inputs)]
    if len(_tried) + len(new) > _MOST:
        _tried.clear()
    if len(new) == 1 or (new and _judge(new) is not None):
        _tried.update({piece.key: _judge([piece]) for piece in new})
    else:
        _tried.update({piece.key: None for piece in new})
    return [_tried.get(piece.key) for piece in pieces]


def _judge(pieces: list[_Piece]) -> _Verdict | None:
    """What is wrong with several functions together."""
    sizes = [int(np.prod(t.shape[1:])) for piece in pieces for t in piece.inputs]
    ends = np.cumsum([0, *sizes]).tolist()

    def function(flat: tf.Tensor) -> tf.Tensor:
        starts, results = itertools.pairwise(ends), []
        for piece in pieces:
            given = []
            for tensor in piece.inputs:
                first, last = next(starts)
                given.append(_as(tensor, flat[:, first:last]))
            if piece.is_behind:
                given[0] = _convolved(given[0])
            results += tf.nest.flatten(piece.function(given))
        flattened = [tf.reshape(tf.cast(result, tf.float32), (1, -1)) for result in results]
        return tf.concat(flattened, 1)

    inputs = np.random.default_rng(0).normal(size=(_ROWS, ends[-1])).astype(np.float32)
    try:
        function(tf.constant(inputs[:1]))
    except Exception:  # it takes other inputs than these; the model itself will show what it gives
        return None
    trial = try_function(function, inputs, batch=1)
    if trial is None or trial.is_equal(_TOLERANCE):
        return None
    if (
        len(pieces) == 1
        and pieces[0].is_behind
        and _judge([pieces[0]._replace(is_behind=False)]) is None
    ):
        return _FUSED
    return _explained(trial)


def _as(tensor: KerasTensor, flat: tf.Tensor) -> tf.Tensor:
    """Random numbers in the shape and type of a Keras tensor; 0 and 1 if these are integers."""
    values = tf.reshape(flat, (1, *tensor.shape[1:]))
    return values if tensor.dtype.is_floating else tf.cast(values > 0, tensor.dtype)


def _convolved(tensor: tf.Tensor) -> tf.Tensor:
    """A binary convolution of `tensor`, with biases, so that no two outputs are the same."""
    channels = tensor.shape[-1]
    rng = np.random.default_rng(1)
    kernel = np.sign(rng.normal(size=(1, 1, channels, channels))).astype(np.float32)
    biases = rng.uniform(-1, 1, channels).astype(np.float32)
    return tf.nn.bias_add(tf.nn.conv2d(lq.math.sign(tensor), kernel, 1, "VALID"), biases)


def _explained(trial: Trial) -> _Verdict:
    if not trial.operators:
        named = ", ".join(sorted(set(re.findall(r"'tf\.(\w+)' op", trial.refusal))))
        first = trial.refusal.split("\n")[0]
        return _Verdict(
            f"LCE cannot convert {f'its operator {named}' if named else f'it: {first}'}"
        )
    custom = [name for name in trial.operators if name not in _OWN and not name.isupper()]
    if custom:
        return _Verdict(f"no engine has a kernel for its operator {', '.join(custom)}")
    names = ", ".join(name for name in trial.operators if name not in _OWN + _AROUND)
    if trial.refusal:
        return _Verdict(f"LCE's interpreter refuses its operators ({names})")
    return _Verdict(f"LCE makes operators of it ({names}) that give other numbers", "wrong")


def _shapes(value: Any) -> Any:
    """The same structure with the shape of each tensor in its place."""
    return tf.nest.map_structure(lambda item: getattr(item, "shape", item), value)


def _plain(config: Any) -> Any:
    """A configuration without names and types, which a copy in float64 has other ones of."""
    if isinstance(config, dict):
        left_out = ("name", "dtype", "build_config")
        return {key: _plain(value) for key, value in config.items() if key not in left_out}
    return [_plain(item) for item in config] if isinstance(config, list | tuple) else config


def _form(layer: tf.keras.layers.Layer) -> Any:
    """What tells a layer from others."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of functions that cannot be saved
            return type(layer), _plain(layer.get_config())
    except NotImplementedError:  # it has no configuration
        return id(layer)
