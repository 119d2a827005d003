r"""How the outputs of two runs of one network compare, and what rounding in float32 explains.

Two programs that compute the same network in float32 add the same numbers in another order, so
their results differ by rounding. `rounding_of` bounds by how much. In a binary network there is a
second effect: a number that is within rounding of a threshold may get the other sign, and many
numbers behind it then change. So the outputs for an input are either within rounding of each other,
or a sign has fallen the other way. `replay` proves that the latter is all that happens.

Which class comes first says something only where the first is ahead of the second by more than
rounding explains, and a few inputs that get another class say nothing about a percentage:
`is_more_than_chance` tells when they do.
"""

import math
from dataclasses import dataclass

from larq_reactnet.profiling import KERNELS, calls_of, is_binary

import numpy as np
import tensorflow as tf

__all__ = ["Agreement", "compare", "is_more_than_chance", "logits_of", "rounding_of"]

# Errors of n roundings are taken to add up like a random walk, and to stay within 8 times its
# standard deviation (Higham and Mary, "A new approach to probabilistic rounding error analysis",
# 2019, with lambda = 8).
_DEVIATIONS = 8
# A sum may be as much smaller than its largest summand, of which it keeps the error.
_CANCELLATION = 16
_UNIT = 2.0**-24  # the largest relative error of one rounding to float32

SMALLEST_PROBABILITY = 1e-30  # below it, the logarithm would compare noise
_CHANCE = 0.01


@dataclass(frozen=True)
class Agreement:
    """How the outputs of two runs compare.

    Attributes:
        images: Number of inputs.
        same_class: Share of inputs with the same arg-max, 0 to 1. With a single output, which has
            no arg-max, the share of those that differ by less than 1 % of its spread.
        mean_distance: Mean absolute difference of the logits. Of a model that ends in a softmax,
            logits are the logarithms of its outputs, centered.
        max_distance: Largest absolute difference of the logits.
        engine: What ran the file.
        second: How the file in larq-reactnet-runtime compares with the file in `engine`, if that is
            LCE's interpreter and both are installed.
        refusal: Why larq-reactnet-runtime did not run the file, if it is installed and did not.
        decided: Number of answers that count: those that are the same, and those whose difference
            is larger than what rounding and storage explain.
        other_class: How many of them are not the same.
        flipped: Number of inputs whose outputs are further apart than rounding and storage explain,
            because a sign has fallen the other way.
        relative_error: The root mean square of the differences of an output, relative to the
            standard deviation of that output over the inputs; of the output where it is largest.
        largest_change: Largest absolute difference of the outputs themselves, which are
            probabilities if the model ends in a softmax.
    """

    images: int
    same_class: float
    mean_distance: float
    max_distance: float
    engine: str = ""
    second: "Agreement | None" = None
    refusal: str = ""
    decided: int = 0
    other_class: int = 0
    flipped: int = 0
    relative_error: float = 0.0
    largest_change: float = 0.0

    @property
    def engines(self) -> tuple[str, ...]:
        """What ran the file, the first of which is compared with Keras."""
        return (self.engine, *(self.second.engines if self.second else ()))


def compare(
    found: np.ndarray,
    expected: np.ndarray,
    *,
    softmax: bool,
    rounding: float,
    stored: np.ndarray | float = 0.0,
    engine: str = "",
) -> Agreement:
    """How `found` compares with `expected`.

    Args:
        found: Outputs, finite; the first axis is that of the inputs, the last that of the classes.
        expected: Those of another run, of the same shape.
        softmax: Whether they are the probabilities of a softmax.
        rounding: What rounding explains, relative to the largest logit of an input.
        stored: What explains a difference besides, of each input: how far its logits are moved
            by weights that are stored in less than float32.
        engine: What gave `found`.
    """
    change = np.abs(found - expected)
    ours, theirs = (logits_of(values) if softmax else values for values in (found, expected))
    distances = np.abs(ours - theirs)
    own_axes = tuple(range(1, distances.ndim))
    bound = rounding * np.abs(theirs).max(own_axes) + stored
    is_same, gap = _answers(ours, theirs)
    explained = gap <= 2 * np.reshape(bound, (-1, *[1] * (gap.ndim - 1)))
    return Agreement(
        images=len(found),
        same_class=float(is_same.mean()),
        mean_distance=float(distances.mean()),
        max_distance=float(distances.max()),
        engine=engine,
        decided=int(np.count_nonzero(is_same | ~explained)),
        other_class=int(np.count_nonzero(~is_same & ~explained)),
        flipped=int(np.count_nonzero(distances.max(own_axes) > bound)),
        relative_error=relative_error(ours, theirs),
        largest_change=float(change.max()),
    )


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """The error of the worst output, relative to how much this output varies over the inputs.

    An output that does not vary, as with a single input, is taken by its magnitude.
    """
    axes = tuple(range(expected.ndim - 1))
    error = np.sqrt(np.mean((found - expected).astype(np.float64) ** 2, axes))
    spread = np.std(expected.astype(np.float64), axes)
    magnitude = np.abs(expected).max(axes)
    # Less than a millionth of the magnitude is rounding, and no variation.
    scale = np.where(spread > 1e-6 * magnitude, spread, magnitude)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.max(np.where(error == 0, 0.0, error / scale)))


def _answers(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which answers are the same, and how large a difference would explain those that are not.

    With several outputs, the answer is the largest: it changes if two of them come nearer to each
    other by the gap between theirs. With one output, the answer is its value.
    """
    if theirs.shape[-1] == 1:
        distance = np.abs(ours - theirs)[..., 0]
        spread = np.std(theirs) or np.abs(theirs).max()
        return distance <= 1e-2 * spread, 2 * distance
    first, second = theirs.argmax(-1)[..., None], ours.argmax(-1)[..., None]
    gap = np.take_along_axis(theirs, first, -1) - np.take_along_axis(theirs, second, -1)
    return (first == second)[..., 0], gap[..., 0]


def rounding_of(model: tf.keras.Model) -> float:
    r"""By how much float32 may change a number in `model`, relative to the largest of its tensor.

    \\[ 8 \cdot 16 \cdot 2^{-24} \sqrt{n} \\]

    where \\(n\\) is the number of roundings on the way through the network: as many as a filter has
    weights for each layer of real weights, one for each other layer. Binary convolutions count
    exactly. Eight standard deviations are allowed, and sums that are 16 times smaller than what
    cancels in them.
    """
    roundings = 0
    for layer, calls in calls_of(model):
        kernels = [getattr(layer, name, None) for name in KERNELS]
        shapes = [kernel.shape[:-1] for kernel in kernels if kernel is not None]
        summands = [1 if is_binary(layer) else int(np.prod(shape)) for shape in shapes]
        roundings += calls * (sum(summands) or 1)
    return float(_DEVIATIONS * _CANCELLATION * _UNIT * math.sqrt(roundings))


def is_more_than_chance(count: int, total: int, share: float) -> bool:
    """Whether `count` of `total` is too many for what happens to each with probability `share`.

    By the binomial distribution, with a chance of error of 1 %: 4 of 50 are too many for a share of
    1 %, and so are 19 of 1,000.
    """
    at_least = 1.0
    for k in range(count):
        log_choices = math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1)
        at_least -= math.exp(log_choices) * share**k * (1 - share) ** (total - k)
    return count > 0 and at_least < _CHANCE


def logits_of(probabilities: np.ndarray) -> np.ndarray:
    """The logits, centered, of which a softmax gives `probabilities`."""
    logits = np.log(np.maximum(probabilities, SMALLEST_PROBABILITY))
    return logits - logits.mean(-1, keepdims=True)
