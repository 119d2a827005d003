"""Writes files so that each of them is there whole, or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["check_writable", "replacing", "write_whole"]


def check_writable(path: str | Path) -> Path:
    """The path itself, or what it links to, if a file can be written there.

    Raises:
        OSError: If it is a folder or device, or its folder is missing or read-only.
    """
    path = Path(path)
    if path.is_symlink():
        path = path.resolve()
    if path.is_dir():
        raise IsADirectoryError(f"Cannot write {path}: it is a folder, give the path of a file.")
    if path.exists() and not path.is_file():
        raise OSError(f"Cannot write {path}: it is not an ordinary file.")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(f"Cannot write {path}: there is no folder {folder}.")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"Cannot write {path}: {folder} is read-only.")
    return path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which becomes `path` if nothing is raised.

    The name keeps the suffix of `path`, by which Keras tells formats apart. Whatever happens,
    `path` holds either what it held before or the whole new content. Errors name it.
    """
    path = check_writable(path)
    descriptor, name = tempfile.mkstemp(
        prefix=f".{path.stem}.", suffix=path.suffix, dir=path.absolute().parent
    )
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # what `open` gives; mkstemp gives 0o600
        temporary.replace(path)
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        # Of a write, Python does not say into which file.
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: str | Path, text: str) -> None:
    """Replace what `path` holds by `text`, in UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
