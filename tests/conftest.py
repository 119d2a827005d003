"""What the tests share. `larq_reactnet` comes first, because it selects Keras 2."""

import gc
import importlib.util
import itertools
import os
import sys
import threading
from pathlib import Path

import larq_reactnet as lr
from larq_reactnet.converters._engine.reuse import reused_processes
from larq_reactnet.zoo import _download

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from file_server import Server
from helpers import EVERY, few_digits
from tensorflow.python.framework import config, ops

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if not EVERY:
    # XLA compiles the gradients of each network, which takes longer than a few small batches do. So
    # it optimizes its programs in `make every` only. Processes that tests start inherit this.
    os.environ.setdefault(
        "XLA_FLAGS",
        "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
    )

# What the imports made is there for good: collections need not look at it.
gc.collect()
gc.freeze()

# A package in place of larq-reactnet-runtime, for models of 8x8 images and 4 classes.
RUNTIME = """
import os, time
import numpy as np

class Interpreter:
    def __init__(self, content, num_threads=1):
        {start}
        self.input_shapes = [(1, 8, 8, 3)]

    def run(self, images):
        return [self.predict(images)]

    def predict(self, images):
        {answer}
"""
PACKAGES = {"lce": "larq_compute_engine", "runtime": "larq_reactnet_runtime"}
MEANS = "return images.mean((1, 2), np.float32) @ np.eye(3, 4, dtype=np.float32)"

# The files that take a minute or more, the longest first.
LONGEST = (
    "test_docs_blocks.py",
    "test_distributing.py",
    "test_help_examples.py",
    "test_torch_checkpoint.py",
    "test_interruptions.py",
    "test_training.py",
    "test_storage.py",
    "test_zoo.py",
    "test_kernels.py",
    "test_examples.py",
    "test_docs.py",
    "test_shipped.py",
    "test_notebooks.py",
    "test_insight.py",
    "test_outputs.py",
    "test_cure.py",
    "test_replicas.py",
    "test_cli.py",
    "test_fold.py",
    "test_binarize.py",
)

# `make test` installs PyTorch where there is a build for CPUs only.
_NEED_TORCH = ["test_torch_checkpoint.py", "test_torch_checkpoint_refusals.py"]
collect_ignore = [] if importlib.util.find_spec("torch") else _NEED_TORCH


def pytest_terminal_summary(terminalreporter):
    """Say which tests were left out, because pytest does not."""
    if collect_ignore:
        terminalreporter.write_line(f"Not run without PyTorch: {', '.join(collect_ignore)}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Keep the tests of a file, which share models, in one worker, unless they say otherwise.

    The longest files come first, so that no worker begins one when the others are about to end.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.name))
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONGEST)))


# Bytes by which a worker may grow before it looks for garbage, which takes a second each time.
_GROWTH = 256 << 20
_used = 0


def _memory():
    """Bytes of memory that this process has; growing forever where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return _used + 2 * _GROWTH
    return pages * os.sysconf("SC_PAGE_SIZE")


def _free_memory():
    """Let go of the models of former tests.

    TensorFlow registers each call of a custom gradient in a graph, so of each binary layer, for
    good, and with it the graph and its variables. There is no public way to take that back.
    """
    global _used
    tf.keras.backend.clear_session()
    registry = ops.gradient_registry._registry
    for name in [name for name in registry if name.startswith("CustomGradient-")]:
        del registry[name]
    if _memory() > _used + _GROWTH:
        gc.collect()  # models are cycles, and Python does not see how much memory they hold
        _used = _memory()


def _start_afresh():
    """Count the names of layers from the beginning, and draw the same random numbers.

    So nothing depends on which tests ran before.
    """
    _free_memory()
    tf.keras.utils.set_random_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef):
    """Start afresh before what several tests share, which is made before their own fixtures."""
    if fixturedef.scope != "function":
        _start_afresh()


@pytest.fixture(autouse=True)
def _seeded():
    _start_afresh()
    # An error inside of a Larq layer leaves the scope open, for good.
    with lq.context.quantized_scope(False):
        yield
    tf.keras.mixed_precision.set_global_policy("float32")
    # It cannot be switched off again, and XLA then refuses gradients which other tests compile.
    assert not config.is_op_determinism_enabled(), "this test needs a process of its own"


@pytest.fixture(scope="module", autouse=True)
def _processes():
    """One process of each engine for all tests of a file, which would start hundreds."""
    with reused_processes():
        yield


@pytest.fixture(name="few_digits")
def _few_digits(digits):  # of which there are all, in a session
    """See `few_digits`."""
    with few_digits():
        yield


@pytest.fixture(scope="session")
def digits():
    """The digits without augmentation."""
    return lr.zoo.datasets.load("digits", batch_size=32, augmentation=None)


@pytest.fixture
def cifar10_dir():
    """The folder in which tensorflow-datasets has prepared CIFAR-10: the variable DATA_DIR."""
    folder = os.environ.get("DATA_DIR", "")
    if not folder:
        pytest.skip("the variable DATA_DIR names no folder with a prepared CIFAR-10")
    assert Path(folder, "cifar10").is_dir(), f"CIFAR-10 is not in DATA_DIR={folder}"
    return folder


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def without(monkeypatch):
    """A function that hides engines."""

    def hide(*names):
        for name in names:
            monkeypatch.setitem(sys.modules, PACKAGES[name], None)

    return hide


@pytest.fixture
def pretend(tmp_path, monkeypatch, without):
    """A function that installs a package in place of the runtime."""
    folders = (tmp_path / f"site{index}" for index in itertools.count())

    def install(start="pass", answer=MEANS):
        folder = next(folders)
        (folder / "larq_reactnet_runtime").mkdir(parents=True, exist_ok=True)
        code = RUNTIME.format(start=start, answer=answer)
        (folder / "larq_reactnet_runtime" / "__init__.py").write_text(code)
        monkeypatch.syspath_prepend(str(folder))

    return install


@pytest.fixture
def server():
    """A local server for a file of weights."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of the cache of downloads, where Keras' environment variable puts it."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv(_download.PLACE, raising=False)
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)  # before it tries again
    return tmp_path / "keras" / "larq_reactnet"
