"""Which instruction sets the library finds, against what the system says of the processor."""

import platform
from pathlib import Path

import pytest
import stock

FLAGS = {
    "avx2": {"avx2"},
    "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
    "avx512vpopcntdq": {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vpopcntdq"},
}


def test_every_instruction_set_of_the_processor_is_found():
    found = set(stock.instruction_sets())
    assert "portable" in found
    if platform.machine() == "aarch64":
        assert found == {"neon", "portable"}
        return
    info = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not info.exists():
        pytest.skip(f"nothing says what this {platform.machine()} has")
    lines = [line for line in info.read_text().splitlines() if line.startswith("flags")]
    flags = set(lines[0].split(":")[1].split())
    assert found - {"portable"} == {name for name, needed in FLAGS.items() if needed <= flags}
