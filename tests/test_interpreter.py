"""LCE's interpreter in its own process: the same outputs, and no file that takes this one down."""

import gc
import inspect
import os
import signal
import time

from larq_reactnet.converters import Interpreter, compress, convert
from larq_reactnet.converters import inspect as look_into
from larq_reactnet.converters._engine import worker
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.match import binary_ops
from larq_reactnet.converters.inspection_page import html
from larq_reactnet.converters.interpreter import engines

import numpy as np
import pytest
import tensorflow as tf
from faulty_models import binary_conv, model_of, noise, randomized
from tflite_edits import corrupted, edited

layers = tf.keras.layers


@pytest.fixture(scope="module", autouse=True)
def _processes():
    """Each interpreter has a process of its own here, as it has by default."""


@pytest.fixture(scope="module")
def model():
    stages = (
        layers.Conv2D(4, 3, name="stem"),
        binary_conv(5, name="first", padding="same", pad_values=1.0),
        layers.BatchNormalization(),
        binary_conv(4, name="second"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(3, name="head"),
    )
    return randomized(model_of(*stages), np.random.default_rng(0))


@pytest.fixture(scope="module")
def good(model):
    """A small file of LCE."""
    return convert(model)


@pytest.fixture
def images(model, rng):
    return noise(model, rng, 3)


def many_channels(model):
    """Inputs of which a convolution has a fraction of a filter for each."""
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].shape = np.array([1, 8, 8, 2052], np.int32)


def over_a_constant(model):
    """A binary convolution that writes into the weights of another layer."""
    first, _, third, *_ = model.subgraphs[0].operators
    third.outputs = np.array([first.inputs[1]], np.int32)


def open_files():
    gc.collect()
    return sorted(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        ("default", {}),
        ("reference", {"use_reference_bconv": True}),
        ("indirect", {"use_indirect_bgemm": True}),
    ],
)
@pytest.mark.parametrize("xnnpack", [False, True])
def test_outputs_are_those_of_lce(good, images, kernel, options, xnnpack):
    import larq_compute_engine as lce

    there = lce.testing.Interpreter(good, use_xnnpack=xnnpack, **options)
    with Interpreter(good, kernel=kernel, xnnpack=xnnpack, num_threads=2) as here:
        assert here.input_shapes == there.input_shapes == [(1, 8, 8, 4)]
        for name in ("input_types", "output_shapes", "output_types"):
            assert getattr(here, name) == getattr(there, name)
        for image in images:
            (found,) = here.run(image[None])
            np.testing.assert_array_equal(found, there.predict(image[None]))
            assert found.dtype == np.float32


def test_names_order_and_defaults_are_those_of_lce_and_of_the_runtime(good):
    """Of what all have: others are given by name."""
    import larq_compute_engine as lce

    runtime = pytest.importorskip("larq_reactnet_runtime")
    theirs = inspect.signature(lce.testing.Interpreter).parameters
    threads = [*theirs.values()][1]
    for interpreter in (Interpreter, runtime.Interpreter):
        model, second, *others = inspect.signature(interpreter).parameters.values()
        assert model.name == "model"
        assert (second.name, second.default) == (threads.name, threads.default)
        assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in others)
        _, x, *others = inspect.signature(interpreter.predict).parameters.values()
        assert x.name == [*inspect.signature(lce.testing.Interpreter.predict).parameters][1]
        assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in others)
    names = ("input_shapes", "input_types", "output_shapes", "output_types")
    there, beside = lce.testing.Interpreter(good, 2), runtime.Interpreter(good, 2)
    with Interpreter(good, 2) as here:
        for interpreter in (there, beside):
            for name in names:
                assert getattr(interpreter, name) == getattr(here, name)


def test_several_inputs_and_types():
    inputs = [layers.Input((3,)), layers.Input((2, 2), dtype="int32")]
    total = tf.cast(tf.reduce_sum(inputs[1], axis=-1), tf.float32)
    flatbuffer = tf.lite.TFLiteConverter.from_keras_model(
        tf.keras.Model(inputs, [tf.reduce_sum(inputs[0], axis=-1), total])
    ).convert()
    values = {np.float32: np.ones((1, 3), np.float32), np.int32: np.ones((1, 2, 2), np.int32)}
    with Interpreter(flatbuffer) as interpreter:
        given = [values[dtype] for dtype in interpreter.input_types]
        found = interpreter.run(*given)
        assert sorted(output.sum() for output in found) == [3, 4]
        assert interpreter.output_shapes == [output.shape for output in found]
        assert interpreter.output_types == [output.dtype for output in found]
        for wrong in (given[::-1], given[:1], [*given, given[0]]):
            with pytest.raises(ValueError, match=r"takes 2 inputs|inputs of shape|must be"):
                interpreter.run(*wrong)


def test_inputs_that_do_not_fit(good, images):
    with Interpreter(good) as interpreter:
        for wrong in (images[:2], images[0], images[:1, :4]):
            with pytest.raises(ValueError, match=r"takes float32 inputs of shape \(1, 8, 8, 4\)"):
                interpreter.run(wrong)
        with pytest.raises(ValueError, match=r"float32 of shape \(1, 8, 8, 4\), got float64: use"):
            interpreter.run(images[:1].astype(np.float64))
        interpreter.run(images[:1])


def test_bad_arguments(good):
    before = open_files()
    with pytest.raises(ValueError, match=r"`kernel` must be one of .*got 'fast'"):
        Interpreter(good, kernel="fast")
    for content in (b"", b"nothing", good[:200]):
        with pytest.raises(ValueError, match="TensorFlow Lite model"):
            Interpreter(content)
    assert open_files() == before


def test_without_lce(good, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "larq_compute_engine", None)
    with pytest.raises(ImportError):
        Interpreter(good)


def test_nothing_is_left_behind(good, images):
    before = open_files()
    with Interpreter(good) as interpreter:
        interpreter.run(images[:1])
        child = interpreter._process.pid
    with pytest.raises(ProcessLookupError):  # neither alive nor a zombie
        os.kill(child, 0)
    assert open_files() == before
    interpreter.close()
    with pytest.raises(ValueError, match="has no model"):
        interpreter.run(images[:1])


def test_a_process_that_is_killed(good, images):
    before = open_files()
    with Interpreter(good) as interpreter:
        (expected,) = interpreter.run(images[:1])
        child = interpreter._process.pid
        os.kill(child, signal.SIGKILL)
        with pytest.raises(ValueError, match=r"stopped with code -9: this [.]tflite is corrupt"):
            interpreter.run(images[:1])
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
        with pytest.raises(ValueError, match="has no model"):
            interpreter.run(images[:1])
        interpreter.load(good)
        np.testing.assert_array_equal(interpreter.run(images[:1])[0], expected)
    assert open_files() == before


@pytest.mark.parametrize("change", [many_channels, over_a_constant])
def test_files_that_crash_it(good, images, change):
    bad = edited(good, change)
    before = open_files()
    with Interpreter(good) as interpreter:
        (expected,) = interpreter.run(images[:1])
        with pytest.raises(ValueError, match="stopped with code -"):  # noqa: PT012
            interpreter.load(bad)
            interpreter.run(*(np.ones(shape, np.float32) for shape in interpreter.input_shapes))
        interpreter.load(good)
        np.testing.assert_array_equal(interpreter.run(images[:1])[0], expected)
    assert open_files() == before


def test_a_file_that_is_refused(good, images):
    """The process survives, and has no model until it gets a good one."""

    def change(model):
        graph = model.subgraphs[0]
        graph.tensors[graph.inputs[0]].shape = np.array([1, 8, 8, 5], np.int32)

    with Interpreter(good) as interpreter:
        child = interpreter._process.pid
        with pytest.raises(ValueError, match="LCE's interpreter refuses"):
            interpreter.load(edited(good, change))
        with pytest.raises(ValueError, match="has no model"):
            interpreter.run(images[:1])
        interpreter.load(good)
        interpreter.run(images[:1])
        assert interpreter._process.pid == child


WORKERS = {
    "never starts": ("", "gave no answer for 0.5 seconds"),
    "answers half": ("sys.stdout.buffer.write(b'M' + bytes(2)); sys.stdout.flush()", "gave no"),
    "promises too much": (
        "sys.stdout.buffer.write(b'P' + bytes([1, 0, 0, 0]) + bytes(7) + b'@'); sys.stdout.flush()",
        "stopped with code",
    ),
    "is no array": (
        "sys.stdout.buffer.write(b'P' + bytes([1, 0, 0, 0, 4]) + bytes(7) + b'nope');"
        "sys.stdout.flush()",
        "stopped with code",
    ),
}


@pytest.mark.parametrize("name", WORKERS)
def test_a_process_that_does_not_answer(good, images, name, tmp_path, monkeypatch):
    code, message = WORKERS[name]
    script = tmp_path / "worker.py"
    script.write_text(f"import sys, time\n{code}\ntime.sleep(60)\n")
    before, began = open_files(), time.monotonic()
    with Interpreter(good, limit=30) as interpreter:
        child = interpreter._process.pid
        os.kill(child, signal.SIGKILL)
        with pytest.raises(ValueError, match="stopped"):
            interpreter.run(images[:1])
        with monkeypatch.context() as patch:
            patch.setattr(worker, "__file__", str(script))
            patch.setattr(interpreter, "_limit", 0.5)
            with pytest.raises(ValueError, match=message):
                interpreter.load(good)
        interpreter.load(good)
        interpreter.run(images[:1])
    assert open_files() == before
    assert time.monotonic() - began < 30


def test_arrays_that_cannot_be_sent(tmp_path):
    """Nothing of the message is written, so that another can follow."""
    with (tmp_path / "pipe").open("w+b") as stream:
        with pytest.raises(ValueError, match="pickle"):
            worker.send(stream, b"P", [np.zeros(3), np.array([object()])])
        worker.send(stream, b"E", [np.arange(3)])
        stream.seek(0)
        kind, (values,) = worker.receive(stream)
        assert kind == b"E"
        np.testing.assert_array_equal(values, np.arange(3))
        with pytest.raises(EOFError):
            worker.receive(stream)


@pytest.mark.timeout(120)
def test_corrupt_files(good):
    """500 of them: each gives outputs of the shape that its graph says, or a ValueError."""
    answers = errors = 0
    with Interpreter(good, limit=10) as interpreter:
        for seed in range(500):
            try:
                interpreter.load(corrupted(good, seed))
                sizes = [size if np.prod(size) < 2**20 else () for size in interpreter.input_shapes]
                inputs = [
                    np.ones(size, dtype)
                    for size, dtype in zip(sizes, interpreter.input_types, strict=True)
                ]
                outputs = interpreter.run(*inputs)
            except ValueError as error:
                errors += len(str(error)) > 20
            else:
                assert outputs
                assert all(isinstance(output, np.ndarray) for output in outputs)
                assert (outputs[0].shape == (1, 3)) or seed % 5
                answers += 1
    assert answers + errors == 500
    assert min(answers, errors) > 50


def test_corrupt_files_in_what_reads_them(good):
    """What edits and compares files gives a ValueError too; some without the interpreter."""
    errors = 0
    for seed in range(500):
        content = corrupted(good, seed)
        try:
            compress(content)
            binary_ops(tflite.read(content))
        except ValueError as error:
            errors += len(str(error)) > 20
    assert errors > 50


def renamed(operator, name):
    """A function that makes a custom operator of one, as old files of Larq have them."""

    def change(model):
        for code in model.operatorCodes:
            known = vars(tflite.schema().BuiltinOperator)
            if operator in (code.customCode, known.get(operator) == code.builtinCode and operator):
                code.customCode = name.encode()
                code.builtinCode = code.deprecatedBuiltinCode = known["CUSTOM"]

    return change


@pytest.mark.parametrize("engine", ["lce", "runtime"])
@pytest.mark.parametrize(
    ("operator", "name"),
    [(b"LceQuantize", "Bsign"), ("MEAN", "Sign"), (b"LceBconv2d", "LceBconv9")],
)
def test_operator_that_an_engine_lacks_is_named(good, engine, operator, name):
    if engine == "runtime":
        pytest.importorskip("larq_reactnet_runtime")
    with pytest.raises(ValueError, match=name) as caught:
        Interpreter(edited(good, renamed(operator, name)), engine=engine)
    assert "kTfLiteOk" not in str(caught.value)
    if engine == "lce":
        assert str(caught.value).endswith(
            f"refuses the .tflite: it cannot run the operator {name}."
        )


def test_outputs_without_a_shape_are_not_what_is_wrong(good):
    """The converter did not know what an operator of its user gives."""
    pytest.importorskip("larq_reactnet_runtime")

    def change(model):
        renamed("FULLY_CONNECTED", "Sign")(model)
        graph = model.subgraphs[0]
        graph.tensors[graph.outputs[0]].shape = np.zeros(0, np.int32)

    with pytest.raises(ValueError, match="the operator Sign, which is neither"):
        Interpreter(edited(good, change), engine="runtime")


def test_version_that_lce_lacks_is_named(good):
    def change(model):
        for code in model.operatorCodes:
            if code.builtinCode == tflite.schema().BuiltinOperator.FULLY_CONNECTED:
                code.version = 99

    with pytest.raises(ValueError, match="cannot run the operator FULLY_CONNECTED, version 99"):
        Interpreter(edited(good, change))


def test_graph_without_operators(good):
    """It gives its input as it is."""

    def change(model):
        graph = model.subgraphs[0]
        model.operatorCodes, graph.operators, graph.outputs = [], [], graph.inputs

    content = edited(good, change)
    found = look_into(content)
    assert (found.operators, found.counts, found.binary_share) == ((), {}, 0)
    assert "operators" in str(found)
    assert html(found, "empty").endswith("</html>\n")
    x = np.ones((1, 8, 8, 4), np.float32)
    for engine in engines():
        with Interpreter(content, engine=engine) as interpreter:
            np.testing.assert_array_equal(interpreter.run(x)[0], x)
