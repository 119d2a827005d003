"""What the package needs, for scikit-build-core: see pyproject.toml.

LiteRT has wheels for 64-bit Linux, macOS on arm64 and Windows; elsewhere a model says what to
install when it is loaded. 32-bit ARM has tflite-runtime, which is built for NumPy 1. No marker of a
dependency could tell it: a 32-bit Raspberry Pi OS often runs on a 64-bit kernel, and then
`platform_machine` is aarch64. So a wheel for 32-bit ARM is one with other dependencies.
"""

import sys
import sysconfig

NUMPY = "numpy>=1.23"
LITERT = "ai-edge-litert>=1.0"
ON_64_BITS = [
    NUMPY,
    f"{LITERT}; sys_platform == 'linux' and (platform_machine == 'x86_64' or platform_machine == "
    "'aarch64')",
    f"{LITERT}; sys_platform == 'darwin' and platform_machine == 'arm64' and "
    "python_version >= '3.10'",
    f"{LITERT}; sys_platform == 'win32' and platform_machine == 'AMD64' and "
    "python_version >= '3.10'",
]
ON_32_BITS = [f"{NUMPY},<2", "tflite-runtime>=2.14; python_version < '3.12'"]


def dynamic_metadata(field, settings=None, _project=None):
    """The dependencies on the machine that the wheel is for, which may be another than this one."""
    if field != "dependencies":
        raise ValueError(f"This file knows the field dependencies, got {field}.")
    platform = sysconfig.get_platform()  # as the Makefile has set it, for wheels made with zig
    is_64_bits = sys.maxsize > 2**32 and not platform.startswith("linux-armv")
    return ON_64_BITS if is_64_bits else ON_32_BITS
