"""The learning rate of each batch of a step of a recipe."""

import math
from typing import Any

from larq_reactnet.zoo.recipes import Step

import tensorflow as tf

__all__ = ["schedule_of"]

# Of a one-cycle schedule, as in PyTorch: the share of the steps in which the rate rises, and what
# part of the highest rate is the first one.
CYCLE_RISES, CYCLE_STARTS_AT = 0.3, 25


def schedule_of(
    step: Step, steps_per_epoch: int
) -> tf.keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate of each batch of a step."""
    schedules = tf.keras.optimizers.schedules
    warmup, total = round(step.warmup * steps_per_epoch), step.epochs * steps_per_epoch
    if step.schedule == "one_cycle":
        return OneCycle(step.learning_rate, total, warmup or round(CYCLE_RISES * total))
    falling = max(1, total - warmup)
    rate: tf.keras.optimizers.schedules.LearningRateSchedule
    if step.schedule == "cosine":
        rate = schedules.CosineDecay(step.learning_rate, falling)
    elif step.schedule == "linear":
        rate = schedules.PolynomialDecay(step.learning_rate, falling, end_learning_rate=0.0)
    else:
        bounds = [epoch * steps_per_epoch - warmup - 1 for epoch in step.milestones]
        values = [step.learning_rate / 10**index for index in range(len(bounds) + 1)]
        bounds, values = bounds or [0], values if bounds else values * 2  # it needs a bound
        # At a bound itself, the rate before it is still used.
        rate = schedules.PiecewiseConstantDecay(bounds, values)
    return WarmUp(rate, step.learning_rate, warmup) if warmup else rate


class WarmUp(tf.keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises linearly to `rate` in `steps` steps and follows `after` then."""

    def __init__(
        self, after: tf.keras.optimizers.schedules.LearningRateSchedule, rate: float, steps: int
    ):
        self.after = after
        self.rate = rate
        self.steps = steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The learning rate at a step."""
        after = self.after(tf.maximum(step - self.steps, 0))
        rising = tf.cast(step, after.dtype) / self.steps * self.rate
        return tf.where(step < self.steps, rising, after)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"after": self.after, "rate": self.rate, "steps": self.steps}


class OneCycle(tf.keras.optimizers.schedules.LearningRateSchedule):
    r"""The one-cycle policy of Smith and Topin (2018), with the cosines of PyTorch's `OneCycleLR`.

    In the first \\(r\\) of \\(n\\) steps the rate rises from \\(\eta / 25\\) to \\(\eta\\), in the
    others it falls to 0. After a share \\(p\\) of the way from a rate \\(a\\) to a rate \\(b\\), it
    is \\(b + (a - b) (1 + \cos \pi p) / 2\\). The momentum stays as it is. PyTorch cycles it, too,
    and ends at a 250,000th of the rate.

    Args:
        rate: \\(\eta\\).
        steps: \\(n\\).
        rising: \\(r\\).
    """

    def __init__(self, rate: float, steps: int, rising: int):
        self.rate = rate
        self.steps = steps
        self.rising = rising

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The learning rate at a step."""
        step = tf.cast(step, tf.float32)
        rises = step < self.rising
        start = tf.where(rises, self.rate / CYCLE_STARTS_AT, self.rate)
        end = tf.where(rises, self.rate, 0.0)
        falling = max(1, self.steps - self.rising)
        share = tf.where(
            rises, step / max(1, self.rising), tf.minimum(1.0, (step - self.rising) / falling)
        )
        return end + (start - end) * (1 + tf.cos(math.pi * share)) / 2

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"rate": self.rate, "steps": self.steps, "rising": self.rising}
