"""Which instruction sets the library finds, against what the system says of the processor."""

import platform
from pathlib import Path

import pytest

from larq_reactnet_runtime import instruction_sets

AVX512 = {"avx512f", "avx512bw", "avx512dq", "avx512vl"}
NEEDS = {
    "avx512vpopcntdq": {*AVX512, "avx512_vpopcntdq"},
    "avx512": AVX512,
    "avx2": {"avx2"},
    "portable": set(),
}


def test_every_instruction_set_of_the_processor_is_found():
    if platform.machine() in ("aarch64", "arm64", "armv7l", "armv8l"):
        assert instruction_sets() == ("neon", "portable")
        return
    info = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not info.exists():
        pytest.skip(f"nothing says what this {platform.machine()} has")
    lines = [line for line in info.read_text().splitlines() if line.startswith("flags")]
    flags = set(lines[0].split(":")[1].split())
    expected = tuple(name for name, needed in NEEDS.items() if needed <= flags)
    assert instruction_sets() == expected
