"""Says what a result comes from: versions of sources and packages, and the machine."""

import hashlib
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from larq_reactnet._version import __version__

import tensorflow as tf

__all__ = ["commit", "hardware", "sha256_of", "versions"]

_PACKAGES = ("tensorflow", "tf-keras", "larq", "larq-zoo", "numpy")


def commit() -> str | None:
    """The commit of the sources, with `-dirty` after it if they were changed since.

    `None` if the package is not run from its repository.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(
            command, cwd=root, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def versions() -> dict[str, str | None]:
    """The versions of this package and of those that a result depends on."""
    return {"larq-reactnet": __version__, **{name: _version(name) for name in _PACKAGES}}


def hardware() -> str:
    """The processors, in words."""
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return " and ".join([f"{os.cpu_count()} cores of {_cpu()}", *gpus])


def sha256_of(model: tf.keras.Model) -> str:
    """A hash of all weights of a model."""
    found = hashlib.sha256()
    for weight in model.get_weights():
        found.update(weight.tobytes())
    return found.hexdigest()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
