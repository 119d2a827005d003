"""The library's own copy of TensorFlow Lite's C interface, against the headers it was copied from.

No package of Python brings these headers, so the tests are skipped unless `LARQ_REACTNET_HEADERS`
names the folder that they are in, or several folders: a checkout of TensorFlow (with
`tensorflow/lite/core/c/common.h`) or of LiteRT (with `tflite/core/c/common.h`). `make abi` fetches
the oldest and the newest that the library is for, and runs the tests. `CXX` is the compiler, and
those of its options that say for which machine: `make abi` uses zig's for 32-bit ARM, too.
"""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

RUNTIME = Path(__file__).resolve().parents[1]
ABI = RUNTIME / "src" / "tflite" / "abi.h"
HEADERS = ("tensorflow/lite/core/c/common.h", "tflite/core/c/common.h")
COMPILER = shlex.split(os.environ.get("CXX", "c++"))


def folders():
    """The folders that have the headers."""
    named = [*filter(None, os.environ.get("LARQ_REACTNET_HEADERS", "").split(os.pathsep))]
    for folder in named:
        if not any((Path(folder) / header).is_file() for header in HEADERS):
            raise FileNotFoundError(f"{folder} of LARQ_REACTNET_HEADERS has none of {HEADERS}.")
    installed = [Path("/usr/include"), Path("/usr/local/include")]
    found = [folder for folder in installed if (folder / HEADERS[0]).is_file()]
    return [*map(Path, named), *found]


FOLDERS = folders()
pytestmark = [
    pytest.mark.skipif(not FOLDERS, reason="no headers of TensorFlow Lite here: run `make abi`"),
    pytest.mark.skipif(not shutil.which(COMPILER[0]), reason=f"no compiler {COMPILER[0]} here"),
]


@pytest.fixture
def compiled(tmp_path):
    """What the compiler says of the comparison with the `abi.h` of a folder of sources."""

    def run(source, headers):
        options = ["-std=c++17", f"-I{source}", "-isystem", str(headers)]
        command = [*COMPILER, *options, "-c", str(RUNTIME / "tests" / "abi" / "check.cc")]
        output = ["-o", str(tmp_path / "check.o")]
        return subprocess.run([*command, *output], capture_output=True, text=True)

    return run


@pytest.mark.parametrize("headers", FOLDERS, ids=str)
def test_structs_are_those_of_the_headers(compiled, headers):
    done = compiled(ABI.parents[1], headers)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("kTfLiteBuiltinPrelu = 54", "kTfLiteBuiltinPrelu = 53"),
        ("  float scale;\n  int32_t zero_point;\n", "  int32_t zero_point;\n  float scale;\n"),
        ("void* unused[8];", "void* unused[9];"),
        ("int count, int* first)", "int* first, int count)"),
    ],
)
def test_differences_are_seen(compiled, tmp_path, right, wrong):
    """Of an `abi.h` with a mistake in it, and without the assertions that it has itself."""
    text = re.sub(r"static_assert\(.*?\);\n", "", ABI.read_text(), flags=re.DOTALL)
    assert text.count(right) == 1
    (tmp_path / "tflite").mkdir()
    (tmp_path / "tflite" / "abi.h").write_text(text.replace(right, wrong))
    done = compiled(tmp_path, FOLDERS[0])
    assert done.returncode != 0
    assert "in the headers" in done.stderr
