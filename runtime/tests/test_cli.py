"""The command `larq-reactnet-runtime`, and the photos that it reads."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from larq_reactnet_runtime import Interpreter, Metadata, __version__, cli
from larq_reactnet_runtime._shared import proofs
from larq_reactnet_runtime.cli import EXAMPLES, main

# In an emulator, a command that starts another.
PYTHON = os.environ.get("LARQ_REACTNET_PYTHON", sys.executable)
DATA = Path(__file__).parent / "data"
TINY, PHOTO = str(DATA / "tiny.tflite"), str(DATA / "photo.jpg")


def run(capsys, *arguments):
    code = main(arguments)
    output = capsys.readouterr()
    return code, output.out, output.err


def failure(capsys, *arguments):
    """The one line of an error."""
    code, out, err = run(capsys, *arguments)
    lines = [line for line in err.splitlines() if not line.startswith("INFO:")]
    assert (code, out, len(lines)) == (1, "", 1)
    return lines[0]


def test_predicts_what_larq_reactnet_predicts(capsys):
    pytest.importorskip("PIL")
    expected = json.loads((DATA / "expected.json").read_text())
    code, out, _ = run(capsys, "predict", TINY, PHOTO, "--top", "7", "--json")
    ((row),) = json.loads(out)
    assert code == 0
    assert row["photo"] == PHOTO
    assert [entry["label"] for entry in row["classes"]] == [*expected]
    found = [entry["probability"] for entry in row["classes"]]
    np.testing.assert_allclose(found, [*expected.values()], rtol=1e-3)


def test_prints_a_table(capsys):
    pytest.importorskip("PIL")
    code, out, _ = run(capsys, "predict", TINY, PHOTO, PHOTO, "--top", "2")
    assert code == 0
    assert out.splitlines()[:3] == [PHOTO, "  bee   70.27%", "  dog   21.41%"]
    assert len(out.splitlines()) == 6


def test_given_normalization_goes_before_that_of_the_file(capsys):
    pytest.importorskip("PIL")
    normal = run(capsys, "predict", TINY, PHOTO)
    same = ("--mean", "123.675,116.28,103.53", "--std", "58.395,57.12,57.375")
    assert run(capsys, "predict", TINY, PHOTO, *same)[1] == normal[1]
    assert run(capsys, "predict", TINY, PHOTO, "--mean", "0", "--std", "255")[1] != normal[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", TINY, "no.jpg"), "no file no.jpg"),
        (("predict", "no.tflite", PHOTO), "no file no.tflite"),
        (("predict", TINY, TINY), "not a JPEG, PNG, GIF, BMP or WebP"),
        (("predict", PHOTO, PHOTO), "not a TensorFlow Lite model"),
        (("predict", TINY, str(DATA)), "is a folder: give the photos"),
        (("predict", TINY, PHOTO, "--mean", "1"), "give both"),
        (("predict", TINY, PHOTO, "--mean", "1,2", "--std", "1,2"), "takes 3 channels"),
        (("predict", TINY, PHOTO, "--mean", "0", "--std", "0"), "above zero"),
        (("predict", TINY, PHOTO, "--mean", "nan", "--std", "1"), "finite"),
        (("predict", TINY, PHOTO, "--isa", "abacus"), "abacus"),
        (("benchmark", TINY, "--isa", "abacus"), "abacus"),
        (("benchmark", "no.tflite"), "no.tflite"),
        (("info", PHOTO), "not a TensorFlow Lite model"),
    ],
)
def test_errors_are_one_line(capsys, arguments, message):
    pytest.importorskip("PIL")
    assert message in failure(capsys, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("predict", TINY),
        ("predict", TINY, PHOTO, "--top", "0"),
        ("benchmark", TINY, "--runs", "x"),
    ],
)
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_bad_photo_does_not_hide_the_others(tmp_path, capsys, options):
    pytest.importorskip("PIL")
    wanted = run(capsys, "predict", TINY, PHOTO, PHOTO, *options)[1]
    given = (str(tmp_path), PHOTO, str(tmp_path / "none.jpg"), PHOTO)
    code, out, err = run(capsys, "predict", TINY, *given, *options)
    lines = [line for line in err.splitlines() if not line.startswith("INFO:")]
    assert code == 1
    assert len(lines) == 2
    assert "is a folder" in lines[0]
    assert "There is no file" in lines[1]
    if options:
        rows = json.loads(out)
        assert [row["photo"] for row in rows] == [*given]
        assert [row for row in rows if "classes" in row] == json.loads(wanted)
    else:
        assert out == wanted


def test_truncated_photos(tmp_path, capsys):
    pytest.importorskip("PIL")
    photo = tmp_path / "half.jpg"
    photo.write_bytes(Path(PHOTO).read_bytes()[:3000])
    assert "truncated or corrupt" in failure(capsys, "predict", TINY, str(photo))


def test_without_pillow_the_error_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert "larq-reactnet-runtime[image]" in failure(capsys, "predict", TINY, PHOTO)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "LA", "1", "CMYK", "I;16"])
def test_photos_of_other_modes(tmp_path, mode):
    image = pytest.importorskip("PIL.Image")
    from larq_reactnet_runtime import photos

    pixels = np.add.outer(np.arange(60), np.arange(90)).astype(np.uint8)
    if mode == "I;16":
        picture = image.fromarray(pixels.astype(np.uint16) * 257)
    else:
        picture = image.fromarray(pixels).convert(mode)
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    picture.save(path)
    for shape in ((24, 24, 3), (10, 40, 1), (100, 100, 3)):
        found = photos.prepare(path, shape)
        assert found.shape == shape
        assert found.dtype == np.float32
        assert 0 <= found.min() <= found.max() <= 255


def test_benchmark(capsys):
    arguments = ("benchmark", TINY, "--threads", "1,2", "--isa", "portable", "--runs", "3")
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    assert "6 binary operators, 3 runs" in out
    assert len(out.splitlines()) == 4
    rows = json.loads(run(capsys, *arguments, "--json")[1])
    assert [(row["isa"], row["threads"]) for row in rows] == [("portable", 1), ("portable", 2)]
    assert all(0 < row["wall_ms_min"] <= row["wall_ms_median"] for row in rows)


def test_info(capsys):
    code, out, _ = run(capsys, "info", TINY)
    assert code == 0
    for text in ("17,", "3 LceBconv2d", "7: ant, bee, cat, ...", "123.675", "6 binary operators"):
        assert text in out


@pytest.mark.parametrize(
    ("labels", "text"), [(("a", "b"), "2: a, b\n"), (("a", "b", "c"), "3: a, b, c\n")]
)
def test_info_of_few_labels(monkeypatch, capsys, labels, text):
    monkeypatch.setattr(cli, "metadata_of", lambda *_: Metadata(labels=labels))
    assert text in run(capsys, "info", TINY)[1]


def test_info_of_a_model_that_does_not_run(tmp_path, capsys):
    path = tmp_path / "other.tflite"
    path.write_bytes(Path(TINY).read_bytes().replace(b"LceBconv2d", b"LceBconv2x"))
    code, out, _ = run(capsys, "info", str(path))
    assert code == 0
    assert "not runnable" in out
    assert "LceBconv2x" in out


@pytest.mark.parametrize("command", ["predict", "benchmark", "info"])
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit) as error:
        main([command, "--help"])
    assert error.value.code == 0
    assert f"larq-reactnet-runtime {command} model.tflite" in capsys.readouterr().out


def test_runs_as_a_module():
    command = [PYTHON, "-m", "larq_reactnet_runtime", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == __version__


def test_a_reader_that_goes_away_is_no_error():
    read, write = os.pipe()
    os.close(read)
    command = [PYTHON, "-m", "larq_reactnet_runtime", "info", TINY]
    result = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert "Traceback" not in result.stderr
    assert "Exception" not in result.stderr


def test_labels_cannot_command_the_terminal(tmp_path, capsys):
    pytest.importorskip("PIL")
    content = Path(TINY).read_bytes()
    path = tmp_path / "hostile.tflite"
    path.write_bytes(content.replace(b"bee\n", b"b\x1b[\n"))
    code, out, err = run(capsys, "info", str(path))
    assert "\x1b" not in out + err
    assert code in (0, 1)


def test_classes_without_labels_have_numbers(tmp_path):
    pytest.importorskip("PIL")
    from larq_reactnet_runtime import photos

    content = Path(TINY).read_bytes().replace(b"TFLITE_METADATA", b"TFLITE_METADATX")
    interpreter = Interpreter(content)
    with pytest.raises(ValueError, match="--mean"):
        photos.classify(interpreter, [PHOTO])
    ((best, *others),) = photos.classify(interpreter, [PHOTO], mean=[127.5], std=[127.5])
    assert best[0].startswith("class ")
    assert photos.classify(interpreter, [PHOTO], mean=127.5, std=127.5) == [[best, *others]]


@pytest.mark.parametrize("wrong", ["0", "-1", "two", "1.5"])
@pytest.mark.parametrize("command", [("predict", TINY, PHOTO), ("benchmark", TINY)])
def test_number_of_threads_that_is_wrong(capsys, command, wrong):
    with pytest.raises(SystemExit):
        main([*command, f"--threads={wrong}"])
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.endswith(f"argument --threads: '{wrong}' is not a number above zero")


@pytest.mark.parametrize("example", [x for x in EXAMPLES.splitlines() if x.startswith(" ")])
def test_example_of_the_help(capsys, tmp_path, monkeypatch, example):
    pytest.importorskip("PIL")
    monkeypatch.chdir(tmp_path)
    for name, path in (("model.tflite", TINY), ("other.tflite", TINY), ("photo.jpg", PHOTO)):
        shutil.copy(path, name)
    interpreter = Interpreter(TINY)
    images = np.zeros((2, *interpreter.input_shapes[0][1:]), np.float32)
    proof = proofs.Proof((images,), (interpreter.predict(images),), "itself")
    proofs.path_beside("model.tflite").write_bytes(proofs.write(proof))
    arguments = example.replace("neon,portable", "portable").replace("--runs 50", "--runs 2")
    code, out, _ = run(capsys, *arguments.split()[1:])
    assert (code, bool(out)) == (0, True)
