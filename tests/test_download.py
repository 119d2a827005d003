"""Downloads from a local server that breaks off, says nothing, or lies."""

import hashlib
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import larq_reactnet as lr
from larq_reactnet.zoo import _download, pretrained
from larq_reactnet.zoo._download import DownloadError, fetch
from larq_reactnet_cli import main

import numpy as np
import pytest
from click.testing import CliRunner

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `content`, as its attributes say; `asked` counts the requests.

    Attributes:
        content: The file.
        status: Answer with this instead.
        drops: For each of the next requests, after how many bytes the connection is closed.
        announced: `Content-Length`, if not the right one; `False` for none.
        meeting: A barrier to wait at after half of the file.
        meetings: How many times to wait there.
        paths: What was asked for.
    """

    daemon_threads = True

    def __init__(self):
        self.content = CONTENT
        self.status = None
        self.drops = []
        self.announced = None
        self.meeting = None
        self.meetings = 1
        self.asked = 0
        self.paths = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/files/weights.h5?raw=1"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked += 1
        server.paths.append(self.path)
        if server.status:
            self.send_error(server.status)
            return
        body = server.content
        self.send_response(200)
        if server.announced is not False:
            self.send_header("Content-Length", str(server.announced or len(body)))
        self.end_headers()
        if server.drops:
            body = body[: server.drops.pop(0)]
        half = len(body) // 2
        try:
            self.wfile.write(body[:half])
            if server.meeting:
                for _ in range(server.meetings):
                    server.meeting.wait(60)
            self.wfile.write(body[half:])
        except ConnectionError:  # the client is gone
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
    monkeypatch.delenv(_download.PLACE, raising=False)
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)  # before it tries again
    return tmp_path / "keras" / "larq_reactnet"


def kept(cache):
    """The names of the files in the cache."""
    return sorted(path.name for path in cache.iterdir())


NAME = f"weights-{SHA256[:16]}.h5"


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


# Another place for the files.

DEAD = "https://localhost:9/releases/weights.h5"  # nobody listens there


def test_mirror(server, cache, monkeypatch):
    monkeypatch.setenv(_download.PLACE, server.url.partition("?")[0].rpartition("/")[0] + "/")
    path = fetch(DEAD, SHA256)
    assert path == cache / NAME
    assert path.read_bytes() == CONTENT
    assert server.paths == ["/files/weights.h5"]
    assert _download.found(DEAD, SHA256) == path


def test_mirror_that_does_not_have_it(server, monkeypatch):
    server.status = 404
    monkeypatch.setenv(_download.PLACE, server.url.partition("/files")[0])
    with pytest.raises(DownloadError, match=r"Cannot download http://127\S+/weights\.h5: 404"):
        fetch(DEAD, SHA256)


def test_dead_link_says_what_to_do(server):
    server.status = 404
    with pytest.raises(DownloadError, match=r"404 .* download it by hand") as caught:
        fetch(server.url, SHA256)
    for words in (
        "pass its path as `weights`",
        "LARQ_REACTNET_WEIGHTS",
        "a folder with a file weights.h5",
        "larq-reactnet pull NAME --output FOLDER",
    ):
        assert words in str(caught.value)


def test_folder(tmp_path, cache, monkeypatch):
    folder = tmp_path / "weights"
    monkeypatch.setenv(_download.PLACE, str(folder))
    with pytest.raises(DownloadError, match=r"no file .*weights/weights\.h5.*pull NAME --output"):
        fetch(DEAD, SHA256)
    folder.mkdir()
    (folder / "weights.h5").write_bytes(CONTENT[:-1])
    with pytest.raises(DownloadError, match="is another file, or corrupt"):
        fetch(DEAD, SHA256)
    (folder / "weights.h5").write_bytes(CONTENT)
    assert fetch(DEAD, SHA256) == folder / "weights.h5" == _download.found(DEAD, SHA256)
    assert not cache.exists()  # nothing is copied


def test_cache_serves_what_is_not_in_the_folder(server, tmp_path, monkeypatch):
    path = fetch(server.url, SHA256)
    monkeypatch.setenv(_download.PLACE, str(tmp_path / "empty"))
    assert fetch(server.url, SHA256) == path
    assert server.asked == 1


# The command, on a table whose files are on the local server.


@pytest.fixture
def table(server, tmp_path, monkeypatch):
    """Weights of QuickNet with and without the top, and those of a recipe in the package."""
    (row, without), (ours,) = (
        pretrained.list_weights(name) for name in ("quicknet", "bnn_plus_dorefanet")
    )
    address = server.url.partition("weights.h5")[0]
    rows = [
        replace(row, location=f"{address}quicknet_weights.h5", sha256=SHA256),
        replace(without, location=f"{address}quicknet_weights_notop.h5", sha256=SHA256),
        ours,
    ]
    monkeypatch.setattr(
        pretrained,
        "list_weights",
        lambda model=None: [row for row in rows if model in (None, row.model)],
    )
    return rows


def pull(*arguments):
    return CliRunner().invoke(main, ["pull", *map(str, arguments)])


def test_pull(table, server, cache):
    listing = pull("--list").output
    assert listing.count("to download from http://127.0.0.1") == 2
    assert "in the package" in listing
    result = pull("quicknet")
    assert result.exit_code == 0, result.output
    names = [f"quicknet_weights{top}-{SHA256[:16]}.h5" for top in ("", "_notop")]
    assert kept(cache) == names
    assert all(str(cache / name) in result.output for name in names)
    assert pull("--list").output.count(str(cache)) == 2
    assert server.asked == 2
    assert pull("quicknet").exit_code == 0
    assert server.asked == 2


def test_pull_for_a_machine_without_network(table, server, cache, tmp_path, monkeypatch):
    result = pull("quicknet", "--output", tmp_path / "folder")
    assert result.exit_code == 0, result.output
    assert kept(tmp_path / "folder") == ["quicknet_weights.h5", "quicknet_weights_notop.h5"]
    # There, the cache is empty, and nobody answers.
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "other"))
    monkeypatch.setenv(_download.PLACE, str(tmp_path / "folder"))
    server.status = 404
    assert table[0].file() == tmp_path / "folder" / "quicknet_weights.h5"
    assert pull("--list").output.count(str(tmp_path / "folder")) == 2


def test_pull_of_a_dead_link_is_one_line(table, server):
    server.status = 404
    result = pull("quicknet")
    assert result.exit_code == 1
    assert "Error: Cannot download http://127" in result.output
    assert "LARQ_REACTNET_WEIGHTS" in result.output
    assert "Traceback" not in result.output


def test_pull_of_unknown_names(table):
    assert "Did you mean 'quicknet'" in pull("quickent").output
    message = "no pretrained weights for resnet18 yet, but for bnn_plus_dorefanet, quicknet"
    assert message in pull("resnet18").output
    assert "Give either NAME or --list" in pull().output
    assert "Give either NAME or --list" in pull("quicknet", "--list").output


@pytest.mark.slow
def test_fine_tuning_of_larqs_weights(server, tmp_path, monkeypatch):
    """The command of the guide, with a QuickNet that was not trained in place of Larq's file."""
    lr.zoo.QuickNetSmall(input_shape=(32, 32, 3)).save_weights(tmp_path / "weights.h5")
    server.content = (tmp_path / "weights.h5").read_bytes()
    row = pretrained.find("quicknet_small", "imagenet")
    sha256 = hashlib.sha256(server.content).hexdigest()
    rows = [replace(row, location=server.url, sha256=sha256)]
    monkeypatch.setattr(pretrained, "list_weights", lambda model=None: rows)
    arguments = ["train", "quicknet_small", "--weights", "imagenet", "--image-size", "32"]
    arguments += ["--epochs", "1", "--batch-size", "256", "--learning-rate", "1e-4"]
    result = CliRunner().invoke(main, [*arguments, "--output", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    assert "which is new: it has 10 classes instead of 1000." in result.output
    values = lr.training.Run(tmp_path / "run").read()["arguments"]
    assert (values["weights"], values["normalization"]) == ("imagenet", "imagenet2012")
    assert server.asked == 1
    again = CliRunner().invoke(main, [*arguments, "--output", str(tmp_path / "run")])
    assert "is already finished" in again.output
