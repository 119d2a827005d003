"""A folder of photographs as a data set: its layout, its split, and files that cannot be read."""

import functools
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from larq_reactnet.zoo.datasets.cropping import random_crop_of
from larq_reactnet.zoo.datasets.large import LargeFolder
from larq_reactnet.zoo.datasets.looking import reasons_against
from larq_reactnet.zoo.datasets.pixels import decoded
from larq_reactnet.zoo.datasets.sources import Source, cores

import numpy as np
import tensorflow as tf

__all__ = ["folder_classes", "folder_source", "is_folder", "say"]

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
TEST_FOLDERS = ("test", "validation", "val")
TEST_SHARE = 0.2  # of a folder that is not split
NAMED = 10  # files that are named of those that cannot be read
# Training images from which on an order is used that need not be gone through to be resumed. Below,
# it is the one that earlier versions had.
LARGE = 100_000

# Paths with their labels. A million of them as `Path` would take gigabytes.
Files = list[tuple[str, int]]


def is_folder(name: str) -> bool:
    """Whether `name` is a folder with photographs in it, and not only with anything else."""
    folder = Path(name).expanduser()
    return folder.is_dir() and (Path(folder, "train").is_dir() or bool(_classes(folder)))


def folder_classes(folder: Path) -> list[str]:
    """The names of the classes of a folder.

    Raises:
        ValueError: If it has none.
    """
    train = folder / "train"
    found = _classes(train if train.is_dir() else folder)
    if not found:
        raise ValueError(
            f"{folder} is a folder, but there are no images in it where they are looked for: JPEG, "
            "PNG, GIF, BMP or WebP files in a folder for each class, CLASS/, or in train/CLASS/ "
            "and test/CLASS/."
        )
    return found


def folder_source(folder: Path, image_size: int, *, strict: bool) -> Source:
    """A folder whose classes are the names of the folders in it. Only paths are in memory.

    Args:
        folder: An absolute path.
        image_size: Height and width that the images are to get.
        strict: Whether files that cannot be read are refused, and not left out.

    Raises:
        ValueError: If it has no images for training or for tests, or some are refused.
    """
    names = folder_classes(folder)
    if (folder / "train").is_dir():
        test = next((folder / name for name in TEST_FOLDERS if (folder / name).is_dir()), None)
        if test is None:
            raise ValueError(
                f"{folder} has train/ and no test/: make it, or put the folders of the classes "
                f"straight into {folder}, and they are split."
            )
        unknown = sorted({*_classes(test)} - {*names})
        if unknown:
            raise ValueError(f"{test} has classes that are not in train/: {', '.join(unknown)}.")
        found = {"train": _files(folder / "train", names), "test": _files(test, names)}
        files, left_out = _readable([*found["train"], *found["test"]], folder, strict)
        start = os.path.join(folder, "train", "")
        splits = {
            "train": [x for x in files if x[0].startswith(start)],
            "test": [x for x in files if not x[0].startswith(start)],
        }
    else:
        files, left_out = _readable(_files(folder, names), folder, strict)
        splits = _split(files, folder, len(names))
        if files and not splits["test"]:
            raise ValueError(
                f"{folder} has one image of each class that can be read, and so none for tests: "
                "add a second one to a class."
            )
        say(
            f"{folder} is not split into train/ and test/: {len(splits['test']):,} of its "
            f"{len(files):,} images are for tests, always the same, chosen by a hash of their paths"
        )
    for key, chosen in splits.items():
        if not chosen:
            raise ValueError(f"{folder} has no images in {key}/CLASS/ that can be read.")
    paths = {
        key: tf.constant([os.fsencode(path) for path, _ in chosen])
        for key, chosen in splits.items()
    }
    labels = {
        key: np.array([label for _, label in chosen], np.int32) for key, chosen in splits.items()
    }
    is_large = len(labels["train"]) > LARGE
    return Source(
        {key: tf.data.Dataset.from_tensor_slices((paths[key], labels[key])) for key in splits},
        functools.partial(decoded, is_path=True),
        names,
        image_size,
        LargeFolder(paths["train"], tf.constant(labels["train"])) if is_large else None,
        functools.partial(random_crop_of, is_path=True),
        labels,
        is_path=True,
        left_out=left_out,
    )


@functools.cache
def say(text: str) -> None:
    """Tell the user something of a data set: once, although it may be loaded several times."""
    print(text, file=sys.stderr, flush=True)


def _classes(folder: Path) -> list[str]:
    """The names of the folders in `folder` that have images in them."""
    with os.scandir(folder) as entries:
        names = [x.name for x in entries if x.is_dir() and not x.name.startswith(".")]
    return sorted(name for name in names if _has_images(folder / name))


def _has_images(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(_is_image(entry.name) for entry in entries)


def _is_image(name: str) -> bool:
    return _suffix(name) in SUFFIXES and not name.startswith(".")


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _files(folder: Path, names: Sequence[str]) -> Files:
    """The images of each class, in a fixed order. Other files are counted."""
    found, others = [], Counter[str]()
    with os.scandir(folder) as entries:
        loose = sum(_is_image(entry.name) and entry.is_file() for entry in entries)
    if loose:
        say(
            f"{folder} has images that are in no folder of a class, and are not read: {loose:,}. "
            "Move them into one"
        )
    for label, name in enumerate(names):
        place = folder / name
        if not place.is_dir():  # of a class without test images
            continue
        with os.scandir(place) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
        images = sorted(entry.name for entry in visible if _is_image(entry.name))
        found += [(os.path.join(place, image), label) for image in images]
        others.update(
            _suffix(entry.name) or "no suffix"
            for entry in visible
            if not _is_image(entry.name) and entry.is_file()
        )
    if others:
        counts = ", ".join(f"{count:,} of {suffix}" for suffix, count in sorted(others.items()))
        say(f"{folder} has files that are not read as images: {counts}")
    return found


def _split(files: Files, folder: Path, classes: int) -> dict[str, Files]:
    """About a fifth of each class for tests, and at least one image of each class in both.

    An image is for tests if the hash of its path in the folder is small. So it stays where it is
    when others come or go, and when the folder moves.
    """
    start = len(os.path.join(folder, ""))

    def position(path: str) -> float:
        name = path[start:].encode("utf-8", "surrogateescape")
        return int.from_bytes(hashlib.sha256(name).digest()[:8], "big") / 2**64

    of_class: list[list[str]] = [[] for _ in range(classes)]
    for path, label in files:
        of_class[label].append(path)
    splits: dict[str, Files] = {"train": [], "test": []}
    for label, paths in enumerate(of_class):
        ranked = sorted((position(path), path) for path in paths)
        small = sum(value < TEST_SHARE for value, _ in ranked)
        count = min(max(small, 1), len(ranked) - 1) if ranked else 0
        for number, (_, path) in enumerate(ranked):
            splits["test" if number < count else "train"].append((path, label))
    return {key: sorted(found, key=lambda x: (x[1], x[0])) for key, found in splits.items()}


def _readable(files: Files, folder: Path, strict: bool) -> tuple[Files, tuple[str, ...]]:
    """Those of the files that can be read, in their order, and what is said of the others.

    Without this, a training would end at the first one of them, perhaps after hours.
    """
    reasons = [*reasons_against([path for path, _ in files], folder, cores())]
    broken = tuple(reason for reason in reasons if reason)
    if broken:
        left = [f"and {len(broken) - NAMED:,} more"] if len(broken) > NAMED else []
        listed = "\n  ".join([*broken[:NAMED], *left])
        text = f"{len(broken):,} of the {len(files):,} images in {folder} cannot be read"
        if strict:
            raise ValueError(f"{text}:\n  {listed}")
        say(f"{text}, and are left out:\n  {listed}")
    return [x for x, reason in zip(files, reasons, strict=True) if not reason], broken
