"""What is in a data set, to be looked at before a long training."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from larq_reactnet.zoo.datasets.cropping import size_of
from larq_reactnet.zoo.datasets.loading import Dataset

import numpy as np
import tensorflow as tf
from tabulate import tabulate

__all__ = ["Overview", "overview"]

SIZED = 1_000  # training images whose sizes are looked at, in large steps through all of them
FEW = 10  # training images below which a class is nearly empty
UNEVEN = 10.0  # times as many images as in the smallest class, from which on a warning is given
NAMED = 10  # classes, or files, that are named
ROWS = 30  # of the table of classes


@dataclass(frozen=True)
class Overview:
    """What is in a data set.

    Attributes:
        data: The data set.
        counts: Number of images of each class, for `"train"` and `"test"`; `None` if all images
            of a large set would have to be read to count them.
        sizes: Heights and widths of some training images in their files: `(images, 2)`.
    """

    data: Dataset
    counts: dict[str, np.ndarray] | None
    sizes: np.ndarray

    @property
    def warnings(self) -> list[str]:
        """What may go wrong in a training on it: one class only, nearly empty ones, uneven ones."""
        found = []
        if self.data.num_classes == 1:
            found.append("there is only one class, so that every answer is right: add a second one")
        if self.counts is None:
            return found
        train = self.counts["train"]
        for text, chosen in (
            (f"fewer than {FEW} training images", train < FEW),
            ("no test images", self.counts["test"] == 0),
        ):
            if chosen.any():
                classes = f"{chosen.sum():,} of {len(chosen):,} classes"
                found.append(f"{classes} have {text}: {self._named(np.flatnonzero(chosen))}")
        if train.max() >= UNEVEN * max(train.min(), 1):
            most, least = (self.data.class_names[i] for i in (train.argmax(), train.argmin()))
            found.append(
                f"classes are uneven: {most} has {train.max():,} training images, {least} "
                f"{train.min():,}. The accuracy mostly tells of the large ones"
            )
        return found

    def short(self) -> str:
        """A line for each thing to know before a training."""
        names = self._named(range(self.data.num_classes))
        lines = [f"{self.data.num_classes:,} classes: {names}"]
        if self.counts is not None:
            train = self.counts["train"]
            lines.append(
                f"{self.data.train_size:,} training images, {train.min():,} to {train.max():,} of "
                f"a class; {self.data.test_size:,} test images"
            )
        return "\n".join([*lines, *(f"Warning: {text}" for text in self.warnings)])

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        counts = {key: found.tolist() for key, found in (self.counts or {}).items()}
        return {
            "name": self.data.name,
            "class_names": [*self.data.class_names],
            "images": {"train": self.data.train_size, "test": self.data.test_size},
            "counts": counts or None,
            "image_shape": [*self.data.image_shape],
            "sizes_in_files": self.sizes.tolist(),
            "mean": [*self.data.mean],
            "std": [*self.data.std],
            "crop": self.data.crop,
            "resize": self.data.resize,
            "augmentations": self.data.augmentations,
            "left_out": [*self.data.left_out],
            "warnings": self.warnings,
        }

    def facts(self) -> list[tuple[str, str]]:
        """Pairs of a name and what is said of it."""
        data = self.data
        train = ", ".join(f"{name}={value}" for name, value in data.augmentations.items())
        found = [
            ("Training images", f"{data.train_size:,}"),
            ("Test images", f"{data.test_size:,}"),
            ("Classes", f"{data.num_classes:,}"),
            ("Sizes in the files", self._sizes()),
            ("Images of the network", "x".join(map(str, data.image_shape))),
            ("Test images are", f"{data.resize}, crop={data.crop:g}"),
            ("Training images are", train or "as those of the test"),
            ("Normalization", f"(pixels - {_numbers(data.mean)}) / {_numbers(data.std)}"),
        ]
        if data.left_out:
            found.append(("Files left out", f"{len(data.left_out):,}"))
        return found

    def rows(self) -> list[tuple[str, int, int]]:
        """Name of each class, its training images and its test images, if they are counted."""
        if self.counts is None:
            return []
        train, test = (self.counts[key].tolist() for key in ("train", "test"))
        return [*zip(self.data.class_names, train, test, strict=True)]

    def __str__(self) -> str:
        parts = [self.data.name, tabulate(self.facts(), tablefmt="plain", disable_numparse=True)]
        rows = self.rows()
        if rows:
            parts.append(tabulate(rows[:ROWS], headers=("class", "train", "test"), intfmt=","))
        else:
            parts.append(
                "The images of each class are not counted: all images would have to be read."
            )
        if len(rows) > ROWS:
            parts.append(f"and {len(rows) - ROWS:,} more classes: --json and --html have all")
        parts += _left_out(self.data.left_out)
        parts += [f"Warning: {text}" for text in self.warnings]
        return "\n\n".join(parts)

    def samples(
        self, split: str, labels: Sequence[int], count: int
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Some images of some classes, as pairs of a label and pixels, uint8.

        Args:
            split: `"test"`, or `"train"` for images that are augmented, and not yet mixed.
            labels: The classes.
            count: Number of images of each, if there are so many.
        """
        wanted = tf.constant([*labels], tf.int64)
        found = self.data.source.splits[split].filter(
            lambda _, label: tf.reduce_any(tf.cast(label, tf.int64) == wanted)
        )
        missing = dict.fromkeys(labels, count)
        # As graphs, because `tf.numpy_function` passes other objects otherwise.
        test_image, train_image = map(tf.function, (self.data.test_image, self.data.train_image))
        for number, (encoded, label) in enumerate(found):
            if missing[int(label)]:
                missing[int(label)] -= 1
                if split == "train":
                    pixels = train_image(encoded, tf.constant([0, number], tf.int64))
                else:
                    pixels = test_image(encoded)
                yield int(label), np.asarray(pixels).round().clip(0, 255).astype(np.uint8)
            if not any(missing.values()):
                return

    def _named(self, labels: Sequence[int] | np.ndarray) -> str:
        names = [self.data.class_names[label] for label in labels[:NAMED]]
        return ", ".join([*names, *([f"and {len(labels) - NAMED:,} more"] * (len(labels) > NAMED))])

    def _sizes(self) -> str:
        """What is said of the sizes."""
        heights, widths = self.sizes.T
        low, middle, high = (
            f"{int(f(heights))}x{int(f(widths))}" for f in (np.min, np.median, np.max)
        )
        if low == high:
            return f"{low} (height x width)"
        looked = f"of {len(self.sizes):,} training images"
        return f"{low} to {high}, median {middle} (height x width, {looked})"


def overview(data: Dataset) -> Overview:
    """Look at a data set. Of its files, only the headers of some are read."""
    return Overview(data, _counts(data), _sizes(data))


def _counts(data: Dataset) -> dict[str, np.ndarray] | None:
    source = data.source
    if source.labels is None and source.large is not None:
        return None
    labels = source.labels or {
        split: np.concatenate([*pairs.map(lambda _, label: label).batch(4096).as_numpy_iterator()])
        for split, pairs in source.splits.items()
    }
    return {key: np.bincount(found, minlength=data.num_classes) for key, found in labels.items()}


def _sizes(data: Dataset) -> np.ndarray:
    source = data.source
    train = source.splits["train"]
    if source.large is None or source.labels is not None:  # else, all would be read
        train = train.shard(max(1, data.train_size // SIZED), 0)
    found = []
    for encoded, _ in train.take(SIZED):
        if encoded.dtype == tf.string:
            found.append(size_of(encoded.numpy(), is_path=source.is_path))
        else:
            found.append(tuple(encoded.shape[:2]))
    return np.array(found)


def _left_out(reasons: Sequence[str]) -> list[str]:
    if not reasons:
        return []
    more = [f"and {len(reasons) - NAMED:,} more"] * (len(reasons) > NAMED)
    return ["\n  ".join(["Left out, because they cannot be read:", *reasons[:NAMED], *more])]


def _numbers(values: Sequence[float]) -> str:
    return f"{values[0]:g}" if len({*values}) == 1 else f"({', '.join(f'{x:g}' for x in values)})"
