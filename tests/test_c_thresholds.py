"""Signs out of counts: for every channel and every count there can be, and in groups.

Each network here is one binary convolution of 1x1, whose picture has a pixel for each case: for
each filter and each count, inputs of which so many are unlike the weights of the filter. The C
without integers, which `with_thresholds` would make, is what the C with them must equal.
"""

import shutil

from larq_reactnet.converters._c import writer
from larq_reactnet.converters._c.compiled import compiled
from larq_reactnet.converters._c.graph import Constant, Graph, Node, Tensor
from larq_reactnet.converters._lce import BCONV2D, BMAXPOOL2D, DEQUANTIZE, QUANTIZE

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="There is no C compiler.")


@pytest.fixture(autouse=True)
def without_optimization(monkeypatch):
    """Compilers take half of the time then; what is computed is the same."""
    monkeypatch.setenv("CC", "cc -O0")


CHANNELS, FILTERS = 40, 37
RNG = np.random.default_rng(5)
NEGATIVE = RNG.random((FILTERS, CHANNELS)) < 0.5
SLOPES = RNG.uniform(0.1, 2, FILTERS)
SIGNED = RNG.choice([-1, 1], FILTERS) * RNG.uniform(0.1, 2, FILTERS)
SUMMANDS = RNG.normal(0, 5, FILTERS)


def packed(bits):
    """Bits in words, the first in the lowest bit."""
    bits = np.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, -bits.shape[-1] % 32)])
    return np.packbits(bits, axis=-1, bitorder="little").view("<i4")


def constant(values):
    return Constant(np.asarray(values, np.float32))


def options(**changed):
    names = ("stride_height", "stride_width", "dilation_height_factor", "dilation_width_factor")
    steps = dict.fromkeys(names, 1)
    return {**steps, "padding": 1, "pad_values": 1, "fused_activation_function": 0, **changed}


def every_count():
    """A picture with a row for each count, and a column for each filter whose count it is."""
    signs = np.repeat(np.where(NEGATIVE, -1.0, 1.0)[None], CHANNELS + 1, axis=0)
    for count in range(CHANNELS + 1):
        for column in range(FILTERS):
            signs[count, column, RNG.permutation(CHANNELS)[:count]] *= -1
    counts = (np.where(NEGATIVE, -1, 1)[None, None] != signs[:, :, None]).sum(-1)
    of_itself = counts[:, range(FILTERS), range(FILTERS)].T
    assert (of_itself == np.arange(CHANNELS + 1)).all()
    return signs.astype(np.float32), counts


def graph_of(image, steps, conv, *, gives_bits=False, filters=FILTERS, words=None):
    """Signs of the picture, a binary convolution, nodes, and the signs of what they give."""
    given = Tensor(0, image.shape)
    bits = Tensor(1, image.shape, True)
    words = packed(NEGATIVE)[:, None, None] if words is None else words
    numbers = (constant(conv.pop("multiplier", SIGNED)), constant(conv.pop("bias", SUMMANDS)))
    thresholds = Constant(np.asarray(conv.pop("thresholds", 0), np.int32))
    channels_in = image.shape[-1]
    inputs = (bits, Constant(words), *numbers, thresholds if gives_bits else None)
    height, width = conv.pop("size", image.shape[:2])
    last = Tensor(2, (height, width, filters), gives_bits)
    conv = options(channels_in=channels_in, **conv)
    nodes = [Node(QUANTIZE, "signs", (given,), bits), Node(BCONV2D, "conv", inputs, last, conv)]
    for kind, values, more in steps:
        shape = last.shape
        if kind == "MAX_POOL_2D":
            shape = tuple(-(-n // more["stride"]) for n in shape[:2]) + shape[2:]
            size, stride = more["size"], more["stride"]
            more = {"filterHeight": size, "filterWidth": size, "strideH": stride, "strideW": stride}
            more["padding"] = 0
        output = Tensor(len(nodes) + 1, shape)
        more_inputs = () if values is None else (constant(values),)
        nodes.append(Node(kind, kind.lower(), (last, *more_inputs), output, more))
        last = output
    if not gives_bits:
        signs = Tensor(len(nodes) + 1, last.shape, True)
        nodes.append(Node(QUANTIZE, "signs_after", (last,), signs))
        last = signs
    output = Tensor(len(nodes) + 1, last.shape)
    nodes.append(Node(DEQUANTIZE, "numbers", (last,), output))
    return Graph(given, "FLOAT32", output, tuple(nodes))


def run(network, image):
    with compiled(network) as library:
        return library.run(image)


def run_both(graph, image, monkeypatch):
    """What the C gives, what it gives without integers, and the layers that have them."""
    network = writer.network_of(graph, "model", "float32", None)
    with monkeypatch.context() as patch:
        patch.setattr(writer, "with_thresholds", lambda graph: (graph, ()))
        plain = writer.network_of(graph, "model", "float32", None)
    assert not plain.thresholds
    return run(network, image), run(plain, image), network.thresholds


CHAINS = {
    "batch normalization": [("MUL", SIGNED, {}), ("ADD", SUMMANDS, {})],
    "PReLU": [("ADD", SUMMANDS, {}), ("PRELU", SLOPES, {}), ("SUB", [1.5], {})],
    "ReLU": [("RELU", None, {}), ("MUL", SIGNED, {}), ("ADD", SUMMANDS / 9, {})],
    "activations": [
        ("ADD", SUMMANDS, {"fusedActivationFunction": 3}),
        ("DIV", SIGNED, {}),
        ("MAXIMUM", [-0.25], {}),
        ("ADD", [-1e-3], {}),
    ],
}


@pytest.mark.parametrize("chain", CHAINS)
def test_every_count_of_every_channel(chain, monkeypatch):
    image, _ = every_count()
    graph = graph_of(image, CHAINS[chain], {"fused_activation_function": 3 * (chain == "ReLU")})
    found, plain, layers = run_both(graph, image, monkeypatch)
    assert layers == ("conv",)
    np.testing.assert_array_equal(found, plain)
    assert len(np.unique(plain)) == 2


@pytest.mark.parametrize("size", [2, 3])
def test_every_pool(size, monkeypatch):
    """Its maximum is of the largest count or the least, and the sign after it rises or falls."""
    image, _ = every_count()
    image = image[RNG.permutation(len(image))]
    steps = [("MAX_POOL_2D", None, {"size": size, "stride": 2}), *CHAINS["batch normalization"]]
    found, plain, layers = run_both(graph_of(image, steps, {}), image, monkeypatch)
    assert layers == ("conv",)
    np.testing.assert_array_equal(found, plain)
    assert 0.1 < (plain > 0).mean() < 0.9


@pytest.mark.parametrize("pad_values", [0, 1])
def test_outside_of_the_image(pad_values, monkeypatch):
    """Also of filters whose weights were turned around, because their signs fall with the count."""
    image = RNG.choice([-1.0, 1.0], (6, 5, CHANNELS)).astype(np.float32)
    words = packed(RNG.random((FILTERS, 3, 3, CHANNELS)) < 0.5)
    conv = {"padding": 0, "pad_values": pad_values}
    graph = graph_of(image, CHAINS["batch normalization"], conv, words=words)
    found, plain, layers = run_both(graph, image, monkeypatch)
    assert layers == ("conv",)
    np.testing.assert_array_equal(found, plain)
    odd = graph_of(image[..., 1:], CHAINS["batch normalization"], conv, words=words)
    assert bool(writer.network_of(odd, "model", "float32", None).thresholds) == bool(pad_values)


@pytest.mark.parametrize(
    "steps",
    [
        [("PRELU", -SLOPES, {}), ("SUB", [1.0], {})],  # the sign changes twice
        [("LOGISTIC", None, {}), ("SUB", [0.5], {})],  # libraries compute it in their ways
        [("PRELU", -SLOPES, {}), ("MAX_POOL_2D", None, {"size": 2, "stride": 2})],
    ],
)
def test_what_has_no_threshold_stays(steps):
    graph = graph_of(every_count()[0], steps, {})
    assert writer.network_of(graph, "model", "float32", None).thresholds == ()


def test_weights_that_are_not_finite_are_refused():
    graph = graph_of(every_count()[0], [("MUL", np.nan * SLOPES, {})], {"bias": SUMMANDS * np.inf})
    with pytest.raises(ValueError, match="conv has weights that are NaN or infinite"):
        writer.network_of(graph, "model", "float32", None)


def test_numbers_that_others_use_stay():
    """The numbers of a convolution that are added to something, as in ReActNet."""
    image = np.ones((2, 2, FILTERS), np.float32)
    words = packed(RNG.random((FILTERS, FILTERS)) < 0.5)[:, None, None]
    graph = graph_of(image, [("ADD", SUMMANDS, {})], {}, words=words)
    (*nodes, add, signs, numbers) = graph.nodes
    add = Node("ADD", "add", (add.tensors[0], graph.input), add.output)
    shortcut = Graph(graph.input, "FLOAT32", graph.output, (*nodes, add, signs, numbers))
    assert writer.network_of(shortcut, "model", "float32", None).thresholds == ()


def test_every_threshold_of_a_file():
    """Thresholds as LCE writes them, for every count, also below and above all counts."""
    image, counts = every_count()
    thresholds = np.linspace(-3, CHANNELS + 3, FILTERS).round()
    graph = graph_of(image, [], {"thresholds": thresholds}, gives_bits=True)
    found = run(writer.network_of(graph, "model", "float32", None), image)
    np.testing.assert_array_equal(found < 0, counts > thresholds)


def counted(negative, image, groups, pads_zeros):
    """For each pixel and filter, the number of weights minus the sum of products of 3x3."""
    height, width, channels = image.shape
    around = np.pad(np.where(image < 0, -1, 1), ((1, 1), (1, 1), (0, 0)), constant_values=1)
    if pads_zeros:
        around = np.pad(np.where(image < 0, -1, 1), ((1, 1), (1, 1), (0, 0)))
    weights = np.where(negative, -1, 1)
    each = channels // groups
    found = np.zeros((height, width, len(weights)), int)
    for f, filter_ in enumerate(weights):
        first = f * groups // len(weights) * each
        for y in range(height):
            for x in range(width):
                part = around[y : y + 3, x : x + 3, first : first + each]
                found[y, x, f] = 9 * each - (part * filter_).sum()
    return found


@pytest.mark.parametrize("pads_zeros", [False, True])
@pytest.mark.parametrize("filters", [64, 10])
def test_groups(filters, pads_zeros):
    """Groups whose filters fill a word, and groups whose bits share one."""
    groups, channels = 2, 64
    image = RNG.choice([-1.0, 1.0], (4, 5, channels)).astype(np.float32)
    negative = RNG.random((filters, 3, 3, channels // groups)) < 0.5
    x = counted(negative, image, groups, pads_zeros)
    thresholds = RNG.integers(100, 180, filters)
    conv = {"padding": 0, "pad_values": int(not pads_zeros), "size": (4, 5)}
    more = {"filters": filters, "words": packed(negative)}
    bits = graph_of(image, [], {**conv, "thresholds": thresholds}, gives_bits=True, **more)
    found = run(writer.network_of(bits, "model", "float32", None), image)
    np.testing.assert_array_equal(found < 0, x > 2 * thresholds)
    numbers = graph_of(
        image, [], {**conv, "multiplier": np.ones(filters), "bias": np.full(filters, 3.5)}, **more
    )
    (*nodes, last) = numbers.nodes[:2]
    graph = Graph(numbers.input, "FLOAT32", last.output, (*nodes, last))
    found = run(writer.network_of(graph, "model", "float32", None), image)
    np.testing.assert_array_equal(found, 9 * channels // groups - x + 3.5)


def test_a_pool_of_signs_stays_one():
    """What LCE itself makes a pool of signs."""
    image = RNG.choice([-1.0, 1.0], (4, 4, 3)).astype(np.float32)
    bits, pooled = Tensor(1, (4, 4, 3), True), Tensor(2, (2, 2, 3), True)
    sizes = {"filter_height": 2, "filter_width": 2, "stride_height": 2, "stride_width": 2}
    given, output = Tensor(0, (4, 4, 3)), Tensor(3, (2, 2, 3))
    nodes = (
        Node(QUANTIZE, "", (given,), bits),
        Node(BMAXPOOL2D, "pool", (bits,), pooled, {**sizes, "padding": 1}),
        Node(DEQUANTIZE, "", (pooled,), output),
    )
    graph = Graph(given, "FLOAT32", output, nodes)
    found = run(writer.network_of(graph, "model", "float32", None), image)
    np.testing.assert_array_equal(found, image.reshape(2, 2, 2, 2, 3).max((1, 3)))
