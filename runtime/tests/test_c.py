"""The example in C against LiteRT's C interface, with the libraries that the two wheels carry."""

import importlib.util
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from building import compiler_of

from larq_reactnet_runtime import Interpreter, library_path

HERE = Path(__file__).resolve().parent
TINY = HERE / "data" / "tiny.tflite"


def litert():
    """LiteRT's library with its C interface, if the wheel that is installed has one."""
    found = importlib.util.find_spec("ai_edge_litert")
    path = Path(found.origin).with_name("libLiteRt.so") if found and found.origin else None
    if path is None or not path.is_file():
        pytest.skip("ai-edge-litert 2.3, whose wheel has libLiteRt.so, is not installed")
    return path


@pytest.fixture(scope="module", params=[("c", "c11"), ("c++", "c++17")], ids=str)
def program(request, tmp_path_factory):
    """The example, built as C and as C++."""
    language, standard = request.param
    libraries, compiler = [litert(), library_path()], compiler_of(language)
    if compiler is None:
        pytest.skip(f"no compiler of {language} for this Linux here")
    path = tmp_path_factory.mktemp("c") / "run"
    warnings = "-Wall -Wextra -Wpedantic -Werror" if language == "c" else "-Wall -Wextra -Werror"
    options = shlex.split(f"-x {language} -std={standard} -O1 {warnings}")
    source = HERE.parent / "examples" / "run.c"
    places = [f"-Wl,-rpath,{library.parent}" for library in libraries]
    command = [*compiler, *options, source, "-x", "none", "-o", path, *libraries, *places]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path


def run(program, model, content):
    return subprocess.run([program, model], input=content, capture_output=True, check=False)


def test_gives_what_python_gives(program):
    images = np.load(HERE / "data" / "batch.npz")["inputs"].astype(np.float32) / 10
    for image in images[:2]:
        done = run(program, TINY, image.tobytes())
        assert done.returncode == 0, done.stderr
        found = np.frombuffer(done.stdout, np.float32)
        np.testing.assert_array_equal(found, Interpreter(TINY).predict(image[None])[0])


def test_what_is_wrong_is_said(program, tmp_path):
    for model, content, message in (
        (TINY, b"1234", b"4 bytes of 6912"),
        (tmp_path / "none.tflite", b"", b"LiteRT cannot read the model"),
    ):
        done = run(program, model, content)
        assert done.returncode == 1
        assert done.stdout == b""
        assert message in done.stderr


def test_the_library_is_what_runs_it(program, tmp_path):
    """Without the operators that it runs, LiteRT refuses the file."""
    other = tmp_path / "other.tflite"
    other.write_bytes(TINY.read_bytes().replace(b"LceBconv2d", b"LceBconv2x"))
    done = run(program, other, bytes(4 * 24 * 24 * 3))
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"LiteRT cannot run it: status" in done.stderr
