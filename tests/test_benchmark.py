"""`benchmark`, and the commands that take an engine: with a package in place of the runtime."""

import json

from larq_reactnet.converters import (
    Interpreter,
    Metadata,
    add_metadata,
    benchmark,
    convert,
    predict_image,
)
from larq_reactnet.converters.interpreter import ENGINES
from larq_reactnet_cli import main

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from helpers import binary_model
from PIL import Image

METADATA = Metadata(labels=("cat", "dog", "hen", "emu"), mean=127.5, std=127.5)


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def good():
    tf.keras.utils.set_random_seed(0)
    return convert(binary_model())


@pytest.fixture
def images(rng):
    return rng.normal(size=(2, 8, 8, 3)).astype(np.float32)


def test_benchmark(good, pretend, without):
    pretend()
    found = benchmark(good, num_threads=(1, 2), runs=3, progress=False)
    names = ["LCE", "LCE, XNNPACK", "larq-reactnet-runtime"]
    assert [(timing.engine, timing.threads) for timing in found.timings] == [
        (name, threads) for threads in (1, 2) for name in names
    ]
    for timing in found.timings:
        assert len(timing.seconds) == 3
        assert 0 < timing.minimum_ms <= timing.median_ms
        assert timing.minimum_ms == 1000 * min(timing.seconds)
        assert timing.speedup > 0
    assert 1 in [timing.speedup for timing in found.timings[:2]]
    assert not found.refusals
    assert len(str(found).splitlines()) == 8

    without("lce")
    (timing,) = benchmark(good, runs=2, progress=False).timings
    assert (timing.engine, timing.speedup) == ("larq-reactnet-runtime", None)
    assert str(benchmark(good, runs=1, progress=False)).endswith("-")


def test_benchmark_of_what_an_engine_refuses(good, pretend):
    pretend("raise RuntimeError('no such operator')")
    found = benchmark(good, runs=1, progress=False)
    assert [timing.engine for timing in found.timings] == ["LCE", "LCE, XNNPACK"]
    assert "Not timed: larq-reactnet-runtime refuses the .tflite: no such" in str(found)
    with pytest.raises(ValueError, match=r"refuses the \.tflite: no such operator"):
        benchmark(good, engine="runtime", progress=False)
    for wrong in ({"runs": 0}, {"num_threads": ()}, {"num_threads": (1, 0)}):
        with pytest.raises(ValueError, match="must be at least 1"):
            benchmark(good, **wrong)


def test_clock_is_in_the_process(good, images, pretend):
    """It counts the runs alone, each of which is as long as it is."""
    pretend(answer="time.sleep(0.01); return np.zeros((1, 4))")
    with Interpreter(good, engine="runtime") as interpreter:
        times = interpreter.seconds(images[:1], runs=3)
        assert times.shape == (3,)
        assert (times >= 0.01).all()
        with pytest.raises(ValueError, match="takes float32 inputs of shape"):
            interpreter.seconds(images)


@pytest.mark.slow
def test_commands(good, pretend, tmp_path, rng):
    pretend()
    path, photo = tmp_path / "model.tflite", tmp_path / "photo.png"
    path.write_bytes(add_metadata(good, METADATA))
    Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(photo)
    answers = {}
    for engine in ENGINES:
        result = run("predict", path, photo, "--engine", engine, "--json")
        assert result.exit_code == 0, result.output
        (row,) = json.loads(result.output)
        answers[engine] = [(c["label"], c["probability"]) for c in row["classes"]]
        assert answers[engine] == predict_image(path.read_bytes(), photo, engine=engine)
    assert answers["auto"] == answers["runtime"] != answers["lce"]

    path.write_bytes(good)  # without labels, which are not those of the digits
    digits = ("--dataset", "digits", "--image-size", 8, "--limit", 20)
    for engine in ENGINES:
        assert "of 20 images" in run("evaluate", path, *digits, "--engine", engine).output
    result = run("evaluate", "model.h5", *digits, "--engine", "lce")
    assert (result.exit_code, "--engine is for .tflite files" in result.output) == (2, True)

    result = run("benchmark", path, "--threads", "1,2", "--runs", 2, "--engine", "runtime")
    assert len(result.output.splitlines()) >= 4
    result = run("benchmark", path, "--runs", 2, "--json")
    found = json.loads(result.output[result.output.index("{") :])
    assert [len(timing["seconds"]) for timing in found["timings"]] == [2, 2, 2]
    for arguments, code, message in (
        (("--threads", "1,0"), 2, "'1,0' is not a number above zero"),
        (("--runs", 0), 2, "not in the range"),
        (("--engine", "gpu"), 2, "'gpu' is not one of 'auto', 'lce', 'runtime'"),
    ):
        result = run("benchmark", path, *arguments)
        assert result.exit_code == code
        assert message in result.output
    assert "There is no file" in run("benchmark", tmp_path / "none.tflite").output
    assert "not a TensorFlow Lite model" in run("benchmark", photo).output
