"""Looking at every file of a folder before a training, and remembering what could be read.

A million photographs take minutes to look at. So what was readable is remembered in Keras' cache,
in a file for each folder: eight bytes for each image, a hash of its path, size and time of change.
Files that are new or have changed, and those that could not be read, are looked at again.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from larq_reactnet._files import replacing
from larq_reactnet._shared import photos
from larq_reactnet.zoo._download import cache_folder

import numpy as np
from tqdm import tqdm

__all__ = ["reasons_against"]

CHUNK = 4_096  # files that are given to the threads at once, so that they do not queue in memory
MANY = 1_000  # files from which on it is remembered, and a progress bar is shown on a terminal


def reasons_against(paths: Sequence[str], folder: Path, threads: int) -> Iterator[str]:
    """For each path in turn, why its image cannot be read, or nothing.

    Args:
        paths: Of all images of a folder.
        folder: That folder, whose name the memory gets.
        threads: How many files are looked at at once.
    """
    remembered = _remembered(folder) if len(paths) >= MANY else np.zeros(0, np.uint64)
    readable = np.zeros(len(paths), np.uint64)
    is_new = False
    with (
        ThreadPoolExecutor(threads) as pool,
        tqdm(
            total=len(paths),
            desc=f"Looking at {folder.name}",
            unit="file",
            leave=False,
            disable=True if len(paths) < MANY else None,  # None: shown on a terminal
        ) as bar,
    ):
        place = 0
        for chunk in _chunks(paths, CHUNK):
            keys = np.concatenate([*pool.map(_keys, _chunks(chunk, len(chunk) // threads + 1))])
            known = np.isin(keys, remembered, kind="sort") & (keys > 0)
            unknown = [path for path, found in zip(chunk, known, strict=True) if not found]
            reasons = pool.map(_reason, unknown)
            for key, is_known in zip(keys, known, strict=True):
                reason = "" if is_known else next(reasons)
                is_new |= not is_known
                readable[place] = 0 if reason else key
                place += 1
                bar.update()
                yield reason
    if is_new and len(paths) >= MANY:
        _remember(folder, readable[readable > 0])


def _chunks(paths: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(paths)
    while chunk := [*islice(rest, size)]:
        yield chunk


def _keys(paths: Sequence[str]) -> np.ndarray:
    return np.array([_key(path) for path in paths], np.uint64)


def _key(path: str) -> int:
    """What a file is remembered by, 0 for one that is not there."""
    try:
        state = os.stat(path)
    except OSError:
        return 0
    text = f"{path}\0{state.st_size}\0{state.st_mtime_ns}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def _reason(path: str) -> str:
    """Why an image cannot be read, or nothing."""
    try:
        photos.check(path)
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _file(folder: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return cache_folder() / "readable" / f"{digest}.npy"


def _remembered(folder: Path) -> np.ndarray:
    """The sorted keys of the images of a folder that could be read."""
    try:
        found = np.load(_file(folder), allow_pickle=False)
    except (OSError, ValueError, EOFError):  # none yet, or a damaged one
        return np.zeros(0, np.uint64)
    return found if found.dtype == np.uint64 and found.ndim == 1 else np.zeros(0, np.uint64)


def _remember(folder: Path, keys: np.ndarray) -> None:
    """Keep the keys. A cache that cannot be written costs time at the next start, and no more."""
    with contextlib.suppress(OSError):
        path = _file(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            np.save(temporary, np.sort(keys), allow_pickle=False)
