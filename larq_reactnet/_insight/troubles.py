"""The ways in which the training of a binary network goes wrong, and what to do about each."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from larq_reactnet._insight.records import Record, shares

import numpy as np

__all__ = ["Trouble", "dead_channels", "troubles_of"]

DEAD = 0.5  # share of the channels of a layer that always have the same sign
FEW = 1000  # weights of which none may change its sign in an epoch by chance
SEEN = 64  # positions of which fewer say nothing of a channel that always has the same sign
CLIPPED = 0.9  # share of the latent weights of a layer that are at the clip
EXPLODED = 2.0  # times the loss of the first epoch
FALLEN = 0.1  # of the largest learning rate: below it, weights may come to rest
NAMED = 8  # channels that a sentence names


@dataclass(frozen=True)
class Trouble:
    """Something that goes wrong.

    Attributes:
        kind: `"dead layer"`, `"no flips"`, `"clipped"`, `"exploding loss"`, `"not finite"` or
            `"below chance"`.
        where: Name of the layer, weight or metric.
        value: What was measured, as text.
        cure: What to do.
    """

    kind: str
    where: str
    value: str
    cure: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.value}. {self.cure}"

    def as_dict(self) -> dict[str, str]:
        """The attributes, for JSON."""
        return asdict(self)


def troubles_of(
    record: Record,
    earlier: list[Record],
    *,
    classes: int | None = None,
    frozen: frozenset[str] = frozenset(),
) -> list[Trouble]:
    """What goes wrong in an epoch.

    Args:
        record: The epoch.
        earlier: Epochs before it, of any step.
        classes: Number of classes, if the model is a classifier.
        frozen: Names of kernels that are not trained.
    """
    before = [other for other in earlier if other["step"] == record["step"]]
    found = _not_finite(record)
    if record["not_finite"]:  # of which all else follows
        return found
    found += [*_exploding(record, before), *_below_chance(record, classes)]
    for name, sign in record["signs"].items():
        found += _dead(name, sign)
    rates = [other.get("learning_rate") or 0.0 for other in [*before, record]]
    is_moving = rates[-1] > 0 and rates[-1] >= FALLEN * max(rates)
    for name, kernel in record["kernels"].items():
        if name not in frozen and record.get("learning_rate") is not None and is_moving:
            found += _no_flips(name, kernel, rates[-1])
        found += _clipped(name, kernel)
    return found


def dead_channels(sign: dict[str, Any]) -> tuple[int, str]:
    """How many channels of a sign had one value on all held images, and which, in words."""
    channels = shares(sign["channels"])
    found = ((np.flatnonzero(channels >= 1), "+1"), (np.flatnonzero(channels <= 0), "-1"))
    which = [f"{_few(indices)} always {value}" for indices, value in found if len(indices)]
    return sum(len(indices) for indices, _ in found), " and ".join(which)


def _not_finite(record: Record) -> list[Trouble]:
    name, loss = record["not_finite"], record["logs"].get("loss", 0.0)
    if name is None and np.isfinite(loss):
        return []
    cure = (
        "Nothing can be learned from here on. Start again from the last good weights with a third "
        "of the learning rate, or with `clipnorm=1.0` in the optimizer; if the data are your own, "
        "look for NaN in them."
    )
    where, value = (name, "has values that are NaN or infinite")
    if name is None:
        where, value = "loss", f"it is {loss}"
    return [Trouble("not finite", str(where), value, cure)]


def _exploding(record: Record, before: list[Record]) -> list[Trouble]:
    loss = record["logs"].get("loss")
    first = before[0]["logs"].get("loss") if before else None
    if loss is None or first is None or not loss > EXPLODED * abs(first):
        return []
    value = f"{loss:.4g} in epoch {record['epoch'] + 1}, after {first:.4g} in the first"
    cure = (
        "Lower the learning rate to a third, let it rise in the first epochs (`warmup`), or both."
    )
    return [Trouble("exploding loss", "loss", value, cure)]


def _below_chance(record: Record, classes: int | None) -> list[Trouble]:
    """A second step that gives no more than guesses, which a first step has not given."""
    names = [n for n in record["logs"] if re.fullmatch(r"val_(\w+_)?acc(uracy)?", n)]
    names = [name for name in names if "top" not in name]
    if record["step"] < 2 or not classes or classes < 2 or not names:
        return []
    accuracy = record["logs"][names[0]]
    if not accuracy <= 1 / classes:
        return []
    value = f"{accuracy:.2%} in epoch {record['epoch'] + 1}, and guesses give {1 / classes:.2%}"
    cure = (
        "The binary weights have lost what step 1 learned. Train step 1 longer, so that its "
        "weights come closer to two values; take a kernel quantizer that keeps their scale "
        "(`react_sign`, `bnn_plus_sign`); or lower the learning rate of step 2."
    )
    return [Trouble("below chance", names[0], value, cure)]


def _dead(name: str, sign: dict[str, Any]) -> list[Trouble]:
    dead, which = dead_channels(sign)
    count = len(shares(sign["channels"]))
    if sign["positions"] < SEEN or dead < DEAD * count:
        return []
    value = (
        f"{dead} of {count} channels have the same sign at all {sign['positions']:,} positions "
        f"({which})"
    )
    cure = (
        "They tell the next layer nothing. Put a batch normalization or an RSign before this sign, "
        "so that its inputs lie on both sides of its threshold; lower the learning rate if the "
        "channels were alive before."
    )
    return [Trouble("dead layer", name, value, cure)]


def _few(indices: np.ndarray) -> str:
    named = ", ".join(str(index) for index in indices[:NAMED])
    more = len(indices) - NAMED
    return (
        f"channel{'s' if len(indices) > 1 else ''} {named}{f' and {more} more' if more > 0 else ''}"
    )


def _no_flips(name: str, kernel: dict[str, Any], rate: float) -> list[Trouble]:
    # It is `None` of an epoch inside of which the training was interrupted.
    if kernel["flips"] != 0 or kernel["size"] < FEW or not kernel["mean"]:
        return []
    gradient = kernel.get("gradient")
    value = (
        f"no sign of its {kernel['size']:,} weights has changed in an epoch, at a learning rate of "
        f"{rate:.3g} and a mean magnitude of {kernel['mean']:.3g}"
    )
    if gradient == 0:
        cure = (
            "No gradient reaches them: a surrogate is 0 beyond its window, so latent weights and "
            "what comes into this layer must lie within it. Clip the weights "
            '(`kernel_constraint="weight_clip"`) and normalize before the sign.'
        )
    else:
        cure = (
            "The steps are too small for weights of this size: raise the learning rate, or start "
            "from smaller latent weights (`kernel_initializer`); check that the layer is trainable."
        )
    return [Trouble("no flips", name, value, cure)]


def _clipped(name: str, kernel: dict[str, Any]) -> list[Trouble]:
    share = kernel["at_clip"]
    if share is None or share < CLIPPED:
        return []
    value = f"{share:.1%} of its latent weights are at the clip"
    cure = (
        "Their signs hardly change any more. Lower the learning rate, or add weight decay, which "
        "pulls them back."
    )
    return [Trouble("clipped", name, value, cure)]
