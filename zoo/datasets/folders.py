"""A folder of photographs as a data set: its layout, its split, and files that cannot be read."""

import functools
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from larq_reactnet._shared import photos
from larq_reactnet.zoo.datasets.pixels import decoded
from larq_reactnet.zoo.datasets.sources import Source, cores

import tensorflow as tf

__all__ = ["folder_classes", "folder_source", "is_folder", "say"]

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
TEST_FOLDERS = ("test", "validation", "val")
TEST_SHARE = 0.2  # of a folder that is not split
NAMED = 10  # files that are named of those that cannot be read

Files = list[tuple[Path, int]]  # with their labels


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
        splits = {"train": _files(folder / "train", names), "test": _files(test, names)}
        readable = _readable([*splits["train"], *splits["test"]], folder, strict)
        splits = {key: [x for x in files if x in readable] for key, files in splits.items()}
    else:
        files = [*_readable(_files(folder, names), folder, strict)]
        splits = _split(files, folder, len(names))
        say(
            f"{folder} is not split into train/ and test/: {len(splits['test']):,} of its "
            f"{len(files):,} images are for tests, always the same, chosen by a hash of their paths"
        )
    for key, files in splits.items():
        if not files:
            raise ValueError(f"{folder} has no images in {key}/CLASS/ that can be read.")
    data = {
        key: tf.data.Dataset.from_tensor_slices(
            ([os.fsencode(path) for path, _ in files], [label for _, label in files])
        )
        for key, files in splits.items()
    }
    decode = functools.partial(decoded, is_path=True)
    return Source(data, decode, names, image_size, is_small=True)


@functools.cache
def say(text: str) -> None:
    """Tell the user something of a data set: once, although it may be loaded several times."""
    print(text, file=sys.stderr, flush=True)


def _classes(folder: Path) -> list[str]:
    """The names of the folders in `folder` that have images in them."""
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith(".") and any(map(_is_image, path.iterdir()))
    )


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _files(folder: Path, names: Sequence[str]) -> Files:
    """The images of each class, in a fixed order. Other files are counted."""
    found, others = [], Counter[str]()
    for label, name in enumerate(names):
        for path in sorted((folder / name).glob("[!.]*")):
            if _is_image(path):
                found.append((path, label))
            elif path.is_file():
                others[path.suffix.lower() or "no suffix"] += 1
    if others:
        counts = ", ".join(f"{count:,} of {suffix}" for suffix, count in sorted(others.items()))
        say(f"{folder} has files that are not read as images: {counts}")
    return found


def _split(files: Files, folder: Path, classes: int) -> dict[str, Files]:
    """About a fifth of each class for tests, and at least one image of each class in both.

    An image is for tests if the hash of its path in the folder is small. So it stays where it is
    when others come or go, and when the folder moves.
    """

    def position(path: Path) -> float:
        name = path.relative_to(folder).as_posix().encode("utf-8", "surrogateescape")
        return int.from_bytes(hashlib.sha256(name).digest()[:8], "big") / 2**64

    splits: dict[str, Files] = {"train": [], "test": []}
    for label in range(classes):
        ranked = sorted((position(path), path) for path, other in files if other == label)
        small = sum(value < TEST_SHARE for value, _ in ranked)
        count = min(max(small, 1), len(ranked) - 1) if ranked else 0
        for number, (_, path) in enumerate(ranked):
            splits["test" if number < count else "train"].append((path, label))
    return {key: sorted(found, key=lambda x: (x[1], x[0])) for key, found in splits.items()}


def _readable(files: Files, folder: Path, strict: bool) -> dict[tuple[Path, int], None]:
    """Those of the files that can be read, in their order. The others are named.

    Without this, a training would end at the first one of them, perhaps after hours.
    """
    with ThreadPoolExecutor(cores()) as pool:
        reasons = [*pool.map(_reason, [path for path, _ in files])]
    broken = [reason for reason in reasons if reason]
    if broken:
        left = [f"and {len(broken) - NAMED:,} more"] if len(broken) > NAMED else []
        listed = "\n  ".join([*broken[:NAMED], *left])
        text = f"{len(broken):,} of the {len(files):,} images in {folder} cannot be read"
        if strict:
            raise ValueError(f"{text}:\n  {listed}")
        say(f"{text}, and are left out:\n  {listed}")
    return {x: None for x, reason in zip(files, reasons, strict=True) if not reason}


def _reason(path: Path) -> str:
    """Why an image cannot be read, or nothing."""
    try:
        state = path.stat()
    except OSError as error:
        return f"{path}: {error.strerror}"
    return _reason_of(path, state.st_size, state.st_mtime_ns)


@functools.cache
def _reason_of(path: Path, size: int, modified: int) -> str:
    """`_reason`, which is found out again only for a file that has changed."""
    try:
        photos.check(path)
    except (OSError, ValueError) as error:
        return str(error)
    return ""
