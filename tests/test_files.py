"""Files are there whole or not at all."""

import json
import os
import signal
import stat
import subprocess

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


# Replaces a file again and again, by processes that are killed at their first line, at their
# second, and so on, until one ends. Prints what the file held after each.
WRITER = """
import json, os, runpy, signal, sys
from pathlib import Path

replacing = runpy.run_path(sys.argv[1])["replacing"]
target = Path(sys.argv[2])

def write(lines):
    def trace(frame, event, argument):
        nonlocal lines
        lines -= event == "line"
        if lines < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    def save():
        with replacing(target) as temporary, temporary.open("w") as file:
            file.write("new, ")
            file.flush()
            file.write("and whole")

    sys.settrace(trace)
    save()
    os._exit(0)

seen, code = [], None
while code != 0:
    target.write_text("old")
    child = os.fork() or write(len(seen))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seen.append((code, target.read_text()))
print(json.dumps(seen))
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_kill_at_any_line(tmp_path):
    """The file is the old one or the new one, and what may be left beside it is hidden."""
    folder = tmp_path / "folder"
    folder.mkdir()
    target, script = folder / "model.tflite", tmp_path / "writer.py"
    script.write_text(WRITER)
    process = start(str(script), [_files.__file__, str(target)], stdout=subprocess.PIPE)
    *killed, last = json.loads(process.communicate()[0])
    assert {code for code, _ in killed} == {-signal.SIGKILL}
    contents = [content for _, content in killed]
    assert set(contents) == {"old", "new, and whole"}
    assert contents == sorted(contents, reverse=True)  # replaced once, never back
    assert last == [0, "new, and whole"]
    names = {path.name for path in folder.iterdir()} - {target.name}
    assert names  # it was killed while it wrote
    assert all(name.startswith(".model.") for name in names)
