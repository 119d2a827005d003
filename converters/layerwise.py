"""Each binary convolution of a `.tflite` against its layer of the Keras model.

A deep binary network is chaotic in float32: where a number is within rounding of a threshold, its
sign may fall the other way, and then others behind it. So two programs that compute the same
network can differ in their logits. Layer by layer there is no such excuse: given the same bits, a
convolution counts the same integers, and what is then made of these differs by rounding only.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from larq_reactnet._graph.calls import (
    Call,
    calls_in,
    consumers,
    float64_errors,
    rebuild,
    run_call,
)
from larq_reactnet._latent import binary_kernel
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.alone import alone
from larq_reactnet.converters._tflite.match import BinaryOp, binary_ops, match, unpack
from larq_reactnet.converters.checking import binary_convolutions
from larq_reactnet.converters.feeding import Inputs, batches, of_types
from larq_reactnet.converters.interpreter import Interpreter
from larq_reactnet.layers import RPReLU

import numpy as np
import tensorflow as tf

__all__ = ["ROUNDING", "Flips", "LayerError", "count_flips", "verify_layers"]

# The error of a multiplication and an addition in float32, relative to the largest possible result.
ROUNDING = 1e-6
_LONGEST = 5  # layers at most, of which one is a convolution and the others may be fused into it


@dataclass(frozen=True)
class LayerError:
    r"""How a binary convolution of the file differs from its layer, given the same bits.

    Attributes:
        layer: Name of the layer.
        error: Largest absolute difference of the outputs of one filter. If the outputs are bits, it
            is the largest distance from the threshold of a sum whose bit is wrong.
        tolerance: What rounding can explain: \\(10^{-6} (n |m| + |b|)\\) for a filter of \\(n\\)
            weights with multiplier \\(m\\) and bias \\(b\\); \\(10^{-6} n\\) if outputs are bits.
            One wrong bit of an input or weight makes a difference of \\(2 |m|\\), which is at least
            200 times as much for filters of less than 10,000 weights and a small bias.

    Each filter has its own tolerance. Error and tolerance are those of the filter that comes
    closest to its tolerance, or exceeds it the most.
    """

    layer: str
    error: float
    tolerance: float

    @property
    def is_equal(self) -> bool:
        """Whether the two are equal but for rounding."""
        return self.error <= self.tolerance


@dataclass(frozen=True)
class Flips:
    """How many signs differ in front of a binary convolution, when both networks run as a whole.

    Attributes:
        layer: Name of the layer.
        signs: Number of its inputs, for all images together.
        flipped: How many of them differ.
    """

    layer: str
    signs: int
    flipped: int


def count_flips(model: tf.keras.Model, flatbuffer: tflite.File, inputs: Inputs) -> list[Flips]:
    """Compare the signs in front of each binary convolution, in the order of the file.

    Args:
        model: The Keras model that was converted: cured and folded, without models in it.
        flatbuffer: The `.tflite` that was made of it.
        inputs: Array of shape `(n, height, width, channels)`, or a list of arrays if the model has
            several inputs.

    Returns:
        One entry for each binary convolution.

    Raises:
        ValueError: If the file is corrupt.
    """
    file = tflite.read(tflite.content_of(flatbuffer))
    pairs = pairs_of(model, file)
    if not pairs:
        return []
    file.subgraphs[0].outputs = np.array([op.input for _, op in pairs], np.int32)
    file.signatureDefs = None  # these name outputs that the file no longer has
    keras = _before(model, [call for call, _ in pairs])
    signs = np.zeros((len(pairs), 2), np.int64)
    with Interpreter(tflite.write(file)) as interpreter:
        for row in batches(inputs):
            found = interpreter.run(*of_types(row, interpreter.input_types))
            for counts, words, wanted in zip(signs, found, keras(row), strict=True):
                counts += (
                    wanted.size,
                    np.count_nonzero(unpack(words, wanted.shape[-1]) != (wanted < 0)),
                )
    return [
        Flips(call.layer.name, int(number), int(flipped))
        for (call, _), (number, flipped) in zip(pairs, signs, strict=True)
    ]


def verify_layers(
    model: tf.keras.Model, flatbuffer: tflite.File, inputs: Inputs
) -> list[LayerError]:
    """Give each binary convolution of the file the very bits that its layer has in Keras.

    Its outputs are compared with those of the layer in float64, together with the batch
    normalization and activation that LCE has fused into it.

    Args:
        model: The Keras model that was converted: cured and folded, without models in it.
        flatbuffer: The `.tflite` that was made of it.
        inputs: Array of shape `(n, height, width, channels)`, or a list of arrays if the model has
            several inputs.

    Returns:
        One entry for each binary convolution, in the order of the file.

    Raises:
        ValueError: If the file is corrupt, or the model cannot be copied in float64.
    """
    file = tflite.read(tflite.content_of(flatbuffer))
    pairs = pairs_of(model, file)
    if not pairs:
        return []
    with float64_errors(model):
        exact = rebuild(model, dtype="float64")
    chains = [_chain(exact, call) for call, _ in pairs_of(exact, file)]
    keras = _before(model, [call for call, _ in pairs])
    tolerances = [_tolerances(file, op) for _, op in pairs]
    errors = [np.zeros_like(tolerance) for tolerance in tolerances]
    with Interpreter(alone(file, [op for _, op in pairs])) as interpreter:
        for row in batches(inputs):
            signs = keras(row)
            found = interpreter.run(*signs)
            for index, ((_, op), chain) in enumerate(zip(pairs, chains, strict=True)):
                distances = [
                    _distances(found[index], expected, slope, op.gives_bits)
                    for expected, slope in _results(chain, signs[index])
                    if expected.shape == found[index].shape
                ] or [np.full_like(errors[index], np.inf)]
                least = min(distances, key=lambda d: (d / tolerances[index]).max())
                errors[index] = np.maximum(errors[index], least)
    worst = [int((e / t).argmax()) for e, t in zip(errors, tolerances, strict=True)]
    return [
        LayerError(call.layer.name, float(error[filter_]), float(tolerance[filter_]))
        for (call, _), error, tolerance, filter_ in zip(
            pairs, errors, tolerances, worst, strict=True
        )
    ]


def pairs_of(model: tf.keras.Model, file: tflite.ModelT) -> list[tuple[Call, BinaryOp]]:
    """Each binary convolution as a call in the model and an operator of the file, in its order."""
    layers = binary_convolutions(model)
    ops = {op.index: op for op in binary_ops(file)}
    own_calls = {
        id(layer): iter([call for call in calls_in(model) if call.layer is layer])
        for layer in layers
    }
    found = match(layers, file)
    # A layer whose weights are not in the file is compared with a remaining operator of its shape.
    left: dict[Any, deque[int]] = defaultdict(deque)
    for index, op in ops.items():
        if index not in found:
            left[op.negative.shape].append(index)
    pairs = []
    for layer, exact in zip(layers, found, strict=True):
        *sizes, filters = layer.kernel.shape
        call, queue = next(own_calls[id(layer)], None), left.get((filters, *sizes))
        place = queue.popleft() if exact is None and queue else exact
        if call is not None and place is not None:  # a layer of an inner model has no call here
            pairs.append((call, ops[place]))
    return sorted(pairs, key=lambda pair: pair[1].index)


def _before(
    model: tf.keras.Model, calls: Sequence[Call]
) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]]:
    """A function from the inputs to the signs in front of the binary convolutions, -1 and +1."""
    inner = tf.keras.Model(model.inputs, [call.inputs[0] for call in calls])

    def run(row: Sequence[np.ndarray]) -> list[np.ndarray]:
        tensors = tf.nest.flatten(inner(row[0] if len(row) == 1 else [*row], training=False))
        quantizers = [call.layer.input_quantizer or tf.identity for call in calls]
        return [q(tensor).numpy() for q, tensor in zip(quantizers, tensors, strict=True)]

    return run


def _chain(model: tf.keras.Model, call: Call) -> list[Call]:
    """A convolution and what LCE may have fused into it: layers that follow it in a line."""
    takers = consumers(model)
    chain = [call]
    while len(chain) < _LONGEST:
        following = takers[id(chain[-1].outputs[0])]
        if len(following) != 1 or len(following[0].inputs) != 1:
            break
        chain.append(following[0])
    return chain


def _results(chain: Sequence[Call], signs: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What a convolution gives for `signs`, and what each step behind it makes of that.

    LCE may have fused any number of these steps. With each comes its slope: how much the result
    grows if the integer sum of the convolution grows by 1.
    """
    layer = chain[0].layer
    kernel = binary_kernel(layer)
    activation, layer.activation = layer.activation or tf.identity, None
    try:
        tensor = _run(chain[0], tf.constant(signs, tf.float64))
    finally:
        layer.activation = activation
    larger = tensor + tf.reduce_max(tf.abs(kernel), axis=[0, 1, 2])
    yield tensor.numpy(), (larger - tensor).numpy()
    tensor, larger = activation(tensor), activation(larger)
    yield tensor.numpy(), (larger - tensor).numpy()
    for call in chain[1:]:
        if type(call.layer) is RPReLU:  # LCE may have fused its first shift only
            yield (tensor - call.layer.gamma).numpy(), (larger - tensor).numpy()
        tensor, larger = _run(call, tensor), _run(call, larger)
        if isinstance(tensor, list):  # of a layer that splits its input
            return
        yield tensor.numpy(), (larger - tensor).numpy()


def _run(call: Call, value: Any) -> Any:
    return run_call(call, call.layer, {id(call.inputs[0]): value}, training=False)


def _distances(
    found: np.ndarray, expected: np.ndarray, slope: np.ndarray, are_bits: bool
) -> np.ndarray:
    """The largest error of each filter."""
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.abs(expected / slope if are_bits else found - expected)
    if are_bits:
        distance[(found < 0) == (expected < 0)] = 0.0
    filters = distance.reshape(-1, distance.shape[-1])
    return np.nan_to_num(filters, nan=np.inf, posinf=np.inf).max(axis=0)


def _tolerances(file: tflite.ModelT, op: BinaryOp) -> np.ndarray:
    """What rounding may change in the outputs of each filter of `op`."""
    graph = file.subgraphs[0]
    filters, weights = len(op.negative), op.negative[0].size
    if op.gives_bits:  # in units of the integer sum, because rounding moves its threshold
        return np.full(filters, ROUNDING * weights)
    constants = [
        tflite.constant(file, graph.tensors[index])
        for index in graph.operators[op.index].inputs[2:4]
    ]
    multiplier, bias = (0.0 if c is None else np.abs(c).astype(np.float64) for c in constants)
    tolerance = np.full(filters, ROUNDING * (weights * multiplier + bias))
    smallest = np.finfo(np.float32).tiny
    return np.where(np.isfinite(tolerance), np.maximum(tolerance, smallest), smallest)
