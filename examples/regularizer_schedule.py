"""BNN+ with a regularizer whose strength is raised during the training.

The regularizers R1 and R2 pull each latent weight towards plus or minus the scale of its filter.
At the beginning that keeps weights from changing their sign; later it makes them certain of it. So
the strength rises linearly from 0 in the first epochs, and stays.

    python examples/regularizer_schedule.py
    python examples/regularizer_schedule.py --rise 0     # the full strength from the start

The network learns handwritten digits, which come with scikit-learn, so nothing is downloaded. The
papers on this do not have such a schedule: whether it helps you is for you to measure.
"""

import argparse

import larq_reactnet as lr  # before TensorFlow's Keras is used: it selects Keras 2

import numpy as np
import tensorflow as tf


def distance(model: tf.keras.Model) -> float:
    """How far latent weights are from plus or minus the scale of their filter: the mean.

    It is 0 if each of them is at one of the two values that it stands for.
    """
    distances = []
    for layer in model.layers:
        quantizer = getattr(layer, "kernel_quantizer", None)
        if isinstance(quantizer, lr.quantizers.BNNPlusSign):
            latent, alpha = layer.kernel.numpy(), quantizer.alpha.numpy()
            distances.append(np.abs(np.abs(latent) - alpha).ravel())
    return float(np.concatenate(distances).mean())


def main(
    epochs: int, rise: int, strength: float, regularizer: str, width: float
) -> list[tuple[float, float]]:
    """Train. Returns the factor of the strength, and the distance of the weights, of each epoch."""
    tf.keras.utils.set_random_seed(0)
    data = lr.zoo.datasets.load("digits", batch_size=64)
    model = lr.zoo.BNNPlusDoReFaNet(
        input_shape=data.image_shape,
        num_classes=data.num_classes,
        width=width,
        regularizer=regularizer,
        strength=strength,
    )
    model.compile(
        tf.keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )

    def factor(epoch: int) -> float:
        return min(1.0, epoch / rise) if rise else 1.0

    history = []

    def tell(epoch: int, logs: dict[str, float]) -> None:
        history.append((factor(epoch), distance(model)))
        print(
            f"Epoch {epoch + 1}: strength {strength * factor(epoch):.1e}, distance of the weights "
            f"{history[-1][1]:.4f}, accuracy in the test {logs['val_accuracy']:.1%}",
            flush=True,
        )

    print(f"Before the training: distance of the weights {distance(model):.4f}")
    model.fit(
        data.train,
        validation_data=data.test,
        epochs=epochs,
        verbose=0,
        callbacks=[
            lr.callbacks.RegularizerSchedule(factor),
            tf.keras.callbacks.LambdaCallback(on_epoch_end=tell),
        ],
    )
    return history


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--rise", type=int, default=4, help="epochs until the full strength")
    parser.add_argument("--strength", type=float, default=1e-4)
    parser.add_argument("--regularizer", choices=("r1", "r2"), default="r1")
    parser.add_argument("--width", type=float, default=0.5, help="of the network")
    main(**vars(parser.parse_args()))
