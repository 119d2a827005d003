"""Finds the layers that Larq Compute Engine would leave in float or get wrong, before converting.

Larq Compute Engine (LCE) makes a binary operator of a `QuantConv2D` whose inputs are signs and
whose weights have one magnitude in each output filter. It converts everything else to float
operators, which are up to 32 times larger, and does not say so. It gets some layers wrong: for
example, it takes a ternary input quantizer for a sign.
"""

from larq_reactnet._graph.graph import graphs
from larq_reactnet._graph.parts import is_functional
from larq_reactnet._keras import refuse_keras_3
from larq_reactnet.converters._faults.costs import costs
from larq_reactnet.converters._faults.finding import Finding
from larq_reactnet.converters._faults.kernels import missing_kernels
from larq_reactnet.converters._faults.rules import faults, is_binary_convolution
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.match import match, oddly_fused
from larq_reactnet.converters.curing import cure
from larq_reactnet.converters.preparing import unsupported
from larq_reactnet.profiling import calls_of

import tensorflow as tf

__all__ = ["Finding", "binary_convolutions", "check"]


def check(model: tf.keras.Model, flatbuffer: tflite.File | None = None) -> list[Finding]:
    """Find the layers of `model` that LCE would not convert as they are meant.

    !!! example
        ```python
        for finding in lr.converters.check(model):
            print(finding)
        ```

    Args:
        model: Keras model. It is not changed. Of one that is subclassed or not built, or of such
            a part of it, the finding says that nothing in it is known.
        flatbuffer: The `.tflite` that was made of it, as the path of a file or its content. If it
            is given, the binary convolutions that are not in the file are found too. They are
            recognized by their weights.

    Returns:
        The findings; those that are only a cost come last. `export` cures those whose `applied` is
        true, and refuses a model that has any whose `blocks` is true.

    Raises:
        ValueError: If `model` is not a Keras model, or `flatbuffer` is not a valid `.tflite`.
    """
    refuse_keras_3(model)
    if not isinstance(model, tf.keras.Model):
        raise ValueError(f"`model` must be a Keras 2 model, got {type(model).__name__}.")
    found, cost = unsupported(model), []
    if not is_functional(model):
        return found
    for graph in graphs(model):
        here = [*faults(graph), *missing_kernels(graph)]
        found += [fault.finding for fault in here]
        faulty = {id(fault.layer) for fault in here}
        for call in graph.calls:
            if is_binary_convolution(graph, call) and id(call.layer) not in faulty:
                cost += costs(graph, call)
    if flatbuffer is not None:
        found += _missing(model, tflite.read(tflite.content_of(flatbuffer)))
    return [*dict.fromkeys(found + cost)]


def binary_convolutions(model: tf.keras.Model) -> list[tf.keras.layers.Layer]:
    """The layers that must become `LceBconv2d`, one entry for each call."""
    binary, faulty = set(), set()
    for graph in graphs(model):
        faulty |= {id(fault.layer) for fault in faults(graph)}
        binary |= {id(call.layer) for call in graph.calls if is_binary_convolution(graph, call)}
    return [
        layer
        for layer, calls in calls_of(model)
        if id(layer) in binary - faulty
        for _ in range(calls)
    ]


def _missing(model: tf.keras.Model, model_t: tflite.ModelT) -> list[Finding]:
    """The binary convolutions of `model` that are not in its file, or not as they should be."""
    expected = binary_convolutions(cure(model))
    found = match(expected, model_t)
    odd = oddly_fused(model_t)
    findings = []
    for layer, index in zip(expected, found, strict=True):
        if index is None:
            problem = "it is not an LceBconv2d in the file, but a float operator"
            cure_ = "the forward pass of its quantizers must be `larq.math.sign`"
            findings.append(Finding(layer.name, problem, cure_))
        elif index in odd:
            problem = (
                f"LCE fused a constant of shape {odd[index]} into it, which its kernel refuses"
            )
            cure_ = "add or multiply by one number per channel, of shape (channels,)"
            findings.append(Finding(layer.name, problem, cure_, "refused"))
    return findings
