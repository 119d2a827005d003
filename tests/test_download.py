"""Downloads from a local server that breaks off, says nothing, or lies."""

import hashlib
import subprocess
import sys
import tempfile
import threading
from http.server import ThreadingHTTPServer

from larq_reactnet.zoo import _download
from larq_reactnet.zoo._download import DownloadError, fetch

import pytest
from file_server import CONTENT, NAME, SHA256, Handler, Server, kept

pytestmark = pytest.mark.usefixtures("cache")


def test_a_file_is_downloaded_once(server, cache):
    path = fetch(server.url, SHA256)
    assert path == cache / NAME
    assert path.read_bytes() == CONTENT
    assert fetch(server.url, SHA256) == path
    assert server.asked == 1
    assert kept(cache) == [NAME]


def test_corrupt_file_in_the_cache_is_replaced(server, cache):
    path = fetch(server.url, SHA256)
    path.write_bytes(CONTENT[:-1] + b"x")
    assert fetch(server.url, SHA256).read_bytes() == CONTENT
    assert server.asked == 2


def test_two_versions_do_not_collide(server):
    path = fetch(server.url, SHA256)
    server.content = b"new"
    other = fetch(server.url, hashlib.sha256(b"new").hexdigest())
    assert (path.read_bytes(), other.read_bytes()) == (CONTENT, b"new")


def test_folder_without_the_variable(server, tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fetch(server.url, SHA256).parent == tmp_path / ".keras" / "larq_reactnet"


def test_dropped_connection_is_tried_again(server, cache):
    server.drops = [100_000, 50_000]
    assert fetch(server.url, SHA256).read_bytes() == CONTENT
    assert server.asked == 3
    assert kept(cache) == [NAME]


def test_number_of_tries_is_limited(server, cache):
    server.drops = [10] * 100
    with pytest.raises(DownloadError, match=r"Cannot download http://127.*Try again"):
        fetch(server.url, SHA256)
    assert server.asked == 3
    assert kept(cache) == []


@pytest.mark.parametrize("status", [404, 403, 500])
def test_refusals(status, server, cache):
    server.status = status
    with pytest.raises(DownloadError, match=f"{status} .* download it by hand"):
        fetch(server.url, SHA256)
    assert kept(cache) == []


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
    with pytest.raises(DownloadError, match=f"expected sha256:{wrong} but got {SHA256}") as caught:
        fetch(server.url, wrong)
    assert server.url in str(caught.value)
    assert kept(cache) == []


@pytest.mark.parametrize("announced", [len(CONTENT) + 1000, len(CONTENT) - 1000])
def test_wrong_length(announced, server, cache):
    server.announced = announced
    with pytest.raises(DownloadError):
        fetch(server.url, SHA256)
    assert kept(cache) == []


def test_unknown_length(server):
    server.announced = False
    assert fetch(server.url, SHA256).read_bytes() == CONTENT


def test_read_only_cache_is_read(server, cache, monkeypatch):
    path = fetch(server.url, SHA256)

    def forbidden(*args, **kwargs):
        raise PermissionError

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", forbidden)
    assert fetch(server.url, SHA256) == path
    with pytest.raises(DownloadError):
        fetch(server.url, "0" * 64)


# Fetches in a process of its own, which does without the rest of the package and TensorFlow.
SCRIPT = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("download", sys.argv[1])
download = importlib.util.module_from_spec(spec)
spec.loader.exec_module(download)
print(download.fetch(sys.argv[2], sys.argv[3]))
"""


def process(server):
    arguments = [sys.executable, "-c", SCRIPT, _download.__file__, server.url, SHA256]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once(server, cache):
    """Each gets a file that is whole."""
    server.meeting = threading.Barrier(2)
    processes = [process(server) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in processes] == [str(cache / NAME)] * 2
    assert server.asked == 2
    assert (cache / NAME).read_bytes() == CONTENT
    assert kept(cache) == [NAME]


def test_process_that_is_killed_leaves_no_half_of_the_file(server, cache):
    server.meeting, server.meetings = threading.Barrier(2), 2
    with process(server) as killed:
        server.meeting.wait(60)  # half of the file was sent
        killed.kill()
    server.meeting.wait(60)  # only now is the other half sent
    assert NAME not in kept(cache)
    server.meeting = None
    assert fetch(server.url, SHA256).read_bytes() == CONTENT


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


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_bar(terminal, server, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    fetch(server.url, SHA256)
    assert ("100%" in capsys.readouterr().err) == terminal
