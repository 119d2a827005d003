"""Checks HDF5 files that may be corrupt or hostile, by reading them in another process.

The HDF5 library crashes on some corrupt files and hangs on others. If another process could read
everything in a file, this one can read it too.
"""

import subprocess
import sys
from pathlib import Path

import h5py

__all__ = ["check"]

_LIMIT = 60.0  # seconds


def check(path: Path, limit: float = _LIMIT) -> None:
    """Raise an error unless all of the HDF5 file at `path` can be read.

    Raises:
        ValueError: If the file is corrupt.
        OSError: If it cannot be opened.
    """
    from larq_reactnet._process import start

    with path.open("rb"):  # which raises Python's own errors, if the file is missing for example
        pass
    process = start(__file__, [str(path)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise ValueError(f"reading it takes more than {limit:g} seconds: it is corrupt") from None
    if process.returncode:
        lines = errors.decode(errors="replace").strip().split("\n")
        crashed = process.returncode < 0 or not lines[-1]
        raise ValueError("HDF5 crashes on it: it is corrupt" if crashed else lines[-1])


def read_all(path: str) -> None:
    """Read all groups, attributes and data."""

    def read(name: str, item: h5py.Group | h5py.Dataset) -> None:
        dict(item.attrs)
        if isinstance(item, h5py.Dataset):
            item[()]
        elif any(isinstance(item.get(key, getlink=True), h5py.ExternalLink) for key in item):
            raise ValueError(f"{name} has a link to another file")

    with h5py.File(path) as file:
        read("/", file)
        file.visititems(read)


if __name__ == "__main__":
    try:
        read_all(sys.argv[1])
    except Exception as error:  # h5py raises many kinds
        sys.exit(str(error).strip().split("\n")[0] or type(error).__name__)
