"""The plots and figures of the documentation, against NumPy and counted by hand."""

import re
from xml.etree import ElementTree

import larq_reactnet as lr

import _blocks
import _figures
import _plots
import numpy as np
import pytest
from doc_pages import PAGES
from helpers import some

# Binary convolutions in each panel of the figures, counted by hand.
BINARY = {
    "reactnet_a": [2, 3],
    "folding": [3, 2],
    "reactnet_bc": [1, 1],
    "reactnet_resnet": [1, 1],
    "bnn_plus": [1, 1, 2, 2],
    "binarynet": [0, 1, 1],
    "birealnet": [1, 1],
    "meliusnet": [2, 0],
    "larq_zoo": [1, 1, 1],
    "real": [0, 0, 0, 0],
}


# Plots.


def swish_sign_slope(x, beta):
    return beta * (2 - beta * x * np.tanh(beta * x / 2)) / (1 + np.cosh(beta * x))


def test_every_quantizer_is_plotted():
    functions = {name for name in lr.quantizers.__all__ if name.islower()}
    assert functions <= _plots.PLOTS.keys()
    for name in _plots.PLOTS:
        assert re.search(rf"\(\.\./plots/{name}\.svg\)", "\n".join(PAGES.values())), name


def test_plot_of_swish_sign():
    for curve, beta in zip(_plots.curves("swish_sign"), (5, 10), strict=True):
        np.testing.assert_array_equal(curve.forward, np.where(curve.x < 0, -1, 1))
        np.testing.assert_allclose(curve.gradient, swish_sign_slope(curve.x, beta), atol=1e-5)
        assert curve.gradient.max() == pytest.approx(beta, rel=1e-3)
        assert curve.gradient.min() == pytest.approx(-0.0738 * beta, rel=1e-2)


def test_plot_of_rsign():
    approx, swish, ste = _plots.curves("rsign")
    x = approx.x - 0.5
    for curve in (approx, swish, ste):
        np.testing.assert_array_equal(curve.forward, np.where(x < 0, -1, 1))
    triangle = np.maximum(0, 2 - 2 * np.abs(x))
    np.testing.assert_allclose(approx.gradient, triangle, atol=1e-6)
    np.testing.assert_allclose(swish.gradient, swish_sign_slope(x, 5), atol=1e-5)
    np.testing.assert_array_equal(ste.gradient, np.abs(x) <= 1)


def test_plot_of_kernel_quantizers():
    (react,) = _plots.curves("react_sign")
    scale = (np.abs(react.x) + 0.8 + 0.5 + 0.2) / 4
    np.testing.assert_allclose(react.forward, scale * np.sign(react.x), rtol=1e-5)
    np.testing.assert_array_equal(react.gradient, np.abs(react.x) <= 1)
    for curve, (alpha, beta) in zip(
        _plots.curves("bnn_plus_sign"), ((0.5, 5), (0.5, 10), (1, 5)), strict=True
    ):
        np.testing.assert_allclose(curve.forward, alpha * np.sign(curve.x))
        slope = alpha * swish_sign_slope(curve.x, beta)
        np.testing.assert_allclose(curve.gradient, slope, atol=1e-5)


def test_plots_of_larq_and_rprelu():
    ste, approx = _plots.curves("larq")
    np.testing.assert_array_equal(ste.gradient, np.abs(ste.x) <= 1)
    assert approx.gradient.max() == pytest.approx(2, rel=1e-2)
    start, gamma, zeta, slope = _plots.curves("rprelu")
    x = start.x
    np.testing.assert_allclose(start.forward, np.where(x > 0, x, x / 4), rtol=1e-5)
    shifted = np.where(x > 0.5, x - 0.5, (x - 0.5) / 4)
    np.testing.assert_allclose(gamma.forward, shifted, atol=1e-6)
    np.testing.assert_allclose(zeta.forward, start.forward + 0.5, rtol=1e-5)
    np.testing.assert_array_equal(slope.gradient, np.where(x > 0, 1, -0.5))


@pytest.mark.parametrize("name", _plots.PLOTS)
def test_pictures_are_the_same_at_every_build(name):
    picture = _plots.draw(name)
    assert picture == _plots.draw(name)
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    assert b"<dc:date>" not in picture


# Figures.


@pytest.mark.slow
@pytest.mark.parametrize("name", some(_figures.FIGURES, "folding"))
def test_figure(name):
    found = []
    for panel in _figures.FIGURES[name]:
        block = panel.block()
        kinds = list(block.kinds.values())
        found.append(kinds.count(_blocks.BINARY))
        assert kinds.count(_blocks.SIGN) == kinds.count(_blocks.BINARY)
        layout = _figures.arrange(block)
        places = {box: (layout.columns[box], layout.rows[box]) for box in block.lines}
        assert len(set(places.values())) == len(places)
        assert set(layout.ways) == set(block.edges)
        for (source, target), column in layout.ways.items():
            assert layout.rows[source] < layout.rows[target]
            between = range(layout.rows[source] + 1, layout.rows[target])
            assert not {(column, row) for row in between} & set(places.values())
    assert found == BINARY[name]


@pytest.mark.slow
def test_block_of_reactnet():
    block = _figures.FIGURES["reactnet_a"][1].block()
    labels = {name: lines[0] for name, lines in block.lines.items()}
    assert labels["block2_3x3"] == "QuantConv2D 3x3 / 2"
    assert block.lines["block2_3x3"][1] == "weights: ReActSign"
    assert labels["block2_3x3/input"] == "RSign"
    assert labels["block2_pool"] == "AvgPool 2x2 / 2"
    assert (_blocks.START, "block2_3x3/input") in block.edges
    assert ("block2_1x1_shift", "block2_1x1_b/input") in block.edges
    assert ("block2_3x3_rprelu", "block2_1x1_b_add") in block.edges
    model = _blocks.small_model("reactnet_a")
    with pytest.raises(ValueError, match="can be reached without stem_bn_"):
        _blocks.block_of(model, "stem_bn_", "block1_3x3_add")


def test_figure_as_svg():
    picture = _figures.draw("binarynet")
    assert picture == _figures.draw("binarynet")
    assert ElementTree.fromstring(picture).tag.endswith("svg")
