"""The rules by which `check` finds faults, and by which `cure` knows where to apply its cures."""

from typing import Any

from larq_reactnet._graph.calls import Call, KerasTensor, run_in_inference
from larq_reactnet._graph.graph import Graph
from larq_reactnet._graph.padding import (
    padding_of,
    same,
    sizes_of,
    trimmed,
    window,
    window_of,
)
from larq_reactnet.converters._faults.finding import Fault, Finding
from larq_reactnet.converters._faults.padding import is_shifted
from larq_reactnet.converters._faults.rewrites import (
    Rewrite,
    as_convolution,
    as_plane,
    gives_the_same,
    padded_before,
    rewritten,
    split,
    with_ones,
)
from larq_reactnet.converters._faults.signs import (
    Verdict,
    examine_kernel,
    examine_sign,
    is_quantized,
    is_sign,
)
from larq_reactnet.converters._faults.steps import as_signs, threshold_of
from larq_reactnet.converters._lce import WORD

import larq as lq
import numpy as np
import tensorflow as tf

__all__ = ["faults", "is_binary_convolution"]


layers = tf.keras.layers
_BINARY_CONVOLUTION = (lq.layers.QuantConv2D,)
# Layers that LCE has no binary kernel for, and that can be written as a binary convolution.
_REWRITTEN = (lq.layers.QuantDense, lq.layers.QuantConv1D)

_PICTURES = range(1, 5)  # channels of grey, grey and alpha, RGB, RGB and alpha

# Layers that only move their inputs to other places, so that signs stay signs. LCE does not compute
# them with bits, though.
_KEEP_VALUES = (
    layers.Concatenate,
    layers.Cropping2D,
    layers.Flatten,
    layers.MaxPooling2D,
    layers.Permute,
    layers.Reshape,
)


# What Keras makes of functions and of slices of tensors, and what holds a function of the user's.
_FUNCTIONS = ("Lambda", "SlicingOpLambda", "TFOpLambda")


def faults(graph: Graph) -> list[Fault]:
    """The faults in one graph: all that is found except costs."""
    found = [fault for call in graph.calls for fault in _binary_faults(graph, call)]
    replaced = {id(fault.layer) for fault in found if fault.cured_by in ("zeros", "ring")}
    shifts = [fault for call in graph.calls for fault in _shift(graph, call)]
    return found + [fault for fault in shifts if id(fault.layer) not in replaced]


def is_binary_convolution(graph: Graph, call: Call) -> bool:
    """Whether the layer of `call` is a convolution meant to have binary inputs and weights."""
    return isinstance(call.layer, _BINARY_CONVOLUTION) and _is_meant_binary(graph, call)


def _is_meant_binary(graph: Graph, call: Call) -> bool:
    """Whether the layer is quantized, and does not take pictures.

    The first layer may have binary weights, as in BinaryNet, but the pixels that it takes are real.
    Only pictures are exempt: the inputs of a network may also be feature maps of another one, of
    which a layer with binary weights in float32 takes a large part of the file.
    """
    if not is_quantized(call.layer):
        return False
    if call.layer.input_quantizer is not None:
        return True
    return not (_takes_inputs(graph, call) and call.inputs[0].shape[-1] in _PICTURES)


def _takes_inputs(graph: Graph, call: Call) -> bool:
    """Whether the layer takes the inputs of the network, padded or as they are."""
    source = graph.source(call.inputs[0])
    return graph.takes_images(source.inputs[0] if padding_of(source) else call.inputs[0])


def _binary_faults(graph: Graph, call: Call) -> list[Fault]:
    if not _is_meant_binary(graph, call):
        return []
    layer = call.layer
    if not isinstance(layer, _BINARY_CONVOLUTION + _REWRITTEN):
        kind = type(layer).__name__
        return [
            _fault(
                call,
                f"LCE has no binary kernel for {kind}, which stays in float",
                "use a QuantConv2D",
            )
        ]
    found = _input(graph, call)
    verdict = examine_kernel(layer)
    if verdict is not None:
        found.append(_judged(call, call, verdict))
    # What is cured as a step has been tried as a whole.
    if not any(fault.finding.blocks or fault.cured_by == "steps" for fault in found):
        found += _structure(call)
    return found


def _fault(
    call: Call, problem: str, cure: str, kind: str = "float", cured_by: str = "", where: Any = None
) -> Fault:
    finding = Finding(call.layer.name, problem, cure, kind, bool(cured_by))
    return Fault(finding, call.layer, where or call, cured_by)


def _judged(call: Call, where: Call, verdict: Verdict) -> Fault:
    return _fault(call, verdict.problem, verdict.cure, verdict.kind, verdict.cured_by, where=where)


def _input(graph: Graph, call: Call) -> list[Fault]:
    """The faults of a binary layer whose inputs are not signs, or not signs that LCE recognizes."""
    layer, tensor = call.layer, call.inputs[0]
    if layer.input_quantizer is not None:
        verdict = examine_sign(layer.input_quantizer, tensor.shape[-1])
        return [] if verdict is None else [_judged(call, call, _of_steps(call, verdict))]
    source = graph.source(tensor)
    padding = padding_of(source)
    behind = _signs_behind(graph, source.inputs[0] if padding else tensor)
    if not behind:
        whose = (
            f", {tensor.shape[-1]} channels of the network's own,"
            if _takes_inputs(graph, call)
            else ""
        )
        return [
            _fault(
                call,
                f"its weights are binary but its inputs{whose} are not, so its weights stay in "
                "float",
                "give it a binary `input_quantizer`, or no `kernel_quantizer`",
            )
        ]
    verdicts = [(sign, examine_sign(sign.layer, sign.outputs[0].shape[-1])) for sign in behind]
    is_step = all(threshold_of(sign.layer) is not None for sign in behind)
    if verdicts[0][1] and is_step and (padding is None or padding.value in (0, 1)):
        return [_judged(call, call, _of_steps(call, verdicts[0][1]))]
    found = [_judged(call, sign, verdict) for sign, verdict in verdicts if verdict is not None]
    if isinstance(layer, _REWRITTEN) or any(fault.finding.blocks for fault in found):
        return found
    if padding and padding.value == 0:
        return [*found, _zeros_after_sign(call, source)]
    if padding and padding.value == 1 and is_sign(graph.source(source.inputs[0]).layer):
        return [*found, *_ones_after_sign(call, source)]
    if not is_sign(source.layer):
        what = "padding" if padding else type(source.layer).__name__
        problem = f"{what} between the sign and it is not binary, so it stays in float"
        return [*found, _fault(call, problem, "give it an `input_quantizer` too", cured_by="lost")]
    return found


def _of_steps(call: Call, verdict: Verdict) -> Verdict:
    """The verdict on an input quantizer, with its cure if it is a step from 0 to 1."""
    layer = call.layer
    is_step = layer.input_quantizer is None or threshold_of(layer.input_quantizer) is not None
    if not is_step or _rest(as_signs, call, 0.0) is None:
        return verdict
    cure = "use a sign, whose -1 and +1 the batch normalization after it makes 0 and 1"
    return verdict._replace(cure=cure, cured_by="steps")


def _rest(rewrite: Rewrite, call: Call, low: float = -1.0) -> list[Fault] | None:
    """What `export` does to a rewrite of a layer in its turn; None if it would not be binary."""
    model = rewritten(rewrite, call.layer, call.inputs[0].shape, low)
    found = None if model is None else faults(Graph(model))
    return None if found is None or any(fault.finding.blocks for fault in found) else found


def _signs_behind(graph: Graph, tensor: KerasTensor) -> list[Call]:
    """The signs from which all values of `tensor` come; none if some come from elsewhere."""
    source = graph.source(tensor)
    if is_sign(source.layer):
        return [source]
    padding = padding_of(source)
    is_padded = padding is not None and padding.value in (-1, 1)
    if not is_padded and type(source.layer) not in _KEEP_VALUES and not _keeps_signs(source):
        return []
    behind = [_signs_behind(graph, part) for part in source.inputs]
    return [sign for signs in behind for sign in signs] if all(behind) else []


def _keeps_signs(call: Call) -> bool:
    """Whether a function or layer of any kind gives -1 and +1 if it takes them; this is tried."""
    if type(call.layer).__name__ not in _FUNCTIONS or not call.inputs:
        return False
    rng = np.random.default_rng(0)
    given = [
        tf.constant(rng.choice([-1.0, 1.0], (2, *tensor.shape[1:])), tensor.dtype)
        for tensor in call.inputs
        if None not in tensor.shape[1:]
    ]
    try:
        found = tf.nest.flatten(run_in_inference(call, given))
    except (ValueError, TypeError, tf.errors.InvalidArgumentError):
        return False
    return all(np.isin(np.asarray(tensor), (-1, 1)).all() for tensor in found)


def _zeros_after_sign(call: Call, padding: Call) -> Fault:
    problem = "explicit zero padding after a sign is not binary, so the convolution stays in float"
    sizes, view, pad = sizes_of(padding.inputs[0]), window(call.layer), padding_of(padding)
    if sizes and view and pad and trimmed(sizes, pad.amounts, view) == same(sizes, view):
        return _fault(call, problem, "use padding='same' instead", cured_by="zeros")
    cure = "remove the padding and use padding='same' with `pad_values=1.0` (or 0.0)"
    is_known = sizes and view and call.layer.groups == 1
    return _fault(call, problem, cure, cured_by="ring" if is_known else "")


def _ones_after_sign(call: Call, padding: Call) -> list[Fault]:
    sizes, view, pad = sizes_of(padding.inputs[0]), window(call.layer), padding_of(padding)
    cure = "pad before the sign, or use padding='same' with `pad_values=1.0`"
    if not (sizes and view and pad):
        return [_fault(call, "padding after a sign keeps it in float", cure)]
    if is_shifted(sizes, pad.amounts, view):
        problem = f"LCE takes its padding {pad.amounts} for 'same', which starts at another pixel"
        return [_fault(call, problem, cure, "wrong", "ones")]
    if trimmed(sizes, pad.amounts, view) == same(sizes, view):
        problem = "its padding with ones is a layer of its own, which LCE makes a part of it"
        return [_fault(call, problem, "use padding='same' with `pad_values=1.0`", "cost", "same")]
    return [_fault(call, "padding after a sign keeps it in float", cure, "float", "ones")]


def _structure(call: Call) -> list[Fault]:
    """The faults of a layer with binary inputs and weights for which LCE has no right kernel."""
    layer, shape = call.layer, call.inputs[0].shape
    if isinstance(layer, lq.layers.QuantConv1D):
        problem = f"LCE has no binary kernel for {type(layer).__name__}, which stays in float"
        cure = "write it as a QuantConv2D with a kernel of size (k, 1)"
        is_plane = _rest(as_plane, call) is not None
        return [_fault(call, problem, cure, cured_by="line" if is_plane else "")]
    if isinstance(layer, lq.layers.QuantDense):
        rewrites = len(shape) == 2 and gives_the_same(as_convolution, layer, shape)
        return [
            _fault(
                call,
                f"LCE has no binary dense kernel, so {type(layer).__name__} stays in float",
                "write it as a QuantConv2D with padding='valid': the first dense layer with the "
                "height and width of its input as kernel size, the following ones with 1",
                cured_by="dense" if rewrites else "",
            )
        ]
    found = []
    if layer.groups > 1:
        is_refused = shape[-1] // layer.groups % WORD == 0
        what = (
            f"LCE's default kernel refuses a binary convolution with {layer.groups} groups"
            if is_refused
            else f"LCE has no binary kernel for {layer.groups} groups of channels that are not "
            f"a multiple of {WORD}, so it stays in float"
        )
        cure = "split it into QuantConv2D layers without groups"
        rewrites = None not in shape[1:] and gives_the_same(split, layer, shape)
        kind, cured_by = "refused" if is_refused else "float", "groups" if rewrites else ""
        found.append(_fault(call, what, cure, kind, cured_by))
    if layer.padding != "same":
        return found
    if layer.pad_values not in (0, 1):
        problem = f"its padding with {layer.pad_values} is not binary, so it stays in float"
        rewrites = layer.pad_values == -1 and gives_the_same(padded_before, layer, shape)
        cured_by = "minus" if rewrites else ""
        return [*found, _fault(call, problem, "use `pad_values=1.0` (or 0.0)", cured_by=cured_by)]
    sizes, view = sizes_of(call.inputs[0]), window_of(layer)
    if layer.pad_values == 1 or sizes is None:
        return found
    if any(size < extent for size, extent in zip(sizes, view.extents, strict=True)):
        # Measured with LCE 0.16: default and indirect kernels differ from its reference and Keras.
        problem = (
            f"its {sizes[0]}x{sizes[1]} input is smaller than its {view.extents[0]}x"
            f"{view.extents[1]} kernel, where LCE computes zero padding wrongly"
        )
        rewrites = layer.groups > 1 or gives_the_same(with_ones, layer, shape)
        cured_by = "small" if rewrites else ""
        found.append(_fault(call, problem, "use `pad_values=1.0`", "wrong", cured_by))
    return found


def _shift(graph: Graph, call: Call) -> list[Fault]:
    """The fault of zero padding that LCE fuses wrongly into the convolution after it."""
    padding, taker = padding_of(call), graph.only_taker(call)
    if padding is None or padding.value != 0 or taker is None:
        return []
    sizes, view = sizes_of(call.inputs[0]), window(taker.layer)
    if sizes is None or view is None or getattr(taker.layer, "input_quantizer", None) is not None:
        return []
    if not is_shifted(sizes, padding.amounts, view):
        return []
    return [
        _fault(
            taker,
            f"LCE takes the padding {padding.amounts} before it for 'same', which starts at "
            "another pixel",
            f"pad by {trimmed(sizes, padding.amounts, view)}: the rest is never read",
            "wrong",
            "shift",
            call,
        )
    ]
