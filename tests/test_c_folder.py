"""The folder of C: what is in it, that nothing else is lost, and what is refused."""

import errno
import json
import os
import re
import shutil
import subprocess

import larq_reactnet as lr
from larq_reactnet_cli import main

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from helpers import binary_model, some
from PIL import Image

layers = tf.keras.layers
METADATA = lr.converters.Metadata(name="small", labels=tuple("abcd"), mean=(127.5,), std=(127.5,))


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def tflite(tmp_path_factory):
    tf.keras.utils.set_random_seed(2)
    path = tmp_path_factory.mktemp("file") / "model.tflite"
    content = lr.converters.convert(binary_model(padding="same", pad_values=1.0))
    path.write_bytes(lr.converters.add_metadata(content, METADATA))
    return path


@pytest.fixture(scope="module")
def folder(tflite, tmp_path_factory):
    """What the command writes of a `.tflite`, and the page of it."""
    place = tmp_path_factory.mktemp("c")
    result = run(
        *("export", tflite, place / "firmware", "--target", "c", "--name", "tiny"),
        *("--ram", "8k", "--flash", "1M", "--html", place / "arena.html", "--images", 8),
    )
    assert result.exit_code == 0, result.output
    assert "bits in C" in result.output
    return place / "firmware"


def test_files(folder, tflite):
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {
        "CMakeLists.txt",
        "README.md",
        "examples/Classify/Classify.ino",
        "examples/host/classify.c",
        "library.json",
        "library.properties",
        "manifest.json",
        "src/tiny.c",
        "src/tiny.h",
        "src/tiny_weights.c",
        "src/tiny_weights.h",
    }
    assert json.loads((folder / "library.json").read_text())["name"] == "tiny"
    texts = "".join(path.read_text() for path in folder.rglob("*") if path.is_file())
    assert not re.findall(r"\b(UPPER|NAME|LABEL|CONVERTED|MEANS|INPUT_TYPE)(?![A-Z])", texts)


def test_readme_has_sizes_and_the_checksum(folder, tflite):
    import hashlib

    text = (folder / "README.md").read_text()
    assert hashlib.sha256(tflite.read_bytes()).hexdigest() in text
    found = lr.converters.inspect(tflite)
    assert f"{found.binary_macs:,} binary, {found.float_macs:,} real" in text
    arena = re.search(r"TINY_ARENA_BYTES (\d+)", (folder / "src" / "tiny.h").read_text())[1]
    assert f"{int(arena):,} bytes" in text


def test_page(folder):
    text = (folder.parent / "arena.html").read_text()
    assert text.count("<rect") >= 4
    assert "8,192 bytes" in text
    assert "stem" in text


@pytest.mark.parametrize("input_type", ["uint8", "int8", "float32"])
def test_host_program_classifies_a_picture(input_type, tflite, tmp_path):
    """The same class and scores as `predict`, from a PPM of the size of the network."""
    lr.converters.export_c(tflite, tmp_path / "c", input_type=input_type, verify=False)
    sources = [*(tmp_path / "c").glob("src/*.c"), tmp_path / "c" / "examples/host/classify.c"]
    strict = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")
    command = ["cc", *strict, "-I", tmp_path / "c" / "src", *sources, "-o", tmp_path / "p", "-lm"]
    subprocess.run(command, check=True)
    pixels = np.random.default_rng(3).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.ppm")
    Image.fromarray(pixels[:4]).save(tmp_path / "small.ppm")
    done = subprocess.run(
        [tmp_path / "p", tmp_path / "picture.ppm"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *rows, _, best = done.stdout.splitlines()
    normalized = (pixels[None].astype(np.float32) - 127.5) / np.float32(127.5)
    wanted = lr.converters.predict_tflite(tflite, normalized, engine="lce", progress=False)[0]
    np.testing.assert_allclose(
        [float(row.split()[1]) for row in rows], wanted, rtol=1e-4, atol=1e-5
    )
    assert best == "abcd"[int(wanted.argmax())]
    for path, reason in ((tmp_path / "small.ppm", "is 8x4"), (tflite, "is no binary PPM")):
        done = subprocess.run([tmp_path / "p", path], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert reason in done.stderr


# What the Arduino sketch needs of Arduino.
ARDUINO = """
#include <stddef.h>
#include <stdint.h>
struct {
  void begin(long);
  void setTimeout(long);
  size_t readBytes(char *, size_t);
  template <class T> void print(T);
  template <class T> void print(T, int);
  template <class T> void println(T);
} Serial;
unsigned long micros();
"""


@pytest.mark.skipif(shutil.which("g++") is None, reason="There is no C++ compiler.")
@pytest.mark.parametrize("name", ["tiny", "name_upper_label"])
def test_sketch_compiles(name, tflite, tmp_path):
    """Also with a name in which there are words of the templates."""
    lr.converters.export_c(tflite, tmp_path / "c", name=name, input_type="int8", verify=False)
    (tmp_path / "Arduino.h").write_text(ARDUINO)
    sketch = tmp_path / "c" / "examples" / "Classify" / "Classify.ino"
    command = ["g++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c++"]
    command += ["-include", tmp_path / "Arduino.h", "-I", tmp_path / "c" / "src", sketch]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]
    host = tmp_path / "c" / "examples" / "host" / "classify.c"
    command = ["cc", "-fsyntax-only", "-I", tmp_path / "c" / "src", host]
    subprocess.run(command, check=True)


OF_TWO = (("no", "yes"), "no_or_yes_labels[scores[0] > 0.5f]", "yes")
NUMBERS = ((("mean",), "is a number", "mean"), ((), "is a number", "0"))


@pytest.mark.parametrize(("labels", "best", "answer"), some([OF_TWO, *NUMBERS], OF_TWO))
def test_one_score(labels, best, answer, tmp_path):
    """It is that of the second of two classes, or a number."""
    inputs = layers.Input((2, 2, 1))
    x = layers.GlobalAveragePooling2D()(inputs)
    model = tf.keras.Model(inputs, layers.Activation("sigmoid")(x))
    metadata = lr.converters.Metadata(labels=labels, mean=100, std=1)
    options = {"metadata": metadata, "name": "no_or_yes", "verify": False}
    lr.converters.export_c(lr.converters.convert(model), tmp_path / "c", **options)
    assert best in (tmp_path / "c" / "README.md").read_text()
    sources = [*(tmp_path / "c").glob("src/*.c"), tmp_path / "c" / "examples/host/classify.c"]
    command = ["cc", "-Wall", "-Wextra", "-Werror", "-I", tmp_path / "c" / "src", *sources, "-lm"]
    subprocess.run([*command, "-o", tmp_path / "p"], check=True)
    for pixel, wanted in ((96, labels[0] if labels else "0"), (104, answer)):
        (tmp_path / "picture.pgm").write_bytes(b"P5 2 2 255\n" + bytes(4 * [pixel]))
        done = subprocess.run(
            [tmp_path / "p", tmp_path / "picture.pgm"], capture_output=True, text=True, check=True
        )
        first, _, last = done.stdout.splitlines()
        assert (first.split()[0], last) == (answer, wanted)
        assert float(first.split()[1]) == pytest.approx(1 / (1 + np.exp(100 - pixel)), 1e-4)


@pytest.mark.skipif(shutil.which("cmake") is None, reason="There is no CMake.")
def test_builds_with_cmake(folder, tmp_path):
    for step in (["-B", tmp_path, folder], ["--build", tmp_path]):
        subprocess.run(["cmake", *step], check=True, capture_output=True)
    assert (tmp_path / "tiny_classify").is_file()


def test_products_are_rounded_by_themselves(folder, tmp_path):
    """Also with a compiler's own default, which on some processors joins them with additions."""
    source = folder / "src" / "tiny.c"
    options = ["-std=gnu99", "-O3", "-S", "-o", tmp_path / "out.s", source]
    if subprocess.run(["cc", "-mfma", *options], capture_output=True, check=False).returncode:
        pytest.skip("This processor has no option for it.")
    assert "fmadd" not in (tmp_path / "out.s").read_text()


def test_writing_again_and_foreign_files(tflite, tmp_path):
    place = tmp_path / "c"
    lr.converters.export_c(tflite, place, name="one", verify=False)
    lr.converters.export_c(tflite, place, name="two", verify=False)
    assert not (place / "src" / "one.c").exists()
    (place / "src" / "two.c").write_text("int mine;\n")
    with pytest.raises(FileExistsError, match=r"two\.c in it was not written by this command"):
        lr.converters.export_c(tflite, place, verify=False)
    assert (place / "src" / "two.c").read_text() == "int mine;\n"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"notes\.txt"):
        lr.converters.export_c(tflite, tmp_path / "other", verify=False)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["notes.txt"]
    assert {path.name for path in tmp_path.iterdir()} == {"c", "other"}


def test_the_folder_itself_and_a_link(tflite, tmp_path, monkeypatch):
    (tmp_path / "c").mkdir()
    (tmp_path / "link").symlink_to("c")
    lr.converters.export_c(tflite, tmp_path / "link", name="one", verify=False)
    assert (tmp_path / "link").is_symlink()
    monkeypatch.chdir(tmp_path / "c")
    lr.converters.export_c(tflite, ".", name="two", verify=False)
    assert (tmp_path / "c" / "src" / "two.c").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"c", "link"}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "2nd"}, ValueError, "cannot be the prefix of names in C"),
        ({"name": "static"}, ValueError, "cannot be the prefix"),
        ({"name": "my net"}, ValueError, "cannot be the prefix"),
        ({"name": "string"}, ValueError, "no word of C, CMake, Arduino or their libraries"),
        ({"name": "Pets"}, ValueError, "Capitals are for macros"),
        ({"name": "x" * 65}, ValueError, "at most 64 small letters"),
        ({"name": "help"}, ValueError, "cannot be the prefix"),
        ({"name": "pets_weights"}, ValueError, "that of the weights of a network pets, which"),
        ({"input_type": "int16"}, ValueError, "`input_type` must be one of"),
        ({"verify_limit": 0}, ValueError, "at least 1"),
        ({"metadata": {"mean": 1}}, TypeError, "must be a `larq_reactnet.converters.Metadata`"),
        (
            {"metadata": lr.converters.Metadata(labels=("a", "b"))},
            lr.converters.ExportError,
            "gives 4 values, and there are 2 labels",
        ),
        (
            {"metadata": lr.converters.Metadata(mean=(1, 2), std=(3, 4))},
            lr.converters.ExportError,
            "takes 3 channels, and `mean` and `std` have 2 numbers",
        ),
        ({"storage": "int8"}, TypeError, "A .tflite takes no storage"),
        ({"flash": 500}, lr.converters.ExportError, r"more than the 500 of `flash`.*stem \("),
        ({"ram": 100}, lr.converters.ExportError, r"more than the 100 of `ram`.*fullest at"),
    ],
)
def test_refused_before_anything_is_written(arguments, error, message, tflite, tmp_path):
    with pytest.raises(error, match=message):
        lr.converters.export_c(tflite, tmp_path / "c", **{"verify": False, **arguments})
    assert not list(tmp_path.iterdir())


def test_a_file_or_no_parent(tflite, tmp_path):
    with pytest.raises(NotADirectoryError, match="it is a file"):
        lr.converters.export_c(tflite, tflite, verify=False)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        lr.converters.export_c(tflite, tmp_path / "a" / "b", verify=False)


def test_no_place_for_the_folder(tflite, tmp_path, monkeypatch):
    """It is known before a long export, and what was there before stays."""
    monkeypatch.setattr("larq_reactnet.converters.exporting_c.export", None)
    with pytest.raises(OSError, match=r"^Cannot write /proc/c: No such file or directory"):
        lr.converters.export_c(binary_model(), "/proc/c", verify=False)
    lr.converters.export_c(tflite, tmp_path / "c", name="one", verify=False)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match=r"^Cannot write .*/c: No space left on device\."):
        lr.converters.export_c(tflite, tmp_path / "c", name="two", verify=False)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    assert (tmp_path / "c" / "src" / "one.c").is_file()


def test_without_normalization(tmp_path):
    content = lr.converters.convert(binary_model())
    with pytest.raises(lr.converters.ExportError, match="does not say how pixels are normalized"):
        lr.converters.export_c(content, tmp_path / "c", verify=False)
    lr.converters.export_c(content, tmp_path / "c", input_type="float32", verify=False)


def test_a_layer_without_a_c_form(tmp_path):
    inputs = layers.Input((8, 8, 4))
    x = lq.layers.QuantConv2D(4, 3, input_quantizer="ste_sign", kernel_quantizer="ste_sign")(inputs)
    x = layers.UpSampling2D(2, name="larger")(x)
    x = layers.GlobalAveragePooling2D()(x)
    content = lr.converters.convert(tf.keras.Model(inputs, x))
    with pytest.raises(lr.converters.ExportError, match=r"larger.*has no C form"):
        lr.converters.export_c(content, tmp_path / "c", input_type="float32", verify=False)
    assert not list(tmp_path.iterdir())


def pads_with_zeros(inputs):
    x = lq.layers.QuantConv2D(
        4, 3, padding="same", input_quantizer="ste_sign", kernel_quantizer="ste_sign", name="conv"
    )(inputs)
    return layers.GlobalAveragePooling2D()(x)


@pytest.mark.parametrize(
    ("size", "outputs", "message"),
    [
        (2, lambda x: x, r"conv \(LceBconv2d\) pads a 2x2 map with zeros.*the Keras model"),
        (None, lambda x: x, "takes images of any size.*`input_shape`"),
        (8, lambda x: [x, x], "1 inputs and 2 outputs"),
    ],
)
def test_tflite_files_without_a_c_form(size, outputs, message, tmp_path):
    import larq_compute_engine as lce

    inputs = layers.Input((size, size, 4))
    content = lce.convert_keras_model(tf.keras.Model(inputs, outputs(pads_with_zeros(inputs))))
    with pytest.raises(lr.converters.ExportError, match=message):
        lr.converters.export_c(content, tmp_path / "c", input_type="float32", verify=False)
    assert not list(tmp_path.iterdir())


BROKEN = """#!/bin/sh
echo 'looking.c: In function model_run' >&2
echo 'model.c:3:1: error: the first' >&2
echo 'model.c:4:1: error: the second' >&2
exit 1
"""
# It "compiles", but what it makes is no library of this machine.
FOREIGN = """#!/bin/sh
while [ "$1" != -o ]; do shift; done
echo other > "$2"
"""


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (BROKEN, r"does not compile the C: model\.c:3:1: error: the first$"),
        ("#!/bin/sh\nexit 1\n", "does not compile the C: no message"),
        (FOREIGN, "does not run on this machine.*Let CC name a compiler for it"),
    ],
)
def test_compilers_that_fail(script, message, tflite, tmp_path, monkeypatch):
    compiler = tmp_path / "compiler"
    compiler.write_text(script)
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", f"{compiler} -m32")
    with pytest.raises(lr.converters.ExportError, match=message):
        lr.converters.export_c(tflite, tmp_path / "c", progress=False)
    assert not (tmp_path / "c").exists()


def test_without_a_compiler(tflite, tmp_path, monkeypatch):
    """Nothing is written, and a model is not exported first; only where it is asked for."""
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setattr("larq_reactnet.converters.exporting_c.export", None)
    for model in (tflite, binary_model()):
        with pytest.raises(OSError, match=r"no C compiler 'no-such-compiler'.*install one.*--no"):
            lr.converters.export_c(model, tmp_path / "c", progress=False)
    monkeypatch.setenv("CC", "'cc -m32")
    with pytest.raises(ValueError, match="in which a quotation does not end"):
        lr.converters.export_c(tflite, tmp_path / "c", progress=False)
    monkeypatch.setenv("CC", "no-such-compiler")
    arguments = ("export", tflite, tmp_path / "c", "--target", "c")
    result = run(*arguments)
    assert result.exit_code == 1
    assert "no C compiler 'no-such-compiler'" in result.output
    assert not list(tmp_path.iterdir())
    result = run(*arguments, "--no-verify")
    assert result.exit_code == 0, result.output
    assert "Warning: with --no-verify the C was not compiled or run" in result.output
    assert "There is none: the C was not compiled or run" in (tmp_path / "c/README.md").read_text()


def test_wrong_usage_of_the_command(tflite, tmp_path):
    for arguments, message in (
        (("--name", "x"), "are for --target c"),
        (("--arithmetic", "int16"), "are for --target c"),
        (("--target", "c", "--ram", "many"), "is not a number of bytes"),
        (("--target", "c", "--no-metadata"), "--input-type needs the normalization"),
        (("--target", "c", "--storage", "int8", "--thorough"), "--storage, --thorough are for mod"),
        (("--target", "c", "--proof-beside"), "are for --target tflite"),
        ((), "is a .tflite already; --target c writes C source of it"),
    ):
        result = run("export", tflite, tmp_path / "c", *arguments)
        assert result.exit_code == 2, result.output
        assert message in result.output
    result = run("export", tflite, tmp_path / "c", "--target", "c", "--name", "int", "--no-verify")
    assert result.exit_code == 1
    assert "cannot be the prefix" in result.output
