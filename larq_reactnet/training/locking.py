"""One process for each run folder."""

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path

__all__ = ["locked"]


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other trainings away from a run folder.

    The lock is the kernel's: it is gone with the process, however that ends. It holds between
    machines too, if their file system does (NFS since version 4). Windows has no such lock.

    Raises:
        OSError: If another process trains in the folder, or it is read-only.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with (folder / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise OSError(
                f"Another process trains in {folder}: {file.read() or 'unknown'}. Wait for it, "
                "stop it, or give another folder."
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        yield
