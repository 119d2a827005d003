"""Compiles a network as a step of a recipe says."""

import math
from typing import Any

from larq_reactnet._latent import latent
from larq_reactnet.distillation import Distiller
from larq_reactnet.losses import SoftCategoricalCrossentropy
from larq_reactnet.metrics import SoftCategoricalAccuracy
from larq_reactnet.profiling import KERNELS, flat_layers
from larq_reactnet.training.optimizers import FusedAdam, TorchAdam
from larq_reactnet.zoo.recipes import Recipe, Step

import tensorflow as tf

__all__ = ["compiled", "optimizer_of", "schedule_of"]

# Of a one-cycle schedule, as in PyTorch: the share of the steps in which the rate rises, and what
# part of the highest rate is the first one.
CYCLE_RISES, CYCLE_STARTS_AT = 0.3, 25


def compiled(
    network: tf.keras.Model,
    recipe: Recipe,
    step: Step,
    steps_per_epoch: int,
    teacher: tf.keras.Model | None = None,
) -> tf.keras.Model:
    """`network` with optimizer and losses of `step`, in a `Distiller` if there is a teacher.

    Args:
        network: Network of the recipe, which ends in logits if there is a teacher.
        recipe: The recipe, for its `label_loss_weight`, and for whether it mixes images.
        step: One of its steps.
        steps_per_epoch: Number of batches in an epoch.
        teacher: Trained network that ends in logits.
    """
    if step.weight_decay:
        decay_weights(network, step.weight_decay, step.decay_classifier)
    optimizer = optimizer_of(step, steps_per_epoch)
    from_logits = teacher is not None
    loss: tf.keras.losses.Loss
    metric: str | tf.keras.metrics.Metric
    if step.label_smoothing or recipe.mixup or recipe.cutmix:
        loss = SoftCategoricalCrossentropy(from_logits, step.label_smoothing)
        metric = SoftCategoricalAccuracy()
    else:
        loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits)
        metric = "accuracy"
    model = network
    if teacher is not None:
        model = Distiller(network, teacher, label_loss_weight=recipe.label_loss_weight)
    model.compile(optimizer, loss, metrics=[metric])
    return model


def optimizer_of(step: Step, steps_per_epoch: int) -> tf.keras.optimizers.Optimizer:
    """The optimizer of a step, with its schedule."""
    rate = schedule_of(step, steps_per_epoch)
    if step.optimizer == "sgd":
        return tf.keras.optimizers.SGD(rate, momentum=0.9, nesterov=step.nesterov)
    if step.optimizer == "torch_adam":
        return TorchAdam(rate)
    return FusedAdam(rate)


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


def decay_weights(network: tf.keras.Model, strength: float, classifier: bool = True) -> None:
    """Add `strength / 2` times the sum of squares of all kernels to the losses of `network`.

    Args:
        network: The network.
        strength: What PyTorch calls weight decay.
        classifier: Whether the last kernel is one of them.
    """
    kernels = [
        latent(kernel)
        for layer in flat_layers(network)
        for name in KERNELS
        if (kernel := getattr(layer, name, None)) is not None
    ]
    kernels = kernels if classifier else kernels[:-1]
    network.add_loss(lambda: strength * tf.add_n([tf.nn.l2_loss(kernel) for kernel in kernels]))
