"""The engines on processors with fewer instructions than this one, in an emulator.

XNNPACK and the runtime choose other kernels there, which add in another order. What an engine gives
must not depend on it by more than rounding explains. LCE's interpreter needs AVX, so there is
nothing older to try.
"""

import os
import platform
import shutil
import sys
from pathlib import Path

import larq_reactnet as lr  # noqa: F401
from larq_reactnet.converters import compress, convert, predict_tflite
from larq_reactnet.converters.judging import rounding_of

import numpy as np
import pytest
from faulty_models import noise
from tflite_edits import network

# Where runtime/tests/qemu/setup.sh puts it.
CACHE = Path(
    os.environ.get("LARQ_REACTNET_QEMU")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "larq-reactnet-qemu")
)


@pytest.fixture(scope="module")
def emulator():
    if platform.machine() != "x86_64":
        pytest.skip(f"the emulated processors are x86-64, and this one is {platform.machine()}")
    names = ("qemu-x86_64", "qemu-x86_64-static")
    found = next((path for name in names if (path := shutil.which(name))), CACHE / names[0])
    if not Path(found).is_file():
        pytest.skip("there is no qemu-x86_64: `make -C runtime aarch64` fetches it")
    return found


@pytest.fixture(scope="module")
def files():
    """A network, its files by storage, and images."""
    model = network(filters=64)
    plain = convert(model)
    files = {storage: compress(plain, storage) for storage in ("int8", "float16", "float32")}
    return model, files, noise(model, np.random.default_rng(0), 4)


@pytest.mark.parametrize("processor", ["SandyBridge", "Haswell"])
@pytest.mark.parametrize("engine", ["lce", "runtime"])
@pytest.mark.parametrize("storage", ["int8", "float16", "float32"])
def test_outputs(emulator, files, processor, engine, storage, tmp_path, monkeypatch):
    model, by_storage, images = files
    here = predict_tflite(by_storage[storage], images, engine=engine, progress=False)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {emulator} -cpu {processor} {sys.executable} "$@"\n')
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    there = predict_tflite(by_storage[storage], images, engine=engine, progress=False)
    assert np.abs(here - there).max() <= rounding_of(model) * np.abs(here).max()
