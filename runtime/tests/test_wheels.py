"""The wheels of `make wheels`, for machines that this one may not be: what is in them.

That is not to say that they run there. Wheels that have not been made are skipped, and so are those
that are older than the sources, which `make wheels` would make again.
"""

import re
import zipfile
from pathlib import Path

import pytest
from binaries import read
from test_exports import EXPORTED

from larq_reactnet_runtime import library_path

RUNTIME = Path(__file__).resolve().parents[1]
DIST = RUNTIME / "dist"
LINUX = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0"}
SYSTEM = {"/usr/lib/libSystem.B.dylib"}
# The number of the processor in the format, what the library may need, and where the package looks
# for it.
WHEELS = {
    "manylinux2014_x86_64.manylinux_2_17_x86_64": (
        "elf",
        62,
        {*LINUX, "ld-linux-x86-64.so.2"},
        "liblarq_reactnet_runtime.so",
    ),
    "manylinux2014_aarch64.manylinux_2_17_aarch64": (
        "elf",
        183,
        {*LINUX, "ld-linux-aarch64.so.1"},
        "liblarq_reactnet_runtime.so",
    ),
    "manylinux2014_armv7l.manylinux_2_17_armv7l": (
        "elf",
        40,
        {*LINUX, "ld-linux-armhf.so.3"},
        "liblarq_reactnet_runtime.so",
    ),
    "macosx_12_0_arm64": ("macho", 0x100000C, SYSTEM, "liblarq_reactnet_runtime.dylib"),
    "macosx_12_0_x86_64": ("macho", 0x1000007, SYSTEM, "liblarq_reactnet_runtime.dylib"),
    "win_amd64": ("pe", 0x8664, None, "larq_reactnet_runtime.dll"),
}
# What linkers on macOS add for themselves, and C++'s memory, which all libraries of a program share
# there: Apple's linker leaves it out of the exports, and that of zig does not.
LINKERS_OWN = re.compile("__dso_handle|_mh_dylib_header|_Zn[aw]|_Zd[al]")
# C's library, which Windows has since version 10.
WINDOWS = re.compile(r"KERNEL32\.dll|api-ms-win-crt-\w+-l1-1-0\.dll")


def files(tag):
    return sorted(DIST.glob(f"larq_reactnet_runtime-*-py3-none-{tag}.whl"))


def newest_source():
    """When the last of what the library and the package are made of was changed."""
    made_of = [RUNTIME / "CMakeLists.txt", RUNTIME / "pyproject.toml"]
    for folder, pattern in (("src", "*/*"), ("cmake", "*"), ("python", "**/*.py")):
        made_of += (RUNTIME / folder).glob(pattern)
    return max(path.stat().st_mtime for path in made_of)


@pytest.fixture(params=filter(files, WHEELS))
def wheel(request):
    """Its tag, its archive and its library."""
    if files(request.param)[-1].stat().st_mtime < newest_source():
        pytest.skip(f"{files(request.param)[-1].name} is older than the sources: make wheels")
    with zipfile.ZipFile(files(request.param)[-1]) as archive:
        name = WHEELS[request.param][3]
        yield request.param, archive, read(archive.read(f"larq_reactnet_runtime/{name}"))


def test_library_is_for_the_machine_and_exports_its_functions(wheel):
    tag, _, library = wheel
    kind, machine, needed, _ = WHEELS[tag]
    assert (library.kind, library.machine) == (kind, machine)
    exported = library.exported
    if kind == "macho":
        exported = {name for name in exported if not LINKERS_OWN.match(name)}
    assert exported == EXPORTED
    if needed is None:
        assert library.needed
        assert all(WINDOWS.fullmatch(name) for name in library.needed), library.needed
    else:
        assert library.needed <= needed


def test_library_can_be_loaded_where_pages_are_large(wheel):
    tag, _, library = wheel
    if "aarch64" in tag:  # 16 KB: Android's Play asks for it; 64 KB: some servers
        assert library.alignment >= 64 * 1024
    if tag == "macosx_12_0_arm64":
        assert library.is_signed  # or the system would end the program
    if library.kind == "macho":
        assert library.oldest == (12, 0)


def test_wheel_depends_on_what_there_is_for_the_machine(wheel):
    tag, archive, _ = wheel
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    needs = re.findall(r"^Requires-Dist: ([\w-]+)", archive.read(name).decode(), re.MULTILINE)
    expected = "tflite-runtime" if "armv7l" in tag else "ai-edge-litert"
    assert {"numpy", expected} <= set(needs)
    assert not {"tflite-runtime", "ai-edge-litert"} - {expected} & set(needs)


def test_the_reader_is_right_about_the_library_of_this_machine():
    assert read(library_path().read_bytes()).exported == EXPORTED


def test_a_damaged_signature_is_seen(wheel):
    tag, archive, library = wheel
    if not library.is_signed:
        pytest.skip(f"the library for {tag} has no signature")
    data = bytearray(archive.read("larq_reactnet_runtime/" + WHEELS[tag][3]))
    data[len(data) // 2] ^= 1
    assert not read(bytes(data)).is_signed
