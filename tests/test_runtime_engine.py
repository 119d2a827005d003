"""larq-reactnet-runtime as an engine beside LCE's interpreter, where it is installed and where not.

Tests of what happens between the two have a package of its name that gives the answers they need,
so they run in any case.
"""

import configparser
import contextlib
import importlib
import os
import re
import signal
from pathlib import Path

from larq_reactnet.converters import (
    ExportError,
    Interpreter,
    convert,
    export,
    predict_tflite,
    verify,
)
from larq_reactnet.converters import interpreter as engines
from larq_reactnet.converters._engine import worker
from larq_reactnet_cli import main

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from helpers import binary_model
from packaging.specifiers import SpecifierSet
from tflite_edits import corrupted, edited

ROOT = Path(__file__).resolve().parents[1]
FAR_OFF = "return np.float32([[9, 0, 0, 0], [0, 0, 9, 0]])[[int(images.sum()) % 2]]"


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module", autouse=True)
def _processes():
    """Each interpreter has a process of its own here, as it has by default."""


@pytest.fixture(scope="module")
def model():
    tf.keras.utils.set_random_seed(0)
    return binary_model("rsign", "react_sign")


@pytest.fixture(scope="module")
def good(model):
    return convert(model)


@pytest.fixture
def images(rng):
    return rng.normal(size=(12, 8, 8, 3)).astype(np.float32)


@pytest.fixture
def runtime():
    """The package itself."""
    reason = f"larq-reactnet-runtime is not installed: pip install {ROOT / 'runtime'}"
    return pytest.importorskip("larq_reactnet_runtime", reason=reason)


# Which engine it is.


@pytest.mark.parametrize(
    ("missing", "found"),
    [
        ((), {"auto": ["runtime", "lce"], "lce": ["lce"], "runtime": ["runtime"]}),
        (("runtime",), {"auto": ["lce"], "lce": ["lce"]}),
        (("lce",), {"auto": ["runtime"], "runtime": ["runtime"]}),
        (("lce", "runtime"), {}),
    ],
)
def test_engines_that_are_installed(pretend, without, missing, found):
    pretend()
    without(*missing)
    for engine in engines.ENGINES:
        if engine in found:
            assert engines.engines(engine) == found[engine]
            continue
        with pytest.raises(ImportError, match=r"pip install \./runtime"):
            engines.engines(engine)
    with pytest.raises(ValueError, match=r"`engine` must be one of .*got 'fastest'"):
        engines.engines("fastest")


def test_what_is_missing_is_said(good, images, without, tmp_path):
    without("runtime")
    with pytest.raises(ImportError, match="'runtime' needs larq-reactnet-runtime: run `pip"):
        predict_tflite(good, images, engine="runtime", progress=False)
    assert predict_tflite(good, images, progress=False).shape == (12, 4)
    without("lce")
    path = tmp_path / "model.tflite"
    path.write_bytes(good)
    for arguments, message in (
        (("benchmark", path), "needs larq-reactnet-runtime, or larq-compute-engine"),
        (("benchmark", path, "--engine", "lce"), "Elsewhere the engine 'runtime' runs the same"),
        (("evaluate", path, "--dataset", "digits", "--image-size", 8), "Running a .tflite needs"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1
        assert message in result.output
        assert "Traceback" not in result.output


def test_auto_is_the_runtime_if_it_runs_the_file(good, images, pretend):
    pretend()
    with Interpreter(good, engine="auto") as interpreter:
        assert interpreter.engine == "runtime"
    expected = images.mean((1, 2)) @ np.eye(3, 4)
    np.testing.assert_allclose(predict_tflite(good, images, progress=False), expected, atol=1e-6)
    here = [predict_tflite(good, images, progress=False, default_kernel=True)]
    here.append(predict_tflite(good, images, engine="lce", progress=False))
    np.testing.assert_allclose(*here, atol=1e-5)
    assert np.abs(here[0] - expected).max() > 0.1
    with pytest.raises(ValueError, match="`default_kernel` is LCE's"):
        predict_tflite(good, images, engine="runtime", default_kernel=True)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("raise RuntimeError('no such operator')", "runtime refuses the .tflite: no such operator"),
        ("raise ImportError('There is no LiteRT')", "runtime refuses the .tflite: There is no"),
        ("os.abort()", "larq-reactnet-runtime stopped with code -6"),
    ],
)
def test_files_that_it_does_not_run(good, model, images, pretend, start, message):
    """LCE runs them instead; if the runtime was asked for, the reason is the error."""
    pretend(start)
    with Interpreter(good, engine="auto") as interpreter:
        assert interpreter.engine == "lce"
        assert interpreter.run(images[:1])[0].shape == (1, 4)
    with pytest.raises(ValueError, match=message):
        Interpreter(good, engine="runtime")
    agreement = verify(model, good, images, task="classify", progress=False)
    assert agreement.same_class == 1
    assert agreement.engines == ("LCE's interpreter",)
    assert message in agreement.refusal


# Its process.


def test_process_that_still_computes_is_ended(good, images, pretend, monkeypatch):
    """Its answer would be taken for that to the next request."""
    pretend()

    def interrupt(stream):
        raise KeyboardInterrupt

    with Interpreter(good, engine="runtime") as interpreter:
        child = interpreter._process.pid
        monkeypatch.setattr(worker, "receive", interrupt)
        with pytest.raises(KeyboardInterrupt):
            interpreter.run(images[:1])
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
        with pytest.raises(ValueError, match="has no model"):
            interpreter.run(images[:1])


def test_process_that_does_not_answer(good, images, pretend):
    pretend(answer="time.sleep(60)")
    with Interpreter(good, engine="runtime", limit=5) as interpreter:
        interpreter._limit = 0.5
        with pytest.raises(ValueError, match=r"runtime gave no answer for 0\.5 seconds"):
            interpreter.run(images[:1])


# The runtime itself.


def test_outputs_are_those_of_lce(runtime, model, good, images):
    here, there = (
        predict_tflite(good, images, engine=engine, progress=False) for engine in ("runtime", "lce")
    )
    np.testing.assert_allclose(here, there, rtol=1e-5, atol=1e-5)
    agreement = verify(model, good, images, task="classify", progress=False)
    assert agreement.engines == ("LCE's interpreter", "larq-reactnet-runtime")
    assert agreement.second.same_class == 1
    assert agreement.second.images == 12
    assert agreement.second.max_distance == pytest.approx(np.abs(here - there).max(), abs=1e-6)
    assert not agreement.refusal


def test_several_outputs(runtime, good, images):
    def change(file):
        graph = file.subgraphs[0]
        graph.outputs, file.signatureDefs = np.repeat(graph.outputs, 2), None

    twice, expected = edited(good, change), predict_tflite(good, images, progress=False)
    for engine in ("auto", "lce"):
        with Interpreter(twice, num_threads=2, engine=engine) as interpreter:
            assert interpreter.engine == ("runtime" if engine == "auto" else "lce")
            outputs = interpreter.predict(images)
        assert isinstance(outputs, list)
        for output in outputs:
            np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.timeout(120)
def test_corrupt_files(runtime, good):
    """They give outputs or a ValueError, and never take this process down."""
    with Interpreter(good, engine="runtime", limit=30) as interpreter:
        for seed in range(60):
            with contextlib.suppress(ValueError):
                interpreter.load(corrupted(good, seed))
                if interpreter.input_shapes == [(1, 8, 8, 3)]:
                    interpreter.run(np.ones((1, 8, 8, 3), np.float32))
        interpreter.load(good)
        os.kill(interpreter._process.pid, signal.SIGKILL)
        with pytest.raises(ValueError, match="runtime stopped with code -9"):
            interpreter.run(np.ones((1, 8, 8, 3), np.float32))


# Export.


@pytest.mark.slow
def test_report_names_the_engines(model, good, images, pretend, tmp_path, monkeypatch):
    monkeypatch.setattr(
        importlib.import_module("larq_reactnet.converters.exporting"),
        "convert",
        lambda *_, **__: good,
    )
    path = tmp_path / "model.tflite"
    arguments = {"verify_with": images, "task": "classify", "progress": False}
    pretend(answer=FAR_OFF)
    message = r"same class in larq-reactnet-runtime as in LCE's interpreter on only .* of 12 given"
    with pytest.raises(ExportError, match=message):
        export(model, path, **arguments)
    assert not path.exists()
    report = str(export(model, path, min_agreement=0, **arguments))
    assert re.search("run in +LCE's interpreter, larq-reactnet-runtime\n", report)
    assert re.search(r"second engine +same class as the first on [\d.]+%, logits \d", report)

    pretend(start="raise ValueError('no such operator')")
    report = str(export(model, path, **arguments))
    assert re.search("run in +LCE's interpreter\n", report)
    assert re.search("proved equal +in LCE's interpreter: [\\d,]+ signs", report)
    assert re.search("not run in +larq-reactnet-runtime refuses .*: no such operator\n", report)


@pytest.mark.parametrize("answer", ["return np.full((1, 4), np.nan)", "return np.zeros((1, 3))"])
def test_outputs_that_are_wrong_in_any_case(model, good, images, pretend, answer):
    pretend(answer=answer)
    with pytest.raises(ValueError, match=r"in larq-reactnet-runtime"):
        verify(model, good, images, task="classify", progress=False)


def test_verify_without_the_runtime(model, good, images, without):
    without("runtime")
    agreement = verify(model, good, images, task="classify", progress=False)
    assert agreement.engines == ("LCE's interpreter",)
    assert agreement.second is None
    assert not agreement.refusal


def test_verify_without_lce(model, good, images, pretend, without):
    pretend()
    without("lce")
    agreement = verify(model, good, images, task="classify", progress=False)
    assert agreement.engines == ("larq-reactnet-runtime",)
    assert agreement.same_class < 1


def test_extra_takes_the_runtime_of_this_checkout():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    (extra,) = config["options.extras_require"]["runtime"].split("\n")[1:]
    name, versions = extra.split(" ", 1)
    assert name == "larq-reactnet-runtime"
    text = (ROOT / "runtime" / "python" / "larq_reactnet_runtime" / "__init__.py").read_text()
    assert re.search(r'__version__ = "(.+)"', text)[1] in SpecifierSet(versions)
