"""Weights from a mirror or a folder, ahead of time, and what a dead link says."""

import hashlib
from dataclasses import replace

import larq_reactnet as lr
from larq_reactnet.zoo import _download, pretrained
from larq_reactnet.zoo._download import DownloadError, fetch
from larq_reactnet_cli import main

import pytest
from click.testing import CliRunner
from file_server import CONTENT, NAME, SHA256, kept
from helpers import every

pytestmark = pytest.mark.usefixtures("cache")

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


@every  # a minute: test_pretrained.py gives other weights a new head
@pytest.mark.usefixtures("few_digits")
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
