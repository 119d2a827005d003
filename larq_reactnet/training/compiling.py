"""Compiles a network as a step of a recipe says."""

from larq_reactnet._latent import latent
from larq_reactnet.distillation import Distiller
from larq_reactnet.losses import SoftCategoricalCrossentropy
from larq_reactnet.metrics import SoftCategoricalAccuracy
from larq_reactnet.profiling import KERNELS, flat_layers
from larq_reactnet.training.optimizers import FusedAdam, TorchAdam
from larq_reactnet.training.schedules import schedule_of
from larq_reactnet.zoo.recipes import Recipe, Step

import tensorflow as tf

__all__ = ["compiled", "optimizer_of"]


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
    optimizer = optimizer_of(step, steps_per_epoch, recipe.ema)
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
    # What each of several replicas says of a step is the mean of all. By default Keras adds it up.
    model.distribute_reduction_method = "first"
    return model


def optimizer_of(
    step: Step, steps_per_epoch: int, ema: float = 0.0
) -> tf.keras.optimizers.Optimizer:
    """The optimizer of a step, with its schedule, and with moving averages of weights for `ema`."""
    rate = schedule_of(step, steps_per_epoch)
    averages = {"use_ema": True, "ema_momentum": ema} if ema else {}
    if step.optimizer == "sgd":
        return tf.keras.optimizers.SGD(rate, momentum=0.9, nesterov=step.nesterov, **averages)
    if step.optimizer == "torch_adam":
        return TorchAdam(rate, **averages)
    return FusedAdam(rate, **averages)


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
