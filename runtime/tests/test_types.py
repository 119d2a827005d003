"""Files of all types of inputs and outputs in all interpreters: ours, the main package's two, and
LCE's, which says what is right."""

import contextlib
import json
from functools import partial

import larq_reactnet as lr
from larq_reactnet.converters._tflite.file import schema

import larq_compute_engine as lce
import numpy as np
import pytest
from click.testing import CliRunner
from models import Bconv, Graph, packed, words

import larq_reactnet_runtime

SCALE, ZERO_POINT = 0.05, 7


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def opened(name, content):
    """One of the interpreters, for a `with` statement."""
    if name == "own":
        return contextlib.nullcontext(larq_reactnet_runtime.Interpreter(content))
    return lr.converters.Interpreter(content, engine=name)


def network(source="int8", output="int32", image=(5, 6), free=False, batch=1, channels=40):
    """A binary convolution behind an input, which is quantized, float or already bits."""
    graph, rng = Graph(), np.random.default_rng(3)
    shape = (-1, -1, -1) if free else (batch, *image)
    op = Bconv(image=(1, 1) if free else image, channels=channels, filters=48, output=output)
    scales = {"scale": SCALE, "zero_point": ZERO_POINT}
    bits = graph.tensor((*shape, words(channels)), "int32")
    if source == "int32":
        first = bits
    elif source == "uint8":  # which LCE itself does not know
        first = graph.tensor((*shape, channels), "uint8", scale=SCALE, zero_point=ZERO_POINT + 128)
        middle = graph.tensor((*shape, channels), "int8", **scales)
        graph.operator("QUANTIZE", [first], [middle])
        graph.operator("LceQuantize", [middle], [bits])
    else:
        first = graph.tensor((*shape, channels), source, **(scales if source == "int8" else {}))
        graph.operator("LceQuantize", [first], [bits])
    target = op.add_to(graph, bits, rng)
    if batch > 1:
        graph.tensors[target].shape[0] = batch
    return graph.flatbuffer([first], [target])


def inputs_for(source, rng, count=3, image=(5, 6), channels=40):
    """Inputs in the type of the file."""
    shape = (count, *image, channels)
    if source == "int32":
        return packed(rng.choice([-1, 1], shape))
    if source == "float32":
        return rng.normal(size=shape).astype(np.float32)
    return rng.integers(0, 256, shape).astype(np.uint8).view(source)


def by_lce(content, inputs):
    return lce.testing.Interpreter(content).predict(inputs)


INTERPRETERS = ("own", "runtime", "lce")
KINDS = [
    (source, output)
    for source in ("int8", "uint8", "int32", "float32")
    for output in ("int32", "int8", "float32")
]


@pytest.mark.parametrize(("source", "output"), KINDS)
def test_arrays_of_the_files_own_types_go_in_and_come_out_as_they_are(rng, source, output):
    content, inputs = network(source, output), inputs_for(source, rng)
    there = lce.testing.Interpreter(content)
    expected = there.predict(inputs)
    for name in INTERPRETERS:
        with opened(name, content) as interpreter:
            assert interpreter.input_types == there.input_types == [np.dtype(source).type]
            assert interpreter.output_types == there.output_types == [np.dtype(output).type]
            found = interpreter.predict(inputs)
            (first,) = interpreter.run(inputs[:1])
        assert found.dtype == output
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(first, expected[:1])


def test_scales_are_those_of_lce():
    for source, output in KINDS:
        content = network(source, output)
        there = lce.testing.Interpreter(content)
        for name in ("own", "lce"):
            with opened(name, content) as interpreter:
                for side in ("input", "output"):
                    for what in ("scales", "zero_points"):
                        ours, theirs = (getattr(x, f"{side}_{what}") for x in (interpreter, there))
                        assert [x or 0 for x in ours] == [x or 0 for x in theirs]


@pytest.mark.parametrize("source", ["int8", "uint8"])
def test_floats_are_quantized_and_outputs_are_dequantized(rng, source):
    content = network(source, "int8")
    zero_point = ZERO_POINT + (128 if source == "uint8" else 0)
    floats = rng.normal(scale=5, size=(3, 5, 6, 40)).astype(np.float32)
    limits = np.iinfo(source)
    integers = np.rint(floats.astype(np.float64) / np.float32(SCALE)) + zero_point
    assert integers.max() > limits.max  # some are out of range
    integers = integers.clip(limits.min, limits.max).astype(source)
    expected = by_lce(content, integers)
    numbers = np.float32(0.25) * (expected.astype(np.float32) - 3)  # as Bconv has them
    for name in INTERPRETERS:
        with opened(name, content) as interpreter:
            for given in (floats, integers, integers.astype(np.float64) * 0 + floats):
                np.testing.assert_array_equal(interpreter.predict(given), expected)
            np.testing.assert_array_equal(interpreter.predict(floats, dequantize=True), numbers)
            (first,) = interpreter.run(floats[:1], dequantize=True)
            np.testing.assert_array_equal(first, numbers[:1])
            assert first.dtype == np.float32


def test_bits_have_no_scale_and_stay_as_they_are(rng):
    content, inputs = network("int32", "int32"), inputs_for("int32", rng)
    for name in INTERPRETERS:
        with opened(name, content) as interpreter:
            found = interpreter.predict(inputs, dequantize=True)
            np.testing.assert_array_equal(found, by_lce(content, inputs))
            with pytest.raises(ValueError, match=r"must be int32 of shape .*got float32: use .ast"):
                interpreter.predict(inputs.astype(np.float32))


def several():
    """An input of bytes, one of bits and one of floats; an output of each of three types."""
    graph, rng = Graph(), np.random.default_rng(0)
    sources = [
        graph.tensor((1, 4, 4, 32), "int8", scale=SCALE, zero_point=ZERO_POINT),
        graph.tensor((1, 5, 6, 2), "int32"),
        graph.tensor((1, 3), "float32"),
    ]
    bits, small = graph.tensor((1, 4, 4, 1), "int32"), graph.tensor((1, 3), "float32")
    graph.operator("LceQuantize", sources[:1], [bits])
    quantized = Bconv(output="int8").add_to(graph, sources[1], rng)
    options = schema().AddOptionsT()
    graph.operator("ADD", [sources[2], sources[2]], [small], options)
    return graph.flatbuffer(sources, [quantized, bits, small])


def test_several_inputs_and_outputs_of_several_types(rng):
    content = several()
    inputs = [
        rng.integers(-128, 128, (3, 4, 4, 32)).astype(np.int8),
        packed(rng.choice([-1, 1], (3, 5, 6, 64))),
        rng.normal(size=(3, 3)).astype(np.float32),
    ]
    expected = by_lce(content, inputs)
    floats = [SCALE * (inputs[0].astype(np.float32) - ZERO_POINT), *inputs[1:]]
    for name in INTERPRETERS:
        with opened(name, content) as interpreter:
            for given in (inputs, floats):
                for one, other in zip(interpreter.predict(given), expected, strict=True):
                    np.testing.assert_array_equal(one, other)
                    assert one.dtype == other.dtype
            first, bits, small = interpreter.predict(floats, dequantize=True)
            assert [first.dtype, bits.dtype, small.dtype] == [np.float32, np.int32, np.float32]


@pytest.mark.parametrize("source", ["int8", "int32", "float32"])
def test_images_of_any_size(rng, source):
    content = network(source, "int8", free=True)
    for name in INTERPRETERS:
        with opened(name, content) as interpreter:
            assert interpreter.input_signatures[0][:3] == (-1, -1, -1)
            for image in ((5, 6), (9, 4), (5, 6)):
                inputs = inputs_for(source, rng, image=image)
                fixed = network(source, "int8", image=image)
                np.testing.assert_array_equal(interpreter.predict(inputs), by_lce(fixed, inputs))
                # A batch in one run.
                found = interpreter.run(inputs)[0]
                np.testing.assert_array_equal(found, by_lce(fixed, inputs))
            with pytest.raises(ValueError, match=r"any, any|-1"):
                interpreter.predict(inputs[..., :1].repeat(3, axis=-1))


@pytest.mark.parametrize("count", [1, 3, 4, 10])
def test_a_batch_of_the_file_is_filled(rng, count):
    content, inputs = network("int8", "int8", batch=4), inputs_for("int8", rng, count)
    expected = by_lce(network("int8", "int8"), inputs)
    for name in INTERPRETERS:
        with opened(name, content) as interpreter:
            np.testing.assert_array_equal(interpreter.predict(inputs), expected)


def test_inputs_without_a_batch(rng):
    graph = Graph()
    sources = [graph.tensor((), "float32"), graph.tensor((2, 3), "float32")]
    target = graph.tensor((2, 3), "float32")
    graph.operator("ADD", sources, [target], schema().AddOptionsT())
    content = graph.flatbuffer(sources, [target])
    values = np.array(2.5, np.float32), rng.normal(size=(2, 3)).astype(np.float32)
    for name in INTERPRETERS:
        with opened(name, content) as interpreter:
            np.testing.assert_array_equal(interpreter.run(*values)[0], values[0] + values[1])
            with pytest.raises(ValueError, match=r"use `Interpreter\.run`"):
                interpreter.predict([*values])


def classifier(kind="float32", free=True):
    """A file whose classes are the colors of a picture: each is as probable as it is bright."""
    graph = Graph()
    scales = {"scale": 1 / 128, "zero_point": 0} if kind != "float32" else {}
    source = graph.tensor((-1, -1, -1, 3) if free else (1, 8, 8, 3), kind, **scales)
    axes = graph.constant(np.array([1, 2], np.int32))
    target = graph.tensor((-1 if free else 1, 3), kind, **scales)
    graph.operator("MEAN", [source, axes], [target], schema().ReducerOptionsT())
    return graph.flatbuffer([source], [target])


@pytest.fixture
def photo(tmp_path):
    """A picture that is mostly green."""
    image = pytest.importorskip("PIL.Image")
    path = tmp_path / "photo.png"
    image.new("RGB", (50, 40), (0, 100, 20)).save(path)
    return path


def own_command(capsys, *arguments):
    from larq_reactnet_runtime.cli import main

    code = main([*map(str, arguments)])
    done = capsys.readouterr()
    return code, done.out + done.err


def main_command(capsys, *arguments):
    from larq_reactnet_cli import main

    done = CliRunner().invoke(main, [*map(str, arguments)])
    return done.exit_code, done.output


COMMANDS = {"own": own_command, "main": main_command}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("kind", "free"), [("float32", True), ("int8", True), ("int8", False)])
def test_commands(capsys, tmp_path, photo, command, kind, free):
    """A picture is normalized, and quantized where that is asked for; and so are the outputs."""
    run = partial(COMMANDS[command], capsys)
    model = tmp_path / "model.tflite"
    model.write_bytes(classifier(kind, free))
    size = ("--size", "6,9") if free else ()
    normal = ("--mean", "0", "--std", "255")
    code, out = run("predict", model, photo, *normal, *size, "--json")
    assert code == 0, out
    classes = json.loads(out[out.index("[") :])[0]["classes"]
    found = {row["label"]: row["probability"] for row in classes}
    assert [*found] == ["class 1", "class 2", "class 0"]
    assert found["class 1"] == pytest.approx(
        100 / 255, abs=0 if kind == "float32" else 0.01, rel=1e-5
    )
    code, out = run("benchmark", model, "--runs", "2", *size)
    assert code == 0, out
    for name, arguments in (("predict", (photo, *normal)), ("benchmark", ("--runs", "1"))):
        code, out = run(name, model, *arguments, *(() if free else ("--size", "6,9")))
        assert code == 1
        assert ("(any, any, 3)" if free else "leave it out") in out
    if command == "own":
        code, out = run("info", model)
        assert code == 0
        assert ("any, any, any, 3" if free else "1, 8, 8, 3") in out
        assert ("stands for 0.0078125 * (it - 0)" in out) == (kind == "int8")
        assert "1 MEAN" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_benchmark_of_several_inputs_of_several_types(capsys, tmp_path, command):
    model = tmp_path / "model.tflite"
    model.write_bytes(several())
    code, out = COMMANDS[command](capsys, "benchmark", model, "--runs", "2")
    assert code == 0, out


def test_a_shape_that_the_graph_does_not_allow(rng):
    """It says so, and the next one runs."""
    graph = Graph()
    source = graph.tensor((-1, -1, -1, 2), "float32")
    other = graph.constant(np.ones((1, 4, 5, 2), np.float32))
    target = graph.tensor((-1, -1, -1, 2), "float32")
    graph.operator("MUL", [source, other], [target], schema().MulOptionsT())
    right, wrong = rng.normal(size=(1, 4, 5, 2)).astype("f4"), np.ones((1, 3, 7, 2), np.float32)
    interpreter = larq_reactnet_runtime.Interpreter(graph.flatbuffer([source], [target]))
    for method in (interpreter.run, interpreter.predict):
        with pytest.raises(
            RuntimeError, match=r"cannot run the \.tflite for inputs of shape \(1, 3"
        ):
            method(wrong)
        np.testing.assert_array_equal(np.asarray(method(right)).reshape(right.shape), right)
