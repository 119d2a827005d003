"""Float operators joined to convolutions: the same numbers as without, where the interpreter's own
operators compute them, and only where they are of the right form."""

import itertools

from larq_reactnet.converters import Interpreter, convert
from larq_reactnet.converters._tflite.file import schema

import numpy as np
import pytest
from models import Bconv, Graph, random_network, words
from stock import ISAS, Runtime, delegate

pytestmark = pytest.mark.filterwarnings("ignore:(?s).*tf.lite.Interpreter is deprecated")

SETUPS = [*itertools.product(ISAS, (1, 3))]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def add(graph, a, b, shape, activation=0):
    options = schema().AddOptionsT()
    options.fusedActivationFunction = activation
    target = graph.tensor(shape)
    graph.operator("ADD", [a, b], [target], options)
    return target


class Block:
    """A graph of a convolution and what follows it, which grows from the convolution on."""

    def __init__(self, op, seed=0, extra=0):
        self.rng = np.random.default_rng(seed)
        self.op, self.shape = op, op.output_shape
        self.graph = Graph()
        self.images = self.graph.tensor((op.batch, *op.image, op.channels))
        self.inputs = [self.images]
        self.inputs += [self.graph.tensor(self.shape) for _ in range(extra)]
        bits = self.graph.tensor((op.batch, *op.image, words(op.channels)), "int32")
        self.graph.operator("LceQuantize", [self.images], [bits])
        self.value = op.add_to(self.graph, bits, self.rng)

    def constant(self, rank=4):
        values = self.rng.normal(size=(1,) * (rank - 1) + self.shape[-1:]) / 4
        return self.graph.constant(np.float32(values))

    def add(self, other, activation=0, swapped=False):
        pair = (other, self.value) if swapped else (self.value, other)
        self.value = add(self.graph, *pair, self.shape, activation)

    def prelu(self, rank=3):
        self.value, before = self.graph.tensor(self.shape), self.value
        self.graph.operator("PRELU", [before, self.constant(rank)], [self.value])

    def quantize(self):
        target = self.graph.tensor((*self.shape[:3], words(self.shape[3])), "int32")
        self.graph.operator("LceQuantize", [self.value], [target])
        return target

    def convolve(self, bits, filters=9):
        batch, *image, channels = self.shape
        op = Bconv(image=tuple(image), channels=channels, filters=filters, batch=batch)
        return op.add_to(self.graph, bits, self.rng)

    def build(self, *outputs):
        return self.graph.flatbuffer(self.inputs, [*outputs])

    def values(self, batch=None):
        for index in self.inputs:
            shape = tuple(self.graph.tensors[index].shape)
            yield self.rng.normal(size=(batch or shape[0], *shape[1:])).astype(np.float32)


def names(flatbuffer, **options):
    """The operators that the interpreter knows, with those that were replaced."""
    details = Runtime(flatbuffer, **options)._interpreter._get_ops_details()
    return [op["op_name"] for op in details]


def check(flatbuffer, inputs, setups=SETUPS):
    """Joined or not, the outputs are the same to the bit."""
    inputs = [*inputs]
    expected = Runtime(flatbuffer, fuse=0).run(*inputs)
    for isa, threads in setups:
        runtime = Runtime(flatbuffer, isa=isa, num_threads=threads)
        for _ in range(2):
            for one, other in zip(runtime.run(*inputs), expected, strict=True):
                np.testing.assert_array_equal(one, other)
    return expected


def residual(op, seed=0):
    """A block of folded ReActNet-A: its last tensor is read twice."""
    block = Block(op, seed, extra=1)
    block.add(block.inputs[1], swapped=bool(seed % 2))
    block.prelu()
    return block


OPS = [
    Bconv(image=(7, 6), channels=64, filters=32),
    Bconv(image=(5, 5), channels=33, filters=1, batch=3),
    Bconv(image=(9, 4), channels=96, filters=31, strides=(2, 2), activation="relu"),
    Bconv(image=(5, 3), channels=64, filters=33, pad_values=0, batch=3),
    Bconv(image=(14, 14), channels=256, filters=64, window=(1, 1)),
    Bconv(image=(6, 6), channels=128, filters=40, padding="valid"),
    Bconv(image=(4, 5), channels=64, filters=34, groups=2),
    Bconv(image=(4, 5), channels=256, filters=100, groups=4),
]


@pytest.mark.parametrize("number", range(len(OPS)))
@pytest.mark.parametrize("kind", ["floats", "signs", "both", "next"])
def test_block(number, kind):
    block = residual(OPS[number], number)
    if kind == "floats":
        flatbuffer = block.build(block.value)
    elif kind == "signs":
        flatbuffer = block.build(block.quantize())
    elif kind == "both":
        flatbuffer = block.build(block.quantize(), block.value)
    else:
        shortcut, bits = block.value, block.quantize()
        block.value = block.convolve(bits, block.shape[3])
        block.add(shortcut)
        block.prelu()
        flatbuffer = block.build(block.value, shortcut)
    check(flatbuffer, block.values())


REACTNET = [
    Bconv(image=(7, 6), channels=64, filters=32, pad_values=0),
    Bconv(image=(5, 5), channels=288, filters=64, pad_values=0),
    Bconv(image=(6, 5), channels=40, filters=96, pad_values=1),
    Bconv(image=(9, 7), channels=512, filters=128, strides=(2, 2), pad_values=0),
    Bconv(image=(4, 5), channels=96, filters=192, groups=3, pad_values=0),
]


@pytest.mark.parametrize("number", range(len(REACTNET)))
def test_reactnet(number):
    """The chain that has an epilogue of its own, in blocks that are full and in others."""
    block = residual(REACTNET[number], number)
    block.add(block.constant())
    check(block.build(block.value, block.quantize()), block.values())


@pytest.mark.parametrize("seed", range(40))
def test_random_chains(seed):
    """Any sequence of operators: those that there are slots for are joined."""
    block = Block(OPS[seed % len(OPS)], seed, extra=4)
    others, outputs = block.inputs[1:], []
    for _ in range(block.rng.integers(0, 8)):
        kind = block.rng.integers(6)
        if kind == 0 and others:
            block.add(others.pop(), swapped=bool(seed % 2))
        elif kind == 1:
            block.prelu(rank=block.rng.integers(1, 4))
        elif kind == 2:
            block.add(block.constant(block.rng.integers(1, 5)), swapped=bool(seed % 3))
        elif kind == 3 and block.rng.random() < 0.5:
            outputs.append(block.value)
        elif kind == 4 and block.rng.random() < 0.3:
            block.add(block.value)
        elif kind == 5 and block.rng.random() < 0.3:
            outputs.append(block.quantize())
    outputs.append(block.quantize() if seed % 2 else block.value)
    flatbuffer = block.build(*dict.fromkeys(outputs))
    check(flatbuffer, block.values(), SETUPS[seed % len(SETUPS) :: 3])


def test_what_is_joined():
    """A chain is one node, whatever it has; without joining, the binary operators of it are two."""
    block = residual(OPS[0])
    block.add(block.constant())
    flatbuffer = block.build(block.quantize(), block.value)
    # The first LceQuantize, and the chain behind it.
    assert names(flatbuffer).count("DELEGATE") == 2
    block = residual(OPS[0])
    block.add(block.constant(), activation=1)
    later = block.quantize()
    flatbuffer = block.build(later, block.value)
    # Of this chain an ADD is missing, which XNNPACK runs, and so is the LceQuantize behind it.
    assert names(flatbuffer).count("DELEGATE") == 4


def test_other_forms():
    """Activations, broadcasts and constants of the whole shape are left alone, and are right."""
    for change in range(6):
        block = Block(OPS[0], change, extra=1)
        if change == 0:
            block.add(block.inputs[1], activation=1)
        elif change == 1:  # a number for each pixel
            block.add(block.graph.constant(np.float32(block.rng.normal(size=(1, 7, 6, 1)))))
        elif change == 2:  # a scalar
            block.add(block.graph.constant(np.float32([0.25])))
        elif change == 3:  # of the whole shape
            block.add(block.graph.constant(np.float32(block.rng.normal(size=block.shape))))
        elif change == 4:
            block.add(block.value)
        else:
            alpha = block.graph.constant(np.float32(block.rng.normal(size=(7, 6, 32))))
            block.value, before = block.graph.tensor(block.shape), block.value
            block.graph.operator("PRELU", [before, alpha], [block.value])
        block.prelu()
        check(block.build(block.quantize(), block.value), block.values(), SETUPS[:2])


def test_summands_that_come_later():
    """What is added is computed behind the convolution, by the interpreter or in a partition."""
    for is_ours, is_first in itertools.product([False, True], [False, True]):
        block = Block(OPS[0], extra=1)
        later = block.graph.tensor(block.shape)
        if is_ours:
            bits = block.graph.tensor((1, 7, 6, 1), "int32")
            block.graph.operator("LceQuantize", [block.inputs[1]], [bits])
            block.graph.operator("LceDequantize", [bits], [later])
        else:
            block.graph.operator("NEG", [block.inputs[1]], [later])
        if is_first:  # the convolution's input is an input of the model, nothing is before it
            graph = block.graph
            source = graph.tensor((1, 7, 6, 2), "int32")
            graph.operators = graph.operators[1:]
            graph.operators[0].inputs[0] = source
            block.inputs[0] = source
        block.add(later)
        block.prelu()
        flatbuffer = block.build(block.quantize(), block.value, later)
        values = [*block.values()]
        if is_first:
            values[0] = block.rng.integers(-(2**31), 2**31, (1, 7, 6, 2)).astype(np.int32)
        check(flatbuffer, values, SETUPS[:4])


def concatenate(block, tensors, axis=3, activation=0):
    options = schema().ConcatenationOptionsT()
    options.axis, options.fusedActivationFunction = axis, activation
    target = block.graph.tensor(block.shape)
    block.graph.operator("CONCATENATION", tensors, [target], options)
    return target


def source(block, axis, parts):
    """An input of the model; `parts` of it side by side have the shape of the block."""
    shape = list(block.shape)
    shape[axis] //= parts
    block.inputs.append(block.graph.tensor(tuple(shape)))
    return block.inputs[-1]


@pytest.mark.parametrize("filters", [64, 128, 192])
@pytest.mark.parametrize("is_before", [False, True])
def test_channels_that_are_added_twice(filters, is_before):
    """ReActNet-A's shortcut where the channels double: all of it is one node."""
    block = Block(Bconv(image=(6, 5), channels=64, filters=filters, window=(1, 1)))
    doubled = concatenate(block, [source(block, 3, 2)] * 2, axis=-1 if is_before else 3)
    if is_before:  # of the convolution, which need not be the first node of its chain
        operators = block.graph.operators
        operators.insert(1, operators.pop())
    block.add(doubled)
    block.prelu()
    block.add(block.constant())
    flatbuffer = block.build(block.quantize(), block.value)
    # The first LceQuantize, and the chain; XNNPACK would be a third.
    assert names(flatbuffer).count("DELEGATE") == 2
    check(flatbuffer, block.values())
    joined, plain = (Runtime(flatbuffer, num_threads=2, fuse=fuse) for fuse in (1, 0))
    for batch in (3, 1):
        inputs = [*block.values(batch)]
        for one, other in zip(joined.run(*inputs), plain.run(*inputs), strict=True):
            np.testing.assert_array_equal(one, other)


def test_other_concatenations():
    """Those are left to the interpreter, and the rest of the chain is right."""
    op = Bconv(image=(6, 4), channels=64, filters=64)
    narrow = Bconv(image=(6, 4), channels=64, filters=32)
    grouped = Bconv(image=(6, 4), channels=64, filters=128, groups=2)
    for change in range(10):
        block = Block({6: narrow, 7: grouped}.get(change, op), change)
        half = source(block, 2 if change == 1 else 3, 4 if change == 2 else 2)
        outputs = []
        if change == 0:
            doubled = concatenate(block, [half, source(block, 3, 2)])
        elif change == 1:
            doubled = concatenate(block, [half] * 2, axis=2)
        elif change == 2:
            doubled = concatenate(block, [half] * 4)
        elif change == 3:
            doubled = concatenate(block, [half] * 2, activation=1)
        else:
            doubled = concatenate(block, [half] * 2)
        if change == 9:  # before LceQuantize, which is in no chain
            block.graph.operators.insert(0, block.graph.operators.pop())
        if change == 4:
            outputs.append(doubled)
        block.add(doubled)
        if change == 5:
            block.add(doubled)
        block.prelu()
        if change == 8:
            block.add(concatenate(block, [half] * 2))
        flatbuffer = block.build(*outputs, block.quantize(), block.value)
        check(flatbuffer, block.values(), SETUPS[:4])
        # The first LceQuantize, the concatenation, and the chain; in two of them there is more.
        assert names(flatbuffer).count("DELEGATE") == {5: 5, 8: 2}.get(change, 3)


def test_outputs_between():
    """A tensor inside a chain that is an output of the model is written nevertheless."""
    block = Block(OPS[0], extra=1)
    outputs = [block.value]
    block.add(block.inputs[1])
    outputs.append(block.value)
    block.prelu()
    outputs.append(block.value)
    for chosen in itertools.product([False, True], repeat=3):
        picked = [output for output, is_picked in zip(outputs, chosen, strict=True) if is_picked]
        block.graph.operators = block.graph.operators[:4]
        block.value = outputs[2]
        bits = block.quantize()
        check(block.build(*picked, bits), block.values(), SETUPS[:2])


def test_resize():
    """Other batches than that of the file."""
    for op in (OPS[0], OPS[3], OPS[6]):
        block = residual(op)
        shortcut, bits = block.value, block.quantize()
        block.value = block.convolve(bits, block.shape[3])
        block.add(shortcut)
        flatbuffer = block.build(block.value, shortcut)
        joined, plain = (Runtime(flatbuffer, num_threads=2, fuse=fuse) for fuse in (1, 0))
        for batch in (1, 3, 2, 1):
            inputs = [*block.values(batch)]
            for one, other in zip(joined.run(*inputs), plain.run(*inputs), strict=True):
                np.testing.assert_array_equal(one, other)


def test_option():
    for value in ("", "2", "yes"):
        with pytest.raises(ValueError, match="fuse must be 0 or 1"):
            delegate(fuse=value)


@pytest.mark.parametrize("name", ["reactnet_a", "reactnet_18"])
def test_zoo(name, rng):
    """Whole models, with random weights: to the bit as without joining, and close to LCE."""
    model = random_network(name, rng)
    flatbuffer = convert(model)
    with Interpreter(flatbuffer, kernel="reference") as lce:
        for batch in (1, 3):
            images = rng.normal(size=(batch, *model.input_shape[1:])).astype(np.float32)
            (expected,) = Runtime(flatbuffer, fuse=0).run(images)
            for isa, threads in SETUPS:
                (found,) = Runtime(flatbuffer, isa=isa, num_threads=threads).run(images)
                np.testing.assert_array_equal(found, expected)
            if batch == 1:
                (reference,) = lce.run(images)
                np.testing.assert_allclose(found, reference, rtol=1e-4, atol=1e-4)
