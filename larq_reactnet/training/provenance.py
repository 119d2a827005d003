"""Says what a result comes from: the version of the sources, and the machine."""

import os
import platform
import subprocess
from pathlib import Path

import tensorflow as tf

__all__ = ["commit", "hardware"]


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


def hardware() -> str:
    """The processors, in words."""
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return " and ".join([f"{os.cpu_count()} cores of {_cpu()}", *gpus])


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
