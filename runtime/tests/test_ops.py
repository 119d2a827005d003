"""Every operator of the library against LCE's own interpreter, on the same files."""

import dataclasses
import itertools
import random

from larq_reactnet.converters import Interpreter, convert

import numpy as np
import pytest
import tensorflow as tf
from models import (
    Bconv,
    Graph,
    Same,
    bconv_options,
    one_op,
    output_size,
    packed,
    random_network,
    tensor,
    unpacked,
    words,
)
from stock import ISAS, Runtime

pytestmark = pytest.mark.filterwarnings("ignore:(?s).*tf.lite.Interpreter is deprecated")


@pytest.fixture(scope="module")
def lce():
    """LCE's interpreters, which keep their process from file to file."""
    opened = {}

    def load(flatbuffer, kernel):
        if kernel in opened:
            opened[kernel].load(flatbuffer)
        else:
            opened[kernel] = Interpreter(flatbuffer, kernel=kernel)
        return opened[kernel]

    yield load
    for interpreter in opened.values():
        interpreter.close()


def setups(seed=None):
    """Instruction sets and numbers of threads: all, or all of the first and some of the second."""
    if seed is None:
        return [*itertools.product(ISAS, (1, 3))]
    return [(isa, 1 + 2 * ((seed + i) % 2)) for i, isa in enumerate(ISAS)]


def reference_kernel(op):
    """The kernel of LCE that computes this, rightly; there may be none."""
    if not op.pads_zeros or op.channels % 2 == 0:
        return "reference"
    span = [(w - 1) * d + 1 for w, d in zip(op.window, op.dilations, strict=True)]
    large = all(size >= s for size, s in zip(op.image, span, strict=True))
    return "indirect" if large and op.output == "float32" and op.activation is None else None


def assert_close(found, expected, exact):
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    if exact:
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def grid():
    """Convolutions with all values of all options, in random company."""
    shuffled = random.Random(0)
    channels = [1, 2, 3, 31, 32, 33, 63, 64, 65, 96, 127, 128, 160, 256, 257, 320, 511, 512]
    filters = [1, 2, 5, 7, 8, 9, 16, 17, 31, 32, 33, 40, 64, 65, 100]
    windows = [(1, 1), (3, 3), (3, 3), (2, 2), (5, 5), (1, 3), (3, 1), (7, 7), (4, 2)]
    images = [(1, 1), (2, 3), (5, 6), (7, 7), (9, 4), (12, 13), (3, 20)]
    cases = []
    for i in range(360):
        op = Bconv(
            image=shuffled.choice(images),
            channels=channels[i % len(channels)],
            filters=shuffled.choice(filters),
            window=shuffled.choice(windows),
            strides=shuffled.choice([(1, 1), (1, 1), (2, 2), (1, 2), (3, 1)]),
            dilations=shuffled.choice([(1, 1), (1, 1), (1, 1), (2, 2), (1, 3), (3, 2)]),
            padding=shuffled.choice(["same", "same", "valid"]),
            pad_values=shuffled.choice([0, 1]),
            activation=shuffled.choice([None, None, "relu", "relu_n1_to_1", "relu6"]),
            output=shuffled.choice(["float32", "float32", "int8", "int32"]),
            is_plain=shuffled.random() < 0.5,
            batch=shuffled.choice([1, 1, 3]),
            zero_point=shuffled.choice([0, 3, -128, 20]),
            scale=shuffled.choice([0.25, 0.1, 1.0]),
        )
        fits = all(size > 0 for size in op.output_shape)
        # An odd number of channels, padded with zeros: no kernel of LCE does this.
        if fits and (reference_kernel(op) is not None):
            cases.append(op)
    for groups, channels_of_group, filters_of_group in [
        (2, 32, 3),
        (3, 64, 17),
        (4, 32, 40),
        (2, 96, 32),
    ]:
        for output, padding, pad_values, window in itertools.product(
            ["float32", "int8", "int32"], ["same", "valid"], [0, 1], [(3, 3), (1, 1)]
        ):
            cases.append(
                Bconv(
                    channels=groups * channels_of_group,
                    filters=groups * filters_of_group,
                    groups=groups,
                    window=window,
                    output=output,
                    padding=padding,
                    pad_values=pad_values,
                    is_plain=channels_of_group == 64,
                )
            )
    return cases


@pytest.mark.parametrize("number", range(12))
def test_bconv2d(lce, number):
    for index, op in enumerate(grid()):
        if index % 12 != number:
            continue
        rng = np.random.default_rng(index)
        flatbuffer, inputs = op.flatbuffer(rng), op.inputs(rng)
        (expected,) = lce(flatbuffer, reference_kernel(op)).run(inputs)
        for isa, threads in setups(index):
            (found,) = Runtime(flatbuffer, isa=isa, num_threads=threads).run(inputs)
            # The indirect kernel corrects its outputs for padding after they were rounded.
            exact = reference_kernel(op) == "reference"
            try:
                assert_close(found, expected, exact)
            except AssertionError as error:
                raise AssertionError(f"{op} with {isa}, {threads} threads: {error}") from error


def check_all(lce, flatbuffer, inputs, kernel="reference"):
    """All instruction sets and numbers of threads give what LCE does."""
    (expected,) = lce(flatbuffer, kernel).run(inputs)
    for isa, threads in setups():
        (found,) = Runtime(flatbuffer, isa=isa, num_threads=threads).run(inputs)
        assert_close(found, expected, exact=True)
    return expected


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("words_of_pixel", [1, 7, 43])
def test_all_bits_equal_or_unequal(lce, words_of_pixel, sign):
    """The largest counts: more of the longest patches would not fit into 16 bits."""
    op = Bconv(
        image=(8, 9), channels=32 * words_of_pixel, filters=70, window=(7, 7), padding="valid"
    )
    check_all(lce, op.flatbuffer(Same(sign)), op.inputs(Same(-1)))


SHAPES = [
    (1, 1),
    (3, 2),
    (1, 5, 6, 31),
    (2, 3, 4, 32),
    (3, 33),
    (1, 7, 65),
    (2, 2, 2, 2, 70),
    (1, 40, 40, 100),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_quantize(lce, shape, rng):
    target = tensor((*shape[:-1], words(shape[-1])), "int32")
    values = rng.normal(size=shape).astype(np.float32)
    # No denormal numbers: where LCE is loaded the processor takes them for zeros.
    odd = np.float32([0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 2e-38, -2e-38])
    values = np.where(rng.random(shape) < 0.3, rng.choice(odd, shape), values)
    found = check_all(lce, one_op("LceQuantize", tensor(shape), target), values)
    np.testing.assert_array_equal(found, packed(np.where(values < 0, -1, 1)))
    for zero_point in (0, 5, -128, -129, 127, 128):
        source = tensor(shape, "int8", scale=0.1, zero_point=zero_point)
        values = rng.integers(-128, 128, shape).astype(np.int8)
        check_all(lce, one_op("LceQuantize", source, target), values)


@pytest.mark.parametrize("shape", SHAPES)
def test_dequantize(lce, shape, rng):
    source = tensor((*shape[:-1], words(shape[-1])), "int32")
    values = packed(rng.choice([-1, 1], shape))
    found = check_all(lce, one_op("LceDequantize", source, tensor(shape)), values)
    np.testing.assert_array_equal(found, unpacked(values, shape[-1]))
    for scale, zero_point in [
        (1.0, 0),
        (0.3, 5),
        (2 / 3, -100),
        (0.001, 10),
        (7.0, -128),
        (1e-6, 0),
    ]:
        target = tensor(shape, "int8", scale=scale, zero_point=zero_point)
        check_all(lce, one_op("LceDequantize", source, target), values)


POOLS = [
    ((1, 8, 8, 32), (2, 2), (2, 2)),
    ((3, 7, 5, 65), (3, 3), (2, 2)),
    ((1, 3, 9, 33), (3, 2), (1, 3)),
    ((2, 5, 5, 1), (5, 5), (1, 1)),
    ((1, 4, 4, 40), (1, 1), (3, 2)),
    ((1, 2, 3, 40), (4, 5), (2, 2)),
]


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("shape", "window", "strides"), POOLS)
def test_bmaxpool2d(lce, shape, window, strides, padding, rng):
    sizes = [
        output_size(*axis, 1, padding) for axis in zip(shape[1:3], window, strides, strict=True)
    ]
    if min(sizes) < 1:
        return
    options = {"padding": ["same", "valid"].index(padding)}
    for name, value in zip(("filter_height", "filter_width"), window, strict=True):
        options[name] = value
    for name, value in zip(("stride_height", "stride_width"), strides, strict=True):
        options[name] = value
    source = tensor((*shape[:3], words(shape[3])), "int32")
    target = tensor((shape[0], *sizes, words(shape[3])), "int32")
    values = packed(np.where(rng.random(shape) < 0.8, -1, 1))
    check_all(lce, one_op("LceBMaxPool2d", source, target, options), values)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def chain(rng, ops, builtin_between=False, extra_outputs=False):
    """Quantize, binary convolutions that follow each other, and the last result as floats."""
    graph = Graph()
    first = ops[0]
    source = graph.tensor((first.batch, *first.image, first.channels))
    current = graph.tensor((first.batch, *first.image, words(first.channels)), "int32")
    graph.operator("LceQuantize", [source], [current])
    outputs = []
    for op in ops:
        current = op.add_to(graph, current, rng)
        if op.output == "float32" and op is not ops[-1]:
            shape = op.output_shape
            if builtin_between:
                current, before = graph.tensor(shape), current
                graph.operator("NEG", [before], [current])
            if extra_outputs:
                outputs.append(current)
            current, before = graph.tensor((*shape[:3], words(shape[3])), "int32"), current
            graph.operator("LceQuantize", [before], [current])
    return graph.flatbuffer([source], [*outputs, current])


CHAIN = [
    Bconv(image=(8, 8), channels=40, filters=70, output="int32"),
    Bconv(image=(8, 8), channels=70, filters=33, strides=(2, 2), output="float32"),
    Bconv(image=(4, 4), channels=33, filters=64, output="float32"),
    Bconv(image=(4, 4), channels=64, filters=9, padding="valid", output="float32"),
]


@pytest.mark.parametrize("builtin_between", [False, True])
@pytest.mark.parametrize("extra_outputs", [False, True])
def test_chains(lce, builtin_between, extra_outputs, rng):
    """Tensors inside a partition, several partitions, and tensors that are inside and outside."""
    flatbuffer = chain(rng, CHAIN, builtin_between, extra_outputs)
    images = rng.normal(size=(1, 8, 8, 40)).astype(np.float32)
    expected = lce(flatbuffer, "reference").run(images)
    assert len(expected) == (3 if extra_outputs else 1)
    for isa, threads in setups():
        runtime = Runtime(flatbuffer, isa=isa, num_threads=threads)
        for _ in range(2):
            found = runtime.run(images)
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pad_values", [0, 1])
def test_resize(lce, pad_values, rng):
    """Other batches, and other images: as if the file had their shape."""
    ops = [dataclasses.replace(op, pad_values=pad_values) for op in CHAIN[1:3]]
    runtime = Runtime(chain(np.random.default_rng(1), ops), num_threads=2)
    for batch, image in [(1, (8, 8)), (3, (8, 8)), (2, (5, 3)), (4, (1, 1)), (1, (8, 8))]:
        shape = (batch, *image, ops[0].channels)
        images = rng.normal(size=shape).astype(np.float32)
        found = runtime.run(images)[0]
        small = tuple(-(-size // 2) for size in image)
        resized = [
            dataclasses.replace(ops[0], batch=batch, image=image),
            dataclasses.replace(ops[1], batch=batch, image=small),
        ]
        flatbuffer = chain(np.random.default_rng(1), resized)
        try:
            (expected,) = lce(flatbuffer, "reference").run(images)
        except ValueError:  # an odd number of channels, padded with zeros
            (expected,) = Runtime(flatbuffer, isa="portable").run(images)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def convolved(op, inputs, values):
    """The sums of products, with TensorFlow's convolution of signs and zeros."""
    signs = unpacked(inputs, op.channels).astype(np.float32)
    filters = unpacked(values["filter"], op.channels // op.groups).astype(np.float32)
    pads = []
    for size, window, stride, dilation, out in zip(
        op.image, op.window, op.strides, op.dilations, op.output_shape[1:3], strict=True
    ):
        total = max((out - 1) * stride + (window - 1) * dilation + 1 - size, 0)
        pads.append((total // 2, total - total // 2) if op.padding == "same" else (0, 0))
    padded = np.pad(signs, [(0, 0), *pads, (0, 0)], constant_values=op.pad_values)
    result = tf.nn.conv2d(
        padded, np.moveaxis(filters, 0, -1), op.strides, "VALID", dilations=op.dilations
    )
    return result.numpy()


def test_odd_channels_padded_with_zeros(rng):
    """LCE computes these in one of its kernels, but not on small images."""
    for channels, image, activation, output in itertools.product(
        [1, 3, 33, 63], [(1, 1), (2, 3), (6, 5)], [None, "relu", "relu6"], ["float32", "int8"]
    ):
        op = Bconv(
            image=image, channels=channels, filters=9, pad_values=0, dilations=(1, 2), batch=2,
            is_plain=True, activation=activation, output=output, scale=1.0, zero_point=0,
        )  # fmt: skip
        flatbuffer = op.flatbuffer(np.random.default_rng(3))
        values = op.values(np.random.default_rng(3))
        inputs = op.inputs(rng)
        expected = convolved(op, inputs, values)
        if activation:
            expected = np.clip(expected, 0, 6 if activation == "relu6" else None)
        if output == "int8":
            expected = np.clip(expected, -128, 127)
        for isa, threads in setups(channels):
            (found,) = Runtime(flatbuffer, isa=isa, num_threads=threads).run(inputs)
            np.testing.assert_array_equal(found, expected.astype(output))


def test_long_patches():
    """Sums that fit in no 16 bits, of bits that are all unequal."""
    op = Bconv(image=(1, 5), channels=70_001, filters=3, window=(1, 1), is_plain=True)
    graph = Graph()
    source = graph.tensor((1, *op.image, words(op.channels)), "int32")
    target = graph.tensor(op.output_shape)
    constants = [
        graph.constant(packed(np.ones((op.filters, *op.window, op.channels)))),
        graph.constant(np.ones(op.filters, np.float32)),
        graph.constant(np.zeros(op.filters, np.float32)),
        -1,
    ]
    graph.operator("LceBconv2d", [source, *constants], [target], bconv_options(op.channels))
    inputs = packed(-np.ones((1, *op.image, op.channels)))
    for isa in ISAS:
        (found,) = Runtime(graph.flatbuffer([source], [target]), isa=isa).run(inputs)
        np.testing.assert_array_equal(found, np.full(op.output_shape, -op.channels, np.float32))


@pytest.mark.parametrize("name", ["binarynet"])
def test_zoo(lce, name, rng):
    """A whole model, with random weights, as LCE converts it. Others are in test_fusion.py."""
    model = random_network(name, rng)
    flatbuffer = convert(model)
    images = rng.normal(size=(1, *model.input_shape[1:])).astype(np.float32)
    (expected,) = lce(flatbuffer, "reference").run(images)
    for isa, threads in setups(0):
        (found,) = Runtime(flatbuffer, isa=isa, num_threads=threads).run(images)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
