"""The first layer on the bytes of a picture, in whole numbers where its weights allow that."""

import shutil

from larq_reactnet._shared.metadata import Metadata
from larq_reactnet.converters._c import writer
from larq_reactnet.converters._c.compiled import compiled
from larq_reactnet.converters._c.graph import Constant, Graph, Node, Tensor

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="There is no C compiler.")


@pytest.fixture(autouse=True)
def without_optimization(monkeypatch):
    """Compilers take half of the time then; what is computed is the same."""
    monkeypatch.setenv("CC", "cc -O0")


RNG = np.random.default_rng(7)
METADATA = Metadata(mean=(125.3, 123.0, 113.9), std=(63.0, 62.1, 66.7))
IMAGE = RNG.integers(0, 256, (7, 6, 3)).astype(np.uint8)
SCALES = RNG.uniform(0.01, 2, 5).astype(np.float32)[:, None, None, None]
BIAS = RNG.normal(size=5).astype(np.float32)
WHOLE = {
    "binary": RNG.choice([-1, 1], (5, 3, 3, 3)),
    "ternary, and a filter of zeros": RNG.integers(-1, 2, (5, 3, 3, 3)) * [[[[0]]], *[[[[1]]]] * 4],
    "of 4 bits": np.where(RNG.random((5, 3, 3, 3)) < 0.2, 1, RNG.integers(-7, 8, (5, 3, 3, 3))),
}


def graph_of(weights):
    """A convolution with strides and padding, as TensorFlow Lite stores it."""
    given, output = Tensor(0, (7, 6, 3)), Tensor(1, (4, 6, 5))
    options = {"strideH": 2, "strideW": 1, "padding": 0, "fusedActivationFunction": 1}
    inputs = (given, Constant(weights.astype(np.float32)), Constant(BIAS))
    return Graph(given, "FLOAT32", output, (Node("CONV_2D", "conv", inputs, output, options),))


def expected(weights):
    """The same in float64."""
    image = np.pad((IMAGE - np.array(METADATA.mean)) / METADATA.std, ((1, 1), (1, 1), (0, 0)))
    rows = [
        [np.tensordot(weights, image[2 * y : 2 * y + 3, x : x + 3], 3) for x in range(6)]
        for y in range(4)
    ]
    return np.maximum(np.array(rows) + BIAS, 0)


def run(network):
    image = IMAGE if network.input_type == "uint8" else (IMAGE.astype(int) - 128).astype(np.int8)
    with compiled(network) as library:
        return library.run(image)


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_numbers(kind):
    """They are as near to float64 as float32 can be, and have an eighth of the bits."""
    weights = WHOLE[kind] * SCALES
    network = writer.network_of(graph_of(weights), "model", "uint8", METADATA)
    assert network.first == "in whole numbers: conv, exact sums of bytes"
    assert not any("table" in name for name in network.constants)
    values = [values for values, _ in network.constants.values() if values.dtype == np.int8]
    assert sum(map(np.size, values)) == weights.size
    np.testing.assert_allclose(run(network), expected(weights), rtol=0, atol=1e-5)


def test_bytes_with_a_sign():
    weights = WHOLE["binary"] * SCALES
    network = writer.network_of(graph_of(weights), "model", "int8", METADATA)
    assert network.first.startswith("in whole numbers")
    np.testing.assert_allclose(run(network), expected(weights), rtol=0, atol=1e-5)


def test_other_weights_stay_float32():
    weights = WHOLE["binary"] * SCALES
    weights[0, 0, 0, 0] *= 1.001
    network = writer.network_of(graph_of(weights), "model", "uint8", METADATA)
    assert network.first == "in float32: filters of conv are no number times whole numbers"
    np.testing.assert_allclose(run(network), expected(weights), rtol=0, atol=1e-5)
    for kind, said in (("float32", ""), ("uint8", "in whole")):
        graph = graph_of(WHOLE["binary"] * SCALES)
        assert writer.network_of(graph, "model", kind, METADATA).first.startswith(said)
    assert not writer.network_of(graph, "model", "float32", METADATA).first
