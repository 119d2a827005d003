"""Files from the network: whole, checked by their SHA-256, resumed where an earlier try stopped.

A file is loaded into `NAME.part` and becomes `NAME` once its hash is right. A lock keeps two
processes from writing the same part: the second waits and finds the file there. The system lets go
of the lock when its process dies, so that a killed download is resumed by the next.
"""

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from filelock import FileLock
from tqdm import tqdm

__all__ = ["DownloadError", "fetch", "sha256_of"]

TRIES = 5
TIMEOUT = 30.0  # seconds without a byte
CHUNK = 2**16  # bytes
LARGEST = 2**30  # bytes of a file whose size is not known


class DownloadError(OSError):
    """A file could not be downloaded, or is not the one that was asked for."""


class _BrokenOffError(Exception):
    """The connection ended early: what came is worth keeping, and another try."""


def fetch(
    url: str,
    sha256: str,
    *,
    size: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Path:
    """The path of the file at `url`, which is downloaded unless it is in the cache.

    Args:
        url: Address of the file, http or https.
        sha256: What the file must hash to, in hexadecimal. A file in the cache is checked too.
        size: Its size in bytes, if known.
        cache_dir: Folder to keep it in, by default `larq_reactnet` in Keras' own, which is
            `~/.keras` or the environment variable `KERAS_HOME`.
        progress: Whether to show a progress bar, on a terminal.

    Raises:
        ValueError: If the address is no http or https one, or `sha256` is no hash.
        DownloadError: If the file could not be downloaded, or has another hash.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"Weights come from http:// or https:// addresses, not from {url!r}.")
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ValueError(f"A SHA-256 has 64 hexadecimal digits, got {sha256!r}.")
    original = Path(re.sub(r"[^\w.-]", "_", Path(urllib.parse.unquote(parts.path)).name) or "file")
    name = f"{original.stem}-{sha256[:16]}{original.suffix}"
    path = (Path(cache_dir) if cache_dir else _cache()) / name
    if _is_right(path, sha256):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f"{name}.lock")):
        if not _is_right(path, sha256):  # it may have come while this process waited
            part = path.with_name(f"{name}.part")
            _download(url, sha256, size, part, progress)
            part.replace(path)
    return path


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _cache() -> Path:
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "larq_reactnet"


def _is_right(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_of(path) == sha256


def _download(url: str, sha256: str, size: int | None, part: Path, progress: bool) -> None:
    """Complete `part`, in several tries as long as each of them brings something."""
    reason = ""
    for _ in range(TRIES):
        if _is_right(part, sha256):
            return
        before = part.stat().st_size if part.exists() else 0
        try:
            _receive(url, size, part, progress)
        except _BrokenOffError as error:
            reason = str(error)
            if part.stat().st_size <= before:
                break
            continue
        found = sha256_of(part)
        if found == sha256:
            return
        part.unlink()
        if before == 0:
            raise DownloadError(
                f"The file at {url} is not the one that was expected: its SHA-256 is {found} "
                f"instead of {sha256}. Nothing of it is kept."
            )
        # Else the beginning was of another file, so it is loaded from there.
    if not _is_right(part, sha256):
        raise _failure(url, reason or "it does not fit the part that is there")


def _receive(url: str, size: int | None, part: Path, progress: bool) -> None:
    """Append to `part` what is missing, as far as the connection goes."""
    start = part.stat().st_size if part.exists() else 0
    with _open(url, start) as response:
        if response.status != 206:
            start = 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if re.fullmatch("[0-9]{1,18}", length) else None
        limit = LARGEST if size is None else size
        if (total or 0) > limit or (size is not None and total not in (None, size)):
            expected = "at most" if size is None else "instead of"
            part.unlink(missing_ok=True)
            raise _failure(url, f"the server announces {total:,} bytes {expected} {limit:,}")
        with (
            part.open("ab" if start else "wb") as file,
            tqdm(
                desc=part.stem,
                initial=start,
                total=total or size,
                unit="B",
                unit_scale=True,
                disable=None if progress else True,  # None: only on a terminal
            ) as bar,
        ):
            while chunk := _read(response):
                start += len(chunk)
                if start > limit:
                    break
                file.write(chunk)
                bar.update(len(chunk))
    if start > limit:
        part.unlink()
        raise _failure(url, f"the server sends more than {limit:,} bytes")
    if start < (total or size or 0):
        raise _BrokenOffError(f"the connection broke off after {start:,} bytes")


def _open(url: str, start: int) -> Any:
    """The response to a request for the file from byte `start` on, or for all of it."""
    # Compressed on the way, the bytes could not be counted.
    headers = {"User-Agent": "larq_reactnet", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:
            return _open(url, 0)
        raise _failure(url, f"the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _failure(url, str(error)) from error
    content_range = response.headers.get("Content-Range", "")
    if response.status == 206 and not content_range.startswith(f"bytes {start}-"):
        response.close()
        if start:
            return _open(url, 0)
        raise _failure(url, "the server answers with a part that was not asked for")
    return response


def _read(response: Any) -> bytes:
    try:
        return response.read1(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(f"the connection broke off: {error}") from error


def _failure(url: str, reason: str) -> DownloadError:
    return DownloadError(
        f"Cannot download {url}: {reason}. Try again, or download it by hand and pass its path as "
        "`weights`."
    )
