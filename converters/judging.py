r"""How the outputs of two runs of one network compare, and what rounding in float32 explains.

Two programs that compute the same network in float32 add the same numbers in another order, so
their results differ by rounding. `rounding_of` bounds by how much. In a binary network there is a
second effect: a number that is within rounding of a threshold may get the other sign, and many
numbers behind it then change. So the outputs for an input are either within rounding of each other,
or a sign has fallen the other way. `replay` proves that the latter is all that happens.

Where outputs are classes, another class in first place means something only if the first was ahead
of the second by more than rounding explains; otherwise the two are a near tie. And a few inputs
that get another class say little about a percentage: `is_more_than_chance` tells whether there are
enough of them. Where outputs are numbers, each of them is judged by how far off it is, relative to
how much it varies over the inputs.
"""

import math

from larq_reactnet.converters.agreement import Agreement
from larq_reactnet.converters.tasks import Output
from larq_reactnet.profiling import KERNELS, calls_of, is_binary

import numpy as np
import tensorflow as tf

__all__ = [
    "Agreement",
    "compare",
    "is_close",
    "magnitudes",
    "relative_errors",
    "rounding_after",
    "rounding_of",
]

# Errors of n roundings are taken to add up like a random walk, and to stay within 8 times its
# standard deviation (Higham and Mary, "A new approach to probabilistic rounding error analysis",
# 2019, with lambda = 8).
_DEVIATIONS = 8
# A sum may be this many times smaller than its largest summand, whose rounding error it keeps.
_CANCELLATION = 16
_UNIT = 2.0**-24  # the largest relative error of one rounding to float32

_CHANCE = 0.01  # what is less likely than this is held to be more than chance


def compare(
    found: np.ndarray,
    expected: np.ndarray,
    *,
    output: Output | None = None,
    rounding: float,
    stored: np.ndarray | float = 0.0,
    engine: str = "",
) -> Agreement:
    """How `found` compares with `expected`.

    Args:
        found: One output of a model, finite; the first axis is that of the inputs, the last that of
            its classes or numbers.
        expected: The same of another run, of the same shape.
        output: How it is judged; by default as logits of classes.
        rounding: How large a difference rounding explains, relative to the largest logit of an
            input, or, for numbers, to the largest one of the same output.
        stored: What else explains a difference of classes: how far scores are moved because weights
            are stored in a smaller type than float32. It is a number, one for each input, or an
            array of the shape of the output.
        engine: The engine that gave `found`.
    """
    output = output or Output()
    if expected.ndim == 1:
        found, expected = found[:, None], expected[:, None]
    ours, theirs = output.scores(found), output.scores(expected)
    distances = np.abs(ours - theirs)
    moved = np.asarray(stored, np.float64)
    if moved.ndim == 1:
        moved = moved.reshape(-1, *[1] * (distances.ndim - 1))
    own_axes = tuple(range(1, distances.ndim))
    if output.by_numbers:
        explained = np.broadcast_to(rounding * magnitudes(theirs, output), distances.shape)
        bound = explained + moved
    else:
        explained = np.zeros_like(distances)
        largest = np.abs(theirs).max(own_axes, keepdims=True)
        bound = rounding * largest + (moved.max(own_axes, keepdims=True) if moved.ndim else moved)
    same_class, decided, other_class = None, 0, 0
    if output.by_class:
        is_same, gap = _answers(ours, theirs, output.threshold)
        near = gap <= 2 * np.broadcast_to(bound, (*distances.shape[:-1], 1))[..., 0]
        same_class = float(is_same.mean())
        decided = int(np.count_nonzero(is_same | ~near))
        other_class = int(np.count_nonzero(~is_same & ~near))
    beyond = relative_errors(np.where(distances <= explained, theirs, ours), theirs)
    return Agreement(
        images=len(found),
        same_class=same_class,
        mean_distance=float(distances.mean()),
        max_distance=float(distances.max()),
        engine=engine,
        decided=decided,
        other_class=other_class,
        flipped=int(np.count_nonzero((distances > bound).any(own_axes))),
        errors=tuple(map(float, relative_errors(ours, theirs))),
        error_of_numbers=float(np.max(beyond)) if output.by_numbers else None,
        largest_change=float(np.abs(found - expected).max()),
        output=output.name,
    )


def is_close(agreement: Agreement, min_agreement: float) -> bool:
    """Whether two runs agree as well as is wanted, in this output.

    Args:
        agreement: How they compare.
        min_agreement: Share of inputs that must get the same class, where the others must be more
            than chance explains to be too many. For numbers it is the share of the variance of each
            output that must be right: 0.99 allows an error (root mean square) of 0.1 of the
            standard deviation, because 1 - 0.1 ** 2 = 0.99. With 0, anything is close.
    """
    allowed = 1 - min_agreement
    error = agreement.error_of_numbers or 0.0
    if np.isnan(error) or (min_agreement > 0 and error**2 > allowed * (1 + 1e-9)):
        return False
    return not is_more_than_chance(agreement.other_class, agreement.decided, allowed)


def relative_errors(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """The error of each output, relative to how much this output varies over the inputs.

    If an output does not vary, as with a single input, its error is relative to its magnitude.
    """
    axes = tuple(range(expected.ndim - 1))
    error = np.sqrt(np.mean((found - expected).astype(np.float64) ** 2, axes))
    spread = np.std(expected.astype(np.float64), axes)
    magnitude = np.abs(expected).max(axes)
    # Less than a millionth of the magnitude is rounding, not variation.
    scale = np.where(spread > 1e-6 * magnitude, spread, magnitude)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error == 0, 0.0, error / scale)


def magnitudes(scores: np.ndarray, output: Output) -> np.ndarray:
    """To what the rounding of each number is relative: its largest size over all inputs.

    A probability is rounded by as much as the rounding of its logit changes it, which is a quarter
    of that at most. Functions such as GELU give small numbers as differences of larger ones: none
    of theirs is taken for smaller than a sixteenth of the largest.
    """
    if output.activation in ("sigmoid", "softmax"):
        probabilities = np.clip(scores.astype(np.float64), 1e-7, 1 - 1e-7)
        logits = np.log(probabilities / (1 - probabilities))
        scores = np.maximum(np.abs(scores), np.abs(logits) / 4)
    sizes = np.asarray(np.abs(scores).max(tuple(range(scores.ndim - 1))))
    if output.activation not in ("linear", "sigmoid", "softmax"):
        sizes = np.maximum(sizes, sizes.max() / 16)
    return sizes


def _answers(
    ours: np.ndarray, theirs: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which answers are the same, and how far apart in `theirs` those are that are not.

    With several outputs, the answer is the index of the largest. Another one becomes the largest if
    the two outputs come nearer to each other by the gap between them, so a difference of half the
    gap explains it. With one output, the answer is the side of the threshold, and the gap is twice
    the distance to it.
    """
    if theirs.shape[-1] == 1:
        sides, gap = (ours > threshold) == (theirs > threshold), 2 * np.abs(theirs - threshold)
        return sides[..., 0], gap[..., 0]
    first, second = theirs.argmax(-1)[..., None], ours.argmax(-1)[..., None]
    gap = np.take_along_axis(theirs, first, -1) - np.take_along_axis(theirs, second, -1)
    return (first == second)[..., 0], gap[..., 0]


def rounding_of(model: tf.keras.Model) -> float:
    r"""By how much float32 may change a number in `model`, relative to the largest of its tensor.

    \\[ 8 \cdot 16 \cdot 2^{-24} \sqrt{n} \\]

    where \\(n\\) is the number of roundings on the way through the network. A layer with real
    weights has as many as one of its filters has weights, and any other layer has one: the sums of
    binary convolutions are exact integers. Eight standard deviations are allowed, and sums that are
    16 times smaller than the summands that cancel in them.
    """
    roundings = 0
    for layer, calls in calls_of(model):
        kernels = [getattr(layer, name, None) for name in KERNELS]
        shapes = [kernel.shape[:-1] for kernel in kernels if kernel is not None]
        summands = [1 if is_binary(layer) else int(np.prod(shape)) for shape in shapes]
        roundings += calls * (sum(summands) or 1)
    return rounding_after(roundings)


def rounding_after(roundings: int) -> float:
    """By how much that many roundings to float32 may change a number: see `rounding_of`."""
    return float(_DEVIATIONS * _CANCELLATION * _UNIT * math.sqrt(roundings))


def is_more_than_chance(count: int, total: int, share: float) -> bool:
    """Whether `count` of `total` are too many for what happens to each with probability `share`.

    By the binomial distribution, with a chance of error of 1 %: 4 of 50 are too many for a share of
    1 %, and so are 19 of 1,000.
    """
    at_least = 1.0
    for k in range(count):
        log_choices = math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1)
        at_least -= math.exp(log_choices) * share**k * (1 - share) ** (total - k)
    return count > 0 and at_least < _CHANCE
