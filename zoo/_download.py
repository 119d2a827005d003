"""Files from the network, checked by their SHA-256 and kept in Keras' cache.

`pooch` does the work. It loads into a temporary file, which gets its name once its hash is right.
So a file in the cache is whole whatever happens. What pooch does not do: a download that was
interrupted begins anew; one that is longer than it should be is refused at its end only; and two
processes that want the same file at once both load it.
"""

import os
import re
import sys
import urllib.parse
from pathlib import Path

import pooch

__all__ = ["DownloadError", "fetch"]

RETRIES = 2
TIMEOUT = 30.0  # seconds without a byte
CHUNK = 2**16  # bytes


class DownloadError(OSError):
    """A file could not be downloaded, or is not the one that was asked for."""


def fetch(url: str, sha256: str) -> Path:
    """The path of the file at `url`, which is downloaded unless it is in the cache.

    The cache is the folder `larq_reactnet` in Keras' own, which is `~/.keras` or the environment
    variable `KERAS_HOME`. On a terminal, a progress bar is shown.

    Args:
        url: Address of the file, http or https.
        sha256: What the file must hash to, in hexadecimal. A file in the cache is checked too.

    Raises:
        ValueError: If the address is not an http or https one, or `sha256` is not a hash.
        DownloadError: If the file could not be downloaded, or has another hash.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"Weights come from http:// or https:// addresses, not from {url!r}.")
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ValueError(f"A SHA-256 has 64 hexadecimal digits, got {sha256!r}.")
    original = Path(re.sub(r"[^\w.-]", "_", Path(urllib.parse.unquote(parts.path)).name) or "file")
    name = f"{original.stem}-{sha256[:16]}{original.suffix}"
    cache = pooch.create(
        path=_cache(),
        base_url="",
        registry={name: f"sha256:{sha256}"},
        urls={name: url},
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
            f"Cannot download {url}: {reason}. Try again, or download it by hand and pass its path "
            "as `weights`."
        ) from error


def _cache() -> Path:
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "larq_reactnet"
