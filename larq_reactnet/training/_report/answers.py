"""What a trained network answers to the test images: the confusion matrix, the surest mistakes."""

from dataclasses import dataclass

from larq_reactnet.training._report.reading import Ran
from larq_reactnet.zoo.datasets import Dataset

import numpy as np
import tensorflow as tf

__all__ = ["Answers", "Mistake", "answers_of"]

MISTAKES = 12


@dataclass(frozen=True)
class Mistake:
    """A test image that got a wrong class.

    Attributes:
        pixels: The image as the network sees it, `(height, width, 3)`, uint8.
        label: Index of its class.
        answer: Index of the class that it got.
        score: The probability of that class, 0 to 1.
    """

    pixels: np.ndarray
    label: int
    answer: int
    score: float


@dataclass(frozen=True)
class Answers:
    """What a network answers.

    Attributes:
        class_names: Names of the classes.
        confusion: How many images of each class (row) got which class (column).
        mistakes: The mistakes of the highest scores, highest first.
    """

    class_names: list[str]
    confusion: np.ndarray
    mistakes: list[Mistake]

    @property
    def images(self) -> int:
        """Number of images."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Share of images that got their class."""
        return float(np.trace(self.confusion) / max(1, self.images))


def answers_of(ran: Ran, data: Dataset, limit: int | None = None) -> Answers:
    """Run a trained network on the first `limit` test images, or all.

    Raises:
        ValueError: If the training is not finished, or the network is none for such images.
    """
    model = ran.run.load_model()
    if model.input_shape[1:] != data.image_shape or model.output_shape[-1] != data.num_classes:
        raise ValueError(
            f"The network takes images of {model.input_shape[1:]} and knows "
            f"{model.output_shape[-1]} classes; {data.name} has images of {data.image_shape} and "
            f"{data.num_classes} classes."
        )
    confusion = np.zeros((data.num_classes,) * 2, np.int64)
    surest: list[Mistake] = []
    count = data.test_size if limit is None else limit
    # Batch by batch, because a test set may be larger than memory.
    for images, labels in data.test.unbatch().take(count).batch(256):
        scores = _probabilities(model, model.predict_on_batch(images))
        answers, labels = scores.argmax(-1), np.asarray(labels)
        np.add.at(confusion, (labels, answers), 1)
        wrong = np.flatnonzero(answers != labels)
        best = wrong[np.argsort(-scores[wrong, answers[wrong]], kind="stable")][:MISTAKES]
        surest += [
            Mistake(
                _pixels(np.asarray(images[index]), data),
                int(labels[index]),
                int(answers[index]),
                float(scores[index, answers[index]]),
            )
            for index in best
        ]
        surest = sorted(surest, key=lambda mistake: -mistake.score)[:MISTAKES]
    return Answers(list(data.class_names), confusion, surest)


def _probabilities(model: tf.keras.Model, outputs: np.ndarray) -> np.ndarray:
    """What a network gives, or the softmax of it if it ends in logits."""
    is_given = np.allclose(outputs.sum(-1), 1, atol=1e-3) and outputs.min() >= 0
    return outputs if is_given else tf.nn.softmax(outputs).numpy()


def _pixels(image: np.ndarray, data: Dataset) -> np.ndarray:
    """The pixels, 0 to 255, of which a normalized image was made."""
    pixels = image * np.asarray(data.std) + np.asarray(data.mean)
    return np.clip(np.round(pixels), 0, 255).astype(np.uint8)
