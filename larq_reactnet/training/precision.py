"""The precision in which a network is trained, and which one a machine has."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

__all__ = ["native_policy", "trained_in"]

# What the kernel calls the instructions by which a processor multiplies matrices of bfloat16.
_CPU_FLAGS = {"amx_bf16", "avx512_bf16", "bf16"}


def native_policy() -> str:
    """The name of the dtype policy of Keras whose products this machine computes by itself.

    Wide networks train faster in it. Those of few channels may not.

    `"mixed_bfloat16"` on a TPU, on a GPU of compute capability 8.0 or more, and without a GPU on a
    processor with AMX-BF16, AVX512-BF16 or Arm's BF16; `"mixed_float16"` on a GPU of compute
    capability 7; else `"float32"`.
    """
    if tf.config.list_logical_devices("TPU"):
        return "mixed_bfloat16"
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = (tf.config.experimental.get_device_details(gpu) for gpu in gpus)
        capability = min(detail.get("compute_capability", (0, 0)) for detail in details)
        if capability >= (7, 0):
            return "mixed_bfloat16" if capability >= (8, 0) else "mixed_float16"
        return "float32"
    return "mixed_bfloat16" if _CPU_FLAGS & _cpu_flags() else "float32"


@contextlib.contextmanager
def trained_in(precision: str) -> Iterator[None]:
    """Layers that are made inside have the dtype policy `precision`.

    With `"float32"` they have Keras's global policy, which is float32 unless somebody changed it.
    """
    before = tf.keras.mixed_precision.global_policy()
    if precision != "float32":
        tf.keras.mixed_precision.set_global_policy(precision)
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(before)


def _cpu_flags() -> set[str]:
    """The abilities of the processor, as Linux names them; none where it does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return {
        flag
        for line in lines
        if line.split(":")[0].strip() in ("flags", "Features")
        for flag in line.partition(":")[2].split()
    }
