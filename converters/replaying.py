"""The proof that a `.tflite` computes its Keras model: each sign, and the outputs behind them.

A deep binary network is chaotic in float32: where a number is within rounding of a threshold, its
sign may fall the other way, and then many numbers behind it change. So two programs that compute
the same network may give different outputs, and comparing outputs proves little.

`replay` takes the chaos out. An engine (LCE's interpreter or larq-reactnet-runtime) runs the file
and also gives every sign that it computed in front of a binary convolution. The Keras model then
computes in float64, and wherever it needs such signs, it gets those of the engine in place of its
own. Now a difference cannot grow from layer to layer: every sign of the engine must be the sign of
Keras's number, unless this number is within rounding of its threshold, and the outputs must be
equal but for rounding.

An engine makes a float of the integer that a binary convolution counts, by a multiplication and an
addition whose results are as large as the number of weights, also where the integer is a small one.
Batch normalization makes that error large for a filter whose ReLU is hardly ever above 0. So where
rounding alone does not explain a difference, that error is propagated: the model runs again a few
times, with the sums of each filter off by what `layerwise` allows, up or down at random, and what
then moves in front of a sign or in an output is explained, too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from larq_reactnet._graph.calls import (
    Call,
    KerasTensor,
    Quantizer,
    Tensors,
    call_again,
    clone,
    float64_errors,
    model_of,
    new_inputs,
    run_call,
)
from larq_reactnet._graph.graph import Graph
from larq_reactnet._latent import latent
from larq_reactnet._tables import Shown
from larq_reactnet.converters._faults.signs import is_sign
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.match import BinaryOp
from larq_reactnet.converters._tflite.signs import with_signs
from larq_reactnet.converters.checking import binary_convolutions, check
from larq_reactnet.converters.feeding import Inputs, batches, of_types
from larq_reactnet.converters.interpreter import TITLES, Interpreter
from larq_reactnet.converters.judging import magnitudes, rounding_of
from larq_reactnet.converters.layerwise import ROUNDING, pairs_of
from larq_reactnet.converters.tasks import Output, outputs_of

import numpy as np
import tensorflow as tf

__all__ = ["Replay", "replay"]

_DRAWS = 4  # of the errors of sums; that all of them cancel in a number is unlikely


@dataclass(frozen=True, repr=False)
class Replay(Shown):
    """What came out when Keras replayed, in float64, the signs that an engine computed.

    Attributes:
        engine: What ran the file.
        images: Number of inputs.
        signs: Number of signs that were compared.
        undecided: How many of them fell the other way because the number is within rounding of its
            threshold.
        wrong: How many fell the other way although the number is not.
        layer: The first layer in front of which there are wrong signs, or an empty string.
        error: Largest difference of an output, relative to the largest for the same input, or, if
            the outputs are numbers, to how large the same number gets over all inputs. Where a
            softmax gives classes, logits are compared.
        tolerance: How large an error is explained by rounding, and by weights that are stored in a
            smaller type than float32.
    """

    engine: str
    images: int
    signs: int
    undecided: int
    wrong: int
    layer: str
    error: float
    tolerance: float

    @property
    def is_equal(self) -> bool:
        """Whether the file computes the model, but for rounding."""
        return not self.wrong and self.error <= self.tolerance

    def __str__(self) -> str:
        if self.wrong:
            return (
                f"{self.wrong:,} of {self.signs:,} signs are not those of the Keras model, first "
                f"in front of {self.layer}"
            )
        return (
            f"{self.signs:,} signs on {self.images} inputs are those of the Keras model in float64 "
            f"({self.undecided:,} within rounding of their threshold), and outputs differ by "
            f"{self.error:.1g} of the largest (rounding explains {self.tolerance:.1g})"
        )


def replay(
    model: tf.keras.Model,
    flatbuffer: tflite.File,
    inputs: Inputs,
    *,
    engine: str = "lce",
    task: str | Sequence[Output] = "auto",
    stored: float | Sequence[np.ndarray | float] = 0.0,
    sizes: Sequence[np.ndarray] | None = None,
) -> Replay:
    """Run the file, and have the Keras model compute in float64 with the signs that it gave.

    Args:
        model: The Keras model that was converted: cured and folded, without models in it.
        flatbuffer: The `.tflite` that was made of it.
        inputs: Array of shape `(n, height, width, channels)`, or a list of arrays if the model has
            several inputs.
        engine: `"lce"` or `"runtime"`.
        task: What the outputs are: `"classify"`, `"regress"`, or `"auto"`, as in `export`; or how
            each output is judged.
        stored: How far a score may move because weights are stored in a smaller type than float32:
            for all outputs, or for each.
        sizes: For each output, how large each of its numbers gets over more inputs than these. An
            error is relative to that, because a number may be near 0 for these by chance.

    Raises:
        ValueError: If the file is corrupt, the engine cannot run it, or it cannot be replayed: a
            layer that is meant to be binary stays in float or is not in the file, or a layer does
            not run in float64.
        ImportError: If the engine is not installed.
    """
    file = tflite.read(tflite.content_of(flatbuffer))
    for finding in check(model):
        if finding.blocks:
            raise ValueError(f"The signs of {finding.layer} are not known: {finding.problem}.")
    pairs = pairs_of(model, file)
    missing = len(binary_convolutions(model)) - len(pairs)
    if missing:
        raise ValueError(f"{missing} binary convolutions of {model.name!r} are not in the file.")
    outputs = outputs_of(model, task) if isinstance(task, str) else tuple(task)
    with float64_errors(model):
        exact = _Exact(model, pairs, outputs)
    tolerance = rounding_of(model)
    order = list(dict.fromkeys(op.input for _, op in pairs))
    undecided, wrong = (np.zeros(len(pairs), np.int64) for _ in range(2))
    signs = 0
    found: list[list[np.ndarray]] = []
    expected: list[list[np.ndarray]] = []
    moves: list[list[np.ndarray]] = []
    with Interpreter(with_signs(file, [op for _, op in pairs]), engine=engine) as interpreter:
        for row in batches(inputs):
            values = interpreter.run(*of_types(row, interpreter.input_types))
            given = values[len(outputs) :]
            by_tensor = dict(zip(order, given, strict=True))
            taken = [by_tensor[op.input] for _, op in pairs]
            given_outputs = values[: len(outputs)]
            exact.run(row, taken)
            counts = exact.signs_off(taken, tolerance)
            if any(off > excused for off, excused in counts) or not all(
                _is_close(ours, theirs, output, tolerance)
                for ours, theirs, output in zip(given_outputs, exact.outputs, outputs, strict=True)
            ):
                exact.nudge(row, taken)
                counts = exact.signs_off(taken, tolerance)
            for index, (off, excused) in enumerate(counts):
                undecided[index] += excused
                wrong[index] += off - excused
                signs += taken[index].size
            found.append(given_outputs)
            expected.append(exact.outputs)
            moves.append(exact.moved)
    count = len(outputs)
    offsets: list[Any] = [*stored] if isinstance(stored, list | tuple) else [stored] * count
    scales: list[Any] = [0.0] * count if sizes is None else [*sizes]
    ours, theirs, moved = (
        [np.concatenate(parts) for parts in zip(*rows, strict=True)]
        for rows in (found, expected, moves)
    )
    error, allowed = max(
        (
            _worst(ours[i], theirs[i], moved[i], output, tolerance, offsets[i], scales[i])
            for i, output in enumerate(outputs)
        ),
        key=lambda pair: float(np.nan_to_num(pair[0] / pair[1], nan=np.inf)),
    )
    first = next((call.layer.name for (call, _), n in zip(pairs, wrong, strict=True) if n), "")
    return Replay(
        engine=TITLES[engine],
        images=len(found),
        signs=signs,
        undecided=int(undecided.sum()),
        wrong=int(wrong.sum()),
        layer=first,
        error=error,
        tolerance=allowed,
    )


def _worst(
    found: np.ndarray,
    expected: np.ndarray,
    moved: np.ndarray,
    output: Output,
    tolerance: float,
    stored: np.ndarray | float,
    size: np.ndarray | float,
) -> tuple[float, float]:
    """The error that comes closest to what is allowed for it, or exceeds it the most, and that."""
    ours, theirs = output.scores(found), output.scores(expected)
    if output.by_numbers:
        largest = np.maximum(magnitudes(theirs, output), size)
    else:  # the scores of classes are compared with each other
        largest = np.abs(theirs).max(tuple(range(1, theirs.ndim)), keepdims=True)
    largest = np.broadcast_to(np.where(largest > 0, largest, 1.0), theirs.shape)
    errors, allowed = np.abs(ours - theirs) / largest, tolerance + (stored + moved) / largest
    worst = np.unravel_index(np.argmax(errors / allowed), errors.shape)
    return float(errors[worst]), float(allowed[worst])


def _is_close(found: np.ndarray, expected: np.ndarray, output: Output, tolerance: float) -> bool:
    """Whether rounding alone explains how an output differs."""
    error, allowed = _worst(found, expected, np.zeros_like(expected), output, tolerance, 0.0, 0.0)
    return error <= allowed


class _Nudged(tf.keras.layers.Layer):
    """Adds a number to all sums of each filter: what rounding may add, up or down, or 0."""

    def __init__(self, convolution: tf.keras.layers.Layer):
        super().__init__(dtype="float64")
        *kernel, filters = convolution.kernel.shape
        self.size = ROUNDING * int(np.prod(kernel))
        self.nudge = tf.Variable(np.zeros(filters), trainable=False)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The sums after that."""
        return inputs + self.nudge

    def draw(self, rng: np.random.Generator | None) -> None:
        """Nudge each filter up or down at random, or with `None` not at all."""
        filters = self.nudge.shape[0]
        directions = np.zeros(filters) if rng is None else rng.choice((-1.0, 1.0), filters)
        self.nudge.assign(self.size * directions)


class _Exact:
    """The model in float64, whose binary convolutions take their signs as inputs of the model.

    Attributes:
        outputs: The outputs of the last run.
        moved: How far the scores of each output move if the sums of binary convolutions are off by
            what rounding explains; 0 if this was not asked for.

    Raises:
        ValueError: If another layer is between a convolution and the quantizer that gives its
            signs.
    """

    def __init__(
        self,
        model: tf.keras.Model,
        pairs: list[tuple[Call, BinaryOp]],
        outputs_of_model: Sequence[Output],
    ):
        graph = Graph(model)
        ours = {id(call.outputs[0]): index for index, (call, _) in enumerate(pairs)}
        self._quantizers: list[Callable[[Any], Any]] = [tf.identity] * len(pairs)
        self._nudged: list[_Nudged] = []
        self._scores = [output.scores for output in outputs_of_model]
        # By the index of the convolution: the tensors whose signs it needs, and the new inputs of
        # the model that take the place of these signs.
        before: dict[int, Any] = {}
        given: dict[int, Any] = {}
        signs_of = {index: _sign_before(graph, call) for index, (call, _) in enumerate(pairs)}

        def replace(call: Call, tensors: Tensors) -> Any:
            index = ours.get(id(call.outputs[0]))
            if index is None:
                return None
            quantizer, tensor = signs_of[index]
            before[index] = tensors[id(tensor)]
            self._quantizers[index] = _in_float64(quantizer, tensor)
            shape = call.inputs[0].shape
            given[index] = tf.keras.layers.Input(
                batch_shape=(1, *shape[1:]), dtype="float64", name=f"signs{index}_{call.layer.name}"
            )
            copy = clone(call.layer, dtype="float64", input_quantizer=None)
            result = run_call(call, copy, {**tensors, id(call.inputs[0]): given[index]})
            own = getattr(call.layer.input_quantizer, "weights", ())
            values = [w for w in call.layer.weights if all(w is not other for other in own)]
            for new, old in zip(copy.weights, values, strict=True):
                latent(new).assign(tf.cast(latent(old), "float64"))
            self._nudged.append(_Nudged(call.layer))
            return self._nudged[-1](result)

        inputs = new_inputs(model, "float64")
        tensors = call_again(model, inputs, replace, "float64")
        numbers = range(len(pairs))
        outputs = [tensors[id(tensor)] for tensor in model.outputs]
        self._count = len(outputs)
        self._model = model_of(
            [*inputs, *(given[i] for i in numbers)],
            [*outputs, *(before[i] for i in numbers)],
            model.name,
        )

    def run(self, row: Sequence[np.ndarray], signs: Sequence[np.ndarray]) -> None:
        """Compute all numbers for an input and the signs that an engine gave for it."""
        found = self._computed(row, signs)
        self.outputs, self._before = found[: self._count], found[self._count :]
        self.moved = [np.zeros_like(output) for output in self.outputs]
        self._slacks = [np.zeros_like(tensor) for tensor in self._before]

    def nudge(self, row: Sequence[np.ndarray], signs: Sequence[np.ndarray]) -> None:
        """Find out how far all numbers of the last run move with the error of the sums."""
        rng, draws = np.random.default_rng(0), []
        for _ in range(_DRAWS):
            for layer in self._nudged:
                layer.draw(rng)
            draws.append(self._computed(row, signs))
        for layer in self._nudged:
            layer.draw(None)
        moved, before = (draw[: self._count] for draw in draws), (d[self._count :] for d in draws)
        ours = [scores(x) for scores, x in zip(self._scores, self.outputs, strict=True)]
        theirs = [
            [scores(x) for scores, x in zip(self._scores, outputs, strict=True)]
            for outputs in moved
        ]
        self.moved = [_spread(x, others) for x, *others in zip(ours, *theirs, strict=True)]
        self._slacks = [
            _spread(x, others) for x, *others in zip(self._before, *before, strict=True)
        ]

    def signs_off(self, signs: Sequence[np.ndarray], tolerance: float) -> list[tuple[int, int]]:
        """For each convolution, how many signs differ from Keras's, and how many of these may."""
        counts = []
        for tensor, moved, quantizer, given in zip(
            self._before, self._slacks, self._quantizers, signs, strict=True
        ):
            slack = tolerance * np.abs(tensor).max() + moved
            off = quantizer(tf.constant(tensor)).numpy() != given
            near = [quantizer(tf.constant(tensor + s)).numpy() == given for s in (-slack, slack)]
            counts.append((int(off.sum()), int((off & (near[0] | near[1])).sum())))
        return counts

    def _computed(self, row: Sequence[np.ndarray], signs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs of the model, and then the numbers in front of the signs."""
        values = [array.astype(np.float64) for array in (*row, *signs)]
        given = values if len(values) > 1 else values[0]
        return [x.numpy() for x in tf.nest.flatten(self._model(given, training=False))]


def _spread(exact: np.ndarray, draws: Sequence[np.ndarray]) -> np.ndarray:
    """How far numbers may move, by what a few draws at random do: twice the root mean square."""
    return 2 * np.sqrt(np.mean([(draw - exact) ** 2 for draw in draws], axis=0))


def _sign_before(graph: Graph, call: Call) -> tuple[Any, Any]:
    """The quantizer that gives a convolution its signs, and the tensor that it quantizes."""
    if call.layer.input_quantizer is not None:
        return call.layer.input_quantizer, call.inputs[0]
    source = graph.source(call.inputs[0])
    if not is_sign(source.layer) or len(source.inputs) != 1:
        raise ValueError(
            f"{call.layer.name} takes signs through {source.layer.name}, which is not a quantizer."
        )
    return source.layer, source.inputs[0]


def _in_float64(quantizer: Quantizer, tensor: KerasTensor) -> Callable[[Any], Any]:
    """A copy of a quantizer, thresholds included, for float64 tensors of the shape of `tensor`."""
    if not isinstance(quantizer, tf.keras.layers.Layer):
        return quantizer
    copy = clone(quantizer, dtype="float64")
    copy(tf.zeros([size or 1 for size in tensor.shape], tf.float64))
    copy.set_weights(quantizer.get_weights())
    return copy
