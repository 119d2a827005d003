"""The folder that C is written to: all of its files are there or none, and no other is lost."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from larq_reactnet._version import __version__

__all__ = ["check_folder", "write_folder"]

# What was written, with the checksum of each file.
MANIFEST = "manifest.json"


def check_folder(folder: str | Path) -> Path:
    """The path itself, if a folder can be written there without the loss of someone's files.

    Raises:
        OSError: If it is a file, its parent is missing or read-only, or it holds what was not
            written here.
    """
    folder = Path(folder)
    if not folder.absolute().parent.is_dir():
        raise FileNotFoundError(
            f"Cannot write {folder}: there is no folder {folder.absolute().parent}."
        )
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"Cannot write {folder}: it is a file, give a folder for C.")
    for path in _foreign(folder):
        raise FileExistsError(
            f"Cannot write {folder}: {path} in it was not written by this command, or has been "
            "changed since. Give a new folder, or move that file away."
        )
    with _temporary(folder.resolve()):  # whether it can be made is known before a long export
        return folder


@contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`. Errors of the disk name `folder`."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as name:
            yield Path(name)
    except OSError as error:
        raise type(error)(f"Cannot write {folder}: {error.strerror or error}.") from error


def write_folder(folder: str | Path, files: Mapping[str, str | bytes]) -> None:
    """Write files, by their paths in the folder. What was written there before is replaced.

    Raises:
        OSError: As `check_folder`, or if there is no space.
    """
    folder = check_folder(folder).resolve()  # so that the folder itself can be moved, not a link
    contents = {
        path: content if isinstance(content, bytes) else content.encode()
        for path, content in files.items()
    }
    sums = {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()}
    manifest = {"written_by": f"larq-reactnet {__version__}", "sha256": sums}
    contents[MANIFEST] = (json.dumps(manifest, indent=1) + "\n").encode()
    with _temporary(folder) as temporary:
        new, old = temporary / "new", temporary / "old"
        for path, content in contents.items():
            target = new / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        if folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
        shutil.rmtree(old, ignore_errors=True)


def _foreign(folder: Path) -> list[Path]:
    """Files in a folder that `write_folder` has not written, or that were changed."""
    if not folder.is_dir():
        return []
    found = [path for path in sorted(folder.rglob("*")) if not path.is_dir()]
    try:
        sums = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["sha256"]
        return [
            path
            for path in found
            if path.name != MANIFEST
            and sums[path.relative_to(folder).as_posix()]
            != hashlib.sha256(path.read_bytes()).hexdigest()
        ]
    except KeyError as error:
        return [folder / str(error.args[0])] if found else []
    except (OSError, ValueError, TypeError):
        return found
