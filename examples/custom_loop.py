"""A training loop of your own, with GradientTape, on every device of a tf.distribute strategy.

`model.fit` needs nothing of this. Write a loop if a step has to do what `fit` does not.

    python examples/custom_loop.py
    python examples/custom_loop.py --devices 2     # two parts of the CPU, to see it work

On a machine with several GPUs it uses all of them. The network is BNN+'s DoReFa-Net on handwritten
digits, with its regularizer and its trained scales; nothing is downloaded.
"""

import argparse
import sys
from collections.abc import Iterable
from typing import Any

import larq_reactnet as lr  # before TensorFlow's Keras is used: it selects Keras 2

import tensorflow as tf

LEARNING_RATE = 3e-3


def strategy_of(devices: int) -> tf.distribute.Strategy:
    """All GPUs, or else as many parts of the CPU. This comes before anything is computed."""
    if tf.config.list_physical_devices("GPU"):
        return tf.distribute.MirroredStrategy()
    (cpu, *_) = tf.config.list_physical_devices("CPU")
    parts = [tf.config.LogicalDeviceConfiguration()] * devices
    if devices > 1:
        tf.config.set_logical_device_configuration(cpu, parts)
    return tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(devices)])


class Training:
    """Everything that has variables is made in the scope of the strategy, and used in `run`."""

    def __init__(
        self, strategy: tf.distribute.Strategy, data: lr.zoo.datasets.Dataset, width: float
    ):
        self.strategy = strategy
        self.data = data
        with strategy.scope():
            self.model = lr.zoo.BNNPlusDoReFaNet(
                input_shape=data.image_shape, num_classes=data.num_classes, width=width
            )
            self.optimizer = tf.keras.optimizers.Adam(LEARNING_RATE)
            self.accuracy = tf.keras.metrics.SparseCategoricalAccuracy()
            self.mean_loss = tf.keras.metrics.Mean()
        self.batches = strategy.experimental_distribute_dataset(data.train)
        self.test_batches = strategy.experimental_distribute_dataset(data.test)

    def step(self, images: tf.Tensor, labels: tf.Tensor, count: tf.Tensor) -> None:
        """What each device does with its part of a batch of `count` images."""
        with tf.GradientTape() as tape:
            outputs = self.model(images, training=True)
            each = tf.keras.losses.sparse_categorical_crossentropy(labels, outputs)
            # Gradients are summed over the devices: so each divides by the images of all of them,
            # and the penalties of BNN+, which every device has, by the number of devices.
            loss = tf.reduce_sum(each) / count
            loss += tf.nn.scale_regularization_loss(tf.add_n(self.model.losses))
        variables = self.model.trainable_variables
        # `apply_gradients` also clips latent weights, as their constraint says.
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self.accuracy.update_state(labels, outputs)
        self.mean_loss.update_state(loss * self.strategy.num_replicas_in_sync)

    @tf.function(reduce_retracing=True)  # the last batch of an epoch is smaller
    def train_step(self, images: Any, labels: Any) -> None:
        """One batch on all devices."""
        counts = self.strategy.run(lambda part: tf.cast(tf.shape(part)[0], tf.float32), [labels])
        count = self.strategy.reduce("SUM", counts, axis=None)
        self.strategy.run(self.step, [images, labels, count])

    @tf.function(reduce_retracing=True)
    def test_step(self, images: Any, labels: Any) -> None:
        """One batch of the test."""

        def step(images: tf.Tensor, labels: tf.Tensor) -> None:
            self.accuracy.update_state(labels, self.model(images, training=False))

        self.strategy.run(step, [images, labels])

    def mean_of(self, batches: Iterable[Any], step: Any) -> float:
        """The accuracy over some batches."""
        self.accuracy.reset_state()
        self.mean_loss.reset_state()
        for images, labels in batches:
            step(images, labels)
        return float(self.accuracy.result())


def main(devices: int, epochs: int, width: float, batch_size: int) -> float:
    """Train, and return the accuracy on the test images."""
    strategy = strategy_of(devices)
    tf.keras.utils.set_random_seed(0)
    print(f"{strategy.num_replicas_in_sync} devices")
    # A batch is that of all devices together: the strategy gives each its part.
    training = Training(strategy, lr.zoo.datasets.load("digits", batch_size=batch_size), width)
    accuracy = 0.0
    for epoch in range(epochs):
        trained = training.mean_of(training.batches, training.train_step)
        loss = float(training.mean_loss.result())
        accuracy = training.mean_of(training.test_batches, training.test_step)
        print(
            f"Epoch {epoch + 1}: loss {loss:.3f}, accuracy {trained:.1%}, in the test "
            f"{accuracy:.1%}",
            flush=True,
        )
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", type=int, default=1, help="parts of the CPU, without a GPU")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--width", type=float, default=0.5, help="of the network")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--wanted", type=float, default=0.8, help="accuracy below which it fails")
    arguments = parser.parse_args()
    wanted = arguments.__dict__.pop("wanted")
    reached = main(**vars(arguments))
    if reached < wanted:
        sys.exit(f"The accuracy {reached:.2%} is below {wanted:.0%}.")
