"""Downloads from a local server that is slow, breaks off, or lies."""

import hashlib
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from larq_reactnet.zoo import _download
from larq_reactnet.zoo._download import DownloadError, fetch

import numpy as np
import pytest

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PIECE = 1000  # bytes that a slow server sends at once


class Server(ThreadingHTTPServer):
    """Serves `content`, as its attributes say; `asked` has the `Range` of each request.

    Attributes:
        content: The file.
        status: Answer with this instead.
        ranges: Whether it can begin in the middle.
        drops: For each of the next requests, after how many bytes the connection is closed.
        announced: `Content-Length`, if not the right one; `False` for none.
        pieces: Send many small pieces.
    """

    daemon_threads = True

    def __init__(self):
        self.content = CONTENT
        self.status = None
        self.ranges = True
        self.drops = []
        self.announced = None
        self.pieces = False
        self.asked = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/files/weights.h5?raw=1"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = self.headers["Range"]
        server.asked.append(asked)
        if server.status:
            self.send_error(server.status)
            return
        start = 0
        if asked and server.ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(server.content):
                self.send_error(416)
                return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            total = len(server.content)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if server.announced is not False:
            self.send_header("Content-Length", str(server.announced or len(body)))
        self.end_headers()
        if server.drops:
            body = body[: server.drops.pop(0)]
        size = PIECE if server.pieces else len(body) or 1
        for at in range(0, len(body), size):
            try:
                self.wfile.write(body[at : at + size])
            except ConnectionError:  # the client has had enough
                return

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder of the cache, where Keras' environment variable puts it."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras" / "larq_reactnet"


def kept(cache):
    """The names of the files in the cache, without locks."""
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock")


NAME = f"weights-{SHA256[:16]}.h5"


def test_a_file_is_downloaded_once(server, cache):
    path = fetch(server.url, SHA256, size=len(CONTENT))
    assert path == cache / NAME
    assert path.read_bytes() == CONTENT
    assert fetch(server.url, SHA256) == path
    assert server.asked == [None]
    assert kept(cache) == [NAME]


def test_in_small_pieces(server):
    server.pieces = True
    assert fetch(server.url, SHA256).read_bytes() == CONTENT


def test_corrupt_file_in_the_cache_is_replaced(server, cache):
    path = fetch(server.url, SHA256)
    path.write_bytes(CONTENT[:-1] + b"x")
    assert fetch(server.url, SHA256).read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_two_versions_do_not_collide(server):
    path = fetch(server.url, SHA256)
    server.content = b"new"
    other = fetch(server.url, hashlib.sha256(b"new").hexdigest())
    assert (path.read_bytes(), other.read_bytes()) == (CONTENT, b"new")


def test_folder(server, tmp_path, monkeypatch):
    assert fetch(server.url, SHA256, cache_dir=tmp_path / "here").parent == tmp_path / "here"
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fetch(server.url, SHA256).parent == tmp_path / ".keras" / "larq_reactnet"


@pytest.mark.parametrize("announced", [None, False])
def test_dropped_connection_is_resumed(announced, server):
    server.announced = announced
    server.drops = [100_000, 50_000]
    assert fetch(server.url, SHA256, size=len(CONTENT)).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_next_call_resumes(server, cache):
    server.drops = [100_000, 0]
    with pytest.raises(DownloadError, match=r"broke off after 100,000 bytes.*Try again"):
        fetch(server.url, SHA256)
    assert kept(cache) == [f"{NAME}.part"]
    assert fetch(server.url, SHA256).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=100000-"]
    assert kept(cache) == [NAME]


def test_number_of_tries_is_limited(server):
    server.drops = [10] * 100
    with pytest.raises(DownloadError, match=r"broke off after 50 bytes"):
        fetch(server.url, SHA256)
    assert len(server.asked) == 5


def test_server_without_ranges_starts_over(server):
    server.ranges = False
    server.drops = [100_000]
    assert fetch(server.url, SHA256).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-"]


@pytest.mark.parametrize("part", [CONTENT, CONTENT + b"more", b"of another file", b"x" * 400_000])
@pytest.mark.parametrize("ranges", [True, False])
def test_part_that_is_there(part, ranges, server, cache):
    """It is whole, or too long, or wrong."""
    server.ranges = ranges
    cache.mkdir(parents=True)
    (cache / f"{NAME}.part").write_bytes(part)
    assert fetch(server.url, SHA256, size=len(CONTENT)).read_bytes() == CONTENT
    assert kept(cache) == [NAME]
    assert (server.asked == []) == (part == CONTENT)


def test_wrong_range(server, cache, monkeypatch):
    """A server that sends another part than it was asked for."""
    cache.mkdir(parents=True)
    (cache / f"{NAME}.part").write_bytes(CONTENT[:1000])
    original = Handler.send_header

    def lie(self, name, value):
        original(self, name, "bytes 7-9/10" if name == "Content-Range" else value)

    monkeypatch.setattr(Handler, "send_header", lie)
    assert fetch(server.url, SHA256).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-", None]


@pytest.mark.parametrize("status", [404, 403, 500])
def test_refusals(status, server, cache):
    server.status = status
    with pytest.raises(DownloadError, match=f"the server answers {status} .* download it by hand"):
        fetch(server.url, SHA256)
    assert kept(cache) == []
    assert len(server.asked) == 1


def test_no_server():
    with Server() as server:
        url = server.url
    with pytest.raises(DownloadError, match=r"Cannot download http://127.*refused"):
        fetch(url, SHA256)


def test_silent_server_times_out(monkeypatch, cache):
    """A server that accepts and then says nothing."""
    monkeypatch.setattr(_download, "TIMEOUT", 0.05)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as silent:  # nobody serves its requests
        with pytest.raises(DownloadError, match="timed out"):
            fetch(f"http://127.0.0.1:{silent.server_address[1]}/file.h5", SHA256)
        assert kept(cache) == []


def test_wrong_hash(server, cache):
    wrong = "0" * 64
    with pytest.raises(DownloadError, match=f"is {SHA256} instead of {wrong}") as caught:
        fetch(server.url, wrong)
    assert server.url in str(caught.value)
    assert kept(cache) == []


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_length_that_is_too_long(size, server, cache):
    server.announced = len(CONTENT) + 1000
    if size is None:  # all that was announced does not come, but what came is right
        assert fetch(server.url, SHA256).read_bytes() == CONTENT
    else:
        with pytest.raises(DownloadError, match="announces 301,000 bytes instead of 300,000"):
            fetch(server.url, SHA256, size=size)
        assert kept(cache) == []


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_length_that_is_too_short(size, server, cache):
    server.announced = len(CONTENT) - 1000
    match = "instead of 300,000" if size else "is not the one that was expected"
    with pytest.raises(DownloadError, match=match):
        fetch(server.url, SHA256, size=size)
    assert kept(cache) == []


@pytest.mark.parametrize("announced", [None, False])
@pytest.mark.parametrize("size", [None, 200_000])
def test_too_much(size, announced, server, cache, monkeypatch):
    """No more is written than the file may have, whatever the server says."""
    monkeypatch.setattr(_download, "LARGEST", 200_000)
    original, sizes = _download._read, []

    def read(response):
        data = original(response)
        sizes.append(len(data))
        return data

    monkeypatch.setattr(_download, "_read", read)
    server.announced = announced
    with pytest.raises(DownloadError, match="announces" if announced is None else "sends more"):
        fetch(server.url, SHA256, size=size)
    assert sum(sizes) < len(CONTENT)
    assert kept(cache) == []


def test_disk_full(server, cache, monkeypatch):
    class Full:
        def __init__(self, *args, **kwargs):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(_download, "tqdm", Full)  # where the writing begins
    with pytest.raises(OSError, match="No space left"):
        fetch(server.url, SHA256)
    assert len(server.asked) == 1


def test_read_only_cache_is_read(server, cache, monkeypatch):
    path = fetch(server.url, SHA256)

    def forbidden(*args):
        raise PermissionError

    monkeypatch.setattr(_download, "FileLock", forbidden)
    assert fetch(server.url, SHA256) == path


def test_many_threads_at_once(server, cache):
    server.pieces = True
    with ThreadPoolExecutor(8) as pool:
        paths = {*pool.map(lambda _: fetch(server.url, SHA256), range(8))}
    assert paths == {cache / NAME}
    assert (cache / NAME).read_bytes() == CONTENT
    assert server.asked == [None]


# Fetches in a process of its own, which does without the rest of the package and TensorFlow.
SCRIPT = """
import importlib.util, os, signal, sys
spec = importlib.util.spec_from_file_location("download", sys.argv[1])
download = importlib.util.module_from_spec(spec)
spec.loader.exec_module(download)

class Killer(download.tqdm):
    got = 0

    def update(self, n=1):
        self.got += n
        if self.got > 100_000:
            os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[4] == "killed":
    download.tqdm = Killer
print(download.fetch(sys.argv[2], sys.argv[3]))
"""


def process(server, how):
    arguments = [sys.executable, "-c", SCRIPT, _download.__file__, server.url, SHA256, how]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once(server, cache):
    server.drops = [100_000]
    processes = [process(server, "whole") for _ in range(2)]
    assert [process.communicate()[0].strip() for process in processes] == [str(cache / NAME)] * 2
    assert (cache / NAME).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-"]
    assert kept(cache) == [NAME]


def test_killed_process_is_resumed(server, cache):
    """What it wrote is there, and its lock is gone."""
    with process(server, "killed") as killed:
        killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    part = (cache / f"{NAME}.part").stat().st_size
    assert 50_000 < part < len(CONTENT)
    assert fetch(server.url, SHA256).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={part}-"]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/file", "weights.h5", "https://"])
def test_other_addresses(url):
    with pytest.raises(ValueError, match="come from http:// or https:// addresses"):
        fetch(url, SHA256)


@pytest.mark.parametrize("sha256", ["", "abc", SHA256.upper(), SHA256 + "0", "../" + SHA256[3:]])
def test_other_hashes(sha256):
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        fetch("https://localhost/file", sha256)


@pytest.mark.parametrize("last", ["..%2f..%2fevil.h5", "", "a%20b$c.h5", "..."])
def test_file_names_stay_in_the_folder(last, server, cache):
    url = server.url.replace("weights.h5", last)
    assert fetch(url, SHA256).resolve().parent == cache


def test_progress_bar(server, monkeypatch):
    bars = []

    class Bar(_download.tqdm):
        def __init__(self, *args, **kwargs):
            bars.append({**kwargs, "updates": []})
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n=1):
            bars[-1]["updates"].append(n)

    monkeypatch.setattr(_download, "tqdm", Bar)
    server.drops = [100_000]
    fetch(server.url, SHA256)
    assert [bar["initial"] for bar in bars] == [0, 100_000]
    assert {bar["total"] for bar in bars} == {len(CONTENT)}
    assert sum(sum(bar["updates"]) for bar in bars) == len(CONTENT)
    assert {bar["disable"] for bar in bars} == {None}
    fetch(server.url.replace("weights", "other"), SHA256, progress=False)
    assert bars[-1]["disable"] is True
