"""A corrupt `.h5` file gives an error or a model, whatever the HDF5 library does with it."""

import select
import subprocess

from larq_reactnet import _hdf5
from larq_reactnet._process import start
from larq_reactnet.training.runs import load_model

import h5py
import numpy as np
import pytest
import tensorflow as tf
from faulty_models import binary_conv, model_of

FILES = 500
LIMIT = 2.0  # seconds for a file; one that is good takes a thousandth of one

# Reads one file after the other as `_hdf5.check` does, and prints whether it could read it.
READER = """
import runpy, sys
read_all = runpy.run_path(sys.argv[1])["read_all"]
for line in sys.stdin:
    try:
        read_all(line.strip())
        answer = "good"
    except Exception as error:
        answer = f"{type(error).__name__}: {error}".split(chr(10))[0]
    print(answer, flush=True)
"""


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A small model in a file."""
    tf.keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("h5") / "good.h5"
    layers = tf.keras.layers
    stages = binary_conv(4, name="conv"), layers.BatchNormalization(name="bn"), layers.Flatten()
    model_of(*stages, layers.Dense(3, name="head"), shape=(4, 4, 3)).save(str(path))
    return path


def corrupted(content, seed):
    """The file cut off, or with one to five other bits."""
    rng = np.random.default_rng(seed)
    data = bytearray(content)
    if seed % 5 == 0:
        return bytes(data[: rng.integers(len(data))])
    for _ in range(rng.integers(1, 6)):
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    return bytes(data)


class Reader:
    """A process that reads files. If it crashes or hangs, another one takes its place."""

    def __init__(self, folder):
        self.script = folder / "reader.py"
        self.script.write_text(READER)
        self.process = None

    def __call__(self, path):
        """Whether the process could read the file at `path`, or what happened to it."""
        if self.process is None:
            pipe = subprocess.PIPE
            arguments = {"stdin": pipe, "stdout": pipe, "stderr": subprocess.DEVNULL}
            self.process = start(str(self.script), [_hdf5.__file__], **arguments)
            self.ask("no file", 60)  # it takes a while to start
        answer = self.ask(path, LIMIT)
        if answer in ("hangs", "crashes"):
            self.close()
        return answer

    def ask(self, path, limit):
        self.process.stdin.write(f"{path}\n".encode())
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], limit)[0]:
            return "hangs"
        return self.process.stdout.readline().decode().strip() or "crashes"

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@pytest.fixture
def reader(tmp_path):
    reader = Reader(tmp_path)
    yield reader
    reader.close()


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_corrupt_files(good, reader, tmp_path, monkeypatch):
    """Files that can be read give a model or a ValueError, and the others a ValueError."""
    content, path = good.read_bytes(), tmp_path / "bad.h5"
    assert reader(good) == "good"
    readable, unreadable = [], []
    for seed in range(FILES):
        path.write_bytes(corrupted(content, seed))
        (readable if reader(path) == "good" else unreadable).append(seed)
    assert min(len(readable), len(unreadable)) > 100

    models = 0
    with monkeypatch.context() as patch:
        patch.setattr(_hdf5, "check", lambda _: None)  # which is done already
        for seed in readable[:40]:
            path.write_bytes(corrupted(content, seed))
            try:
                models += isinstance(load_model(path), tf.keras.Model)
            except ValueError as error:
                known = ("is not a Keras model in HDF5 format: ", "needs ")
                models += str(error).startswith(tuple(f"{path} {text}" for text in known))
    assert models == 40
    for seed in unreadable[:8]:
        path.write_bytes(corrupted(content, seed))
        with pytest.raises(ValueError, match=r"is not a Keras model in HDF5 format: [^ ]"):
            load_model(path)


# Seeds of files with which HDF5 1.14 crashes and hangs, if Keras 2.19 wrote the good file.
WORST = {
    "crashes": ((593, 8254, 10351, 13112, 18566), "HDF5 crashes on it: it is corrupt"),
    "hangs": ((1781, 3936, 5688, 14147, 16487), r"reading it takes more than 0[.]5 seconds"),
}


@pytest.mark.parametrize("outcome", WORST)
def test_files_that_hdf5_does_not_survive(good, reader, tmp_path, outcome, monkeypatch):
    seeds, message = WORST[outcome]
    path = tmp_path / "bad.h5"
    if outcome == "hangs":
        monkeypatch.setattr(_hdf5.check, "__defaults__", (0.5,))
    for seed in seeds:
        path.write_bytes(corrupted(good.read_bytes(), seed))
        if reader(path) == outcome:
            with pytest.raises(ValueError, match=message):
                load_model(path)
            return
    pytest.skip("with these versions, it survives them")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os; os.abort()", "HDF5 crashes on it: it is corrupt"),
        ("import time; time.sleep(60)", r"reading it takes more than 0[.]5 seconds: it is corrupt"),
        ("raise SystemExit('bad heap')", "bad heap"),
    ],
)
def test_whatever_the_process_does(good, tmp_path, code, message, monkeypatch):
    script = tmp_path / "script.py"
    script.write_text(code)
    monkeypatch.setattr(_hdf5, "__file__", str(script))
    with pytest.raises(ValueError, match=message):
        _hdf5.check(good, limit=0.5)


def test_good_and_missing_files(good, tmp_path):
    _hdf5.check(good)
    with pytest.raises(FileNotFoundError):
        _hdf5.check(tmp_path / "missing.h5")
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "missing.h5")
    (tmp_path / "text.h5").write_text("text")
    with pytest.raises(ValueError, match="is not a Keras model in HDF5 format"):
        load_model(tmp_path / "text.h5")


def test_links_to_other_files_are_not_followed(good, tmp_path):
    path = tmp_path / "linked.h5"
    path.write_bytes(good.read_bytes())
    with h5py.File(path, "a") as file:
        file["model_weights"]["secret"] = h5py.ExternalLink("/etc/other.h5", "/")
    with pytest.raises(ValueError, match="has a link to another file"):
        load_model(path)
