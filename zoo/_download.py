"""Files from the network, checked by their SHA-256 and kept in Keras' cache.

`pooch` does the work. It loads into a temporary file, which gets its name once its hash is right.
So a file in the cache is whole whatever happens. What pooch does not do: a download that was
interrupted begins anew; one that is longer than it should be is refused at its end only; and two
processes that want the same file at once both load it.

The environment variable `LARQ_REACTNET_WEIGHTS` names another place for the files: a folder, or the
address of a mirror, that is of a folder on a server. They have the same names there as here.
"""

import os
import re
import shutil
import sys
import urllib.parse
from pathlib import Path

import pooch

__all__ = ["PLACE", "DownloadError", "cache_folder", "fetch", "file_name", "found"]

PLACE = "LARQ_REACTNET_WEIGHTS"
RETRIES = 2
TIMEOUT = 30.0  # seconds without a byte
CHUNK = 2**16  # bytes


class DownloadError(OSError):
    """A file could not be downloaded, or is not the one that was asked for."""


def file_name(url: str) -> str:
    """The name of the file at `url`, in folders and on mirrors."""
    path = urllib.parse.unquote(urllib.parse.urlsplit(url).path)
    return re.sub(r"[^\w.-]", "_", Path(path).name) or "file"


def found(url: str, sha256: str) -> Path | None:
    """The file of `url` on this machine, if it is in the cache or in the folder that is named."""
    cached = cache_folder() / _cached_name(url, sha256)
    place = os.environ.get(PLACE, "")
    paths = [cached] if not place or _is_address(place) else [cached, Path(place) / file_name(url)]
    return next((path for path in paths if path.is_file()), None)


def fetch(url: str, sha256: str, output: Path | None = None) -> Path:
    """The path of the file at `url`, which is downloaded unless it is in the cache.

    The cache is the folder `larq_reactnet` in Keras' own, which is `~/.keras` or the environment
    variable `KERAS_HOME`. On a terminal, a progress bar is shown.

    Args:
        url: Address of the file, http or https.
        sha256: What the file must hash to, in hexadecimal. A file in the cache is checked too.
        output: Folder into which the file is copied, by its own name.

    Raises:
        ValueError: If an address is not an http or https one, or `sha256` is not a hash.
        DownloadError: If the file could not be downloaded, or has another hash.
    """
    if not _is_address(url):
        raise ValueError(f"Weights come from http:// or https:// addresses, not from {url!r}.")
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ValueError(f"A SHA-256 has 64 hexadecimal digits, got {sha256!r}.")
    path = _of_folder(url, sha256) or _of_network(url, sha256)
    if output is None:
        return path
    output.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(path, output / file_name(url)))


def _of_folder(url: str, sha256: str) -> Path | None:
    """The file in the folder that is named, `None` if a mirror is named or nothing.

    Raises:
        DownloadError: If the folder does not have it, and the cache does not either.
    """
    place = os.environ.get(PLACE, "")
    if not place or _is_address(place):
        return None
    path = Path(place).expanduser() / file_name(url)
    if not path.is_file():
        if found(url, sha256):
            return None
        raise DownloadError(
            f"There is no file {path}, and {PLACE} says that weights are in that folder. Copy it "
            "there from a machine with network: `larq-reactnet pull NAME --output FOLDER` "
            f"downloads it, from {url}."
        )
    actual = pooch.file_hash(str(path))
    if actual != sha256:
        raise DownloadError(
            f"{path} is another file, or corrupt: its SHA-256 is {actual} instead of {sha256}."
        )
    return path


def _of_network(url: str, sha256: str) -> Path:
    """The file in the cache, which comes from the mirror that is named, or else from `url`."""
    name = _cached_name(url, sha256)
    mirror = os.environ.get(PLACE, "")
    address = f"{mirror.rstrip('/')}/{file_name(url)}" if _is_address(mirror) else url
    cache = pooch.create(
        path=cache_folder(),
        base_url="",
        registry={name: f"sha256:{sha256}"},
        urls={name: address},
        retry_if_failed=RETRIES,
    )
    downloader = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(), chunk_size=CHUNK, timeout=TIMEOUT
    )
    try:
        return Path(cache.fetch(name, downloader=downloader))
    except (OSError, ValueError) as error:  # pooch raises ValueError if the hash is another
        reason = str(error).rstrip(".")
        raise DownloadError(
            f"Cannot download {address}: {reason}. Try again, or download it by hand, here or from "
            "elsewhere, and pass its path as `weights`. A mirror, or a folder with a file "
            f"{file_name(url)}, is used if the environment variable {PLACE} names it; "
            "`larq-reactnet pull NAME --output FOLDER` makes such a folder, where there is network."
        ) from error


def _cached_name(url: str, sha256: str) -> str:
    """The name of the file in the cache, where two versions do not collide."""
    original = Path(file_name(url))
    return f"{original.stem}-{sha256[:16]}{original.suffix}"


def _is_address(place: str) -> bool:
    parts = urllib.parse.urlsplit(place)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def cache_folder() -> Path:
    """Folder of this library in Keras' cache."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "larq_reactnet"
