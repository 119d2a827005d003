"""Files are there whole or not at all."""

import os
import random
import signal
import stat
import subprocess
import time

from larq_reactnet import _files
from larq_reactnet._files import check_writable, replacing
from larq_reactnet._process import start

import pytest


def test_replaces_only_if_nothing_is_raised(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == ".txt"
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["file.txt"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o444


def test_bad_paths(tmp_path):
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        check_writable(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        check_writable(tmp_path / "missing" / "file")
    with pytest.raises(OSError, match="not an ordinary file"):
        check_writable("/dev/null")


def test_link_is_followed(tmp_path):
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with replacing(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "target").read_text() == "new"
    assert (tmp_path / "link").is_symlink()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="is read-only"):
        check_writable(tmp_path / "file")


# Writes one file, then the other, as `export` does, until it is killed.
WRITER = """
import runpy, sys
from pathlib import Path
replacing = runpy.run_path(sys.argv[1])["replacing"]
target, *contents = map(Path, sys.argv[2:])
contents = [content.read_bytes() for content in contents]
print("begin", flush=True)
while True:
    for content in contents:
        with replacing(target) as temporary:
            temporary.write_bytes(content)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_kill_at_any_moment(tmp_path):
    """The file is the old one or the new one, and what may be left beside it is hidden."""
    folder = tmp_path / "folder"
    folder.mkdir()
    target, script = folder / "model.tflite", tmp_path / "writer.py"
    script.write_text(WRITER)
    contents = [bytes([value]) * (3 << 20) for value in b"ab"]
    arguments = [_files.__file__, str(target)]
    for content in contents:
        arguments.append(str(tmp_path / f"{content[:1].decode()}"))
        (tmp_path / content[:1].decode()).write_bytes(content)
    target.write_bytes(contents[0])
    chance, seen = random.Random(0), set()
    for _ in range(30):
        process = start(str(script), arguments, stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"begin\n"
        time.sleep(chance.uniform(0, 0.03))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        content = target.read_bytes()
        assert content in contents
        seen.add(content[:1])
    names = {path.name for path in folder.iterdir()} - {target.name}
    assert seen == {b"a", b"b"}
    assert names  # it was killed while it wrote
    assert all(name.startswith(".model.") for name in names)
