r"""How the outputs of two runs of one network compare, and what rounding in float32 explains.

Two programs that compute the same network in float32 add the same numbers in another order, so
their results differ by rounding. `rounding_of` bounds by how much. In a binary network there is a
second effect: a number that is within rounding of a threshold may get the other sign, and many
numbers behind it then change. So the outputs for an input are either within rounding of each other,
or a sign has fallen the other way. `replay` proves that the latter is all that happens.

Another class in first place means something only if the first was ahead of the second by more than
rounding explains; otherwise the two are a near tie. And a few inputs that get another class say
little about a percentage: `is_more_than_chance` tells whether there are enough of them.
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
# A sum may be this many times smaller than its largest summand, whose rounding error it keeps.
_CANCELLATION = 16
_UNIT = 2.0**-24  # the largest relative error of one rounding to float32

SMALLEST_PROBABILITY = 1e-30  # below it, the logarithm would compare noise
_CHANCE = 0.01  # what is less likely than this is held to be more than chance


@dataclass(frozen=True)
class Agreement:
    """How the outputs of two runs compare.

    Attributes:
        images: Number of inputs.
        same_class: Share of inputs with the same arg-max, 0 to 1. With a single output, which has
            no arg-max, it is the share of inputs whose outputs differ by at most 1 % of the
            standard deviation over all inputs.
        mean_distance: Mean absolute difference of the logits. If the model ends in a softmax, its
            logits are the logarithms of its outputs, centered.
        max_distance: Largest absolute difference of the logits.
        engine: What ran the file.
        second: How the file in larq-reactnet-runtime compares with the file in `engine`, if that is
            LCE's interpreter and both are installed.
        refusal: Why larq-reactnet-runtime did not run the file, if it is installed and did not.
        decided: Number of answers that count: those that are the same, and those whose difference
            is larger than what rounding and storage (weights in a smaller type than float32)
            explain.
        other_class: How many of them are not the same.
        flipped: Number of inputs whose outputs are further apart than rounding and storage explain,
            because a sign has fallen the other way.
        relative_error: The root mean square of the differences of an output, relative to the
            standard deviation of that output over the inputs. This is the largest over all outputs.
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
        """The engines that ran the file. The first one is compared with Keras."""
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
        expected: The outputs of another run, of the same shape.
        softmax: Whether both are the probabilities of a softmax.
        rounding: How large a difference rounding explains, relative to the largest logit of an
            input.
        stored: What else explains a difference: how far the logits of each input are moved because
            weights are stored in a smaller type than float32.
        engine: The engine that gave `found`.
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

    If an output does not vary, as with a single input, its error is relative to its magnitude.
    """
    axes = tuple(range(expected.ndim - 1))
    error = np.sqrt(np.mean((found - expected).astype(np.float64) ** 2, axes))
    spread = np.std(expected.astype(np.float64), axes)
    magnitude = np.abs(expected).max(axes)
    # Less than a millionth of the magnitude is rounding, not variation.
    scale = np.where(spread > 1e-6 * magnitude, spread, magnitude)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.max(np.where(error == 0, 0.0, error / scale)))


def _answers(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which answers are the same, and how far apart in `theirs` those are that are not.

    With several outputs, the answer is the index of the largest. Another one becomes the largest if
    the two outputs come nearer to each other by the gap between them, so a difference of half the
    gap explains it. With one output, the answer is its value, and the gap is twice the distance.
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


def logits_of(probabilities: np.ndarray) -> np.ndarray:
    """The logits, centered, for which a softmax gives `probabilities`."""
    logits = np.log(np.maximum(probabilities, SMALLEST_PROBABILITY))
    return logits - logits.mean(-1, keepdims=True)
