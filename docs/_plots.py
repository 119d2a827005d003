"""Plots of quantizers and RPReLU, computed by calling them, and curves of trainings."""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import larq_reactnet as lr
from larq_reactnet.callbacks import figure_of

import larq as lq
import matplotlib
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

__all__ = ["PLOTS", "STABLE", "Curve", "curves", "draw", "draw_history", "svg"]

POINTS = 1200  # an even number, so that no point is on a step
_STYLES = ("-", "--", ":", "-.")

# What makes an SVG the same at every build, and the same in every browser.
STABLE = {"svg.hashsalt": "larq-reactnet", "svg.fonttype": "path", "font.size": 9}


@dataclass(frozen=True)
class Curve:
    """A function of one number, as its graph."""

    label: str
    x: np.ndarray
    forward: np.ndarray
    gradient: np.ndarray


def _of_inputs(function: Callable[[tf.Tensor], tf.Tensor], x: np.ndarray) -> tuple[Any, Any]:
    """Output and gradient of a function of activations, the same for each of them."""
    inputs = tf.constant(x[:, None], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = function(inputs)
    gradient = tape.gradient(outputs, inputs)
    return outputs[:, 0], gradient[:, 0]


def _of_a_weight(function: Callable[[tf.Tensor], tf.Tensor], x: np.ndarray) -> tuple[Any, Any]:
    """Output and gradient at one weight of a filter, whose other weights stay as they are.

    There is a filter for each point of `x`, because filters are the last axis of a kernel.
    """
    others = np.repeat([[0.8], [-0.5], [0.2]], len(x), axis=1)
    kernel = tf.constant(np.concatenate([x[None], others]), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        output = function(kernel)[0]
    return output, tape.gradient(output, kernel)[0]


def _rsign(surrogate: str, threshold: float) -> Any:
    return lr.quantizers.RSign(surrogate, tf.keras.initializers.Constant(threshold))


def _rprelu(gamma: float, slope: float, zeta: float) -> tf.keras.layers.Layer:
    layer = lr.layers.RPReLU(tf.keras.initializers.Constant(slope))
    layer.build((None, 1))
    layer.gamma.assign([gamma])
    layer.zeta.assign([zeta])
    return layer


def _bnn_plus_sign(alpha: float, beta: float) -> Callable[[tf.Tensor], tf.Tensor]:
    def call(kernel: tf.Tensor) -> tf.Tensor:
        quantizer = lr.quantizers.BNNPlusSign(beta)
        quantizer(tf.Variable(kernel))  # which creates alpha
        quantizer.alpha.assign(tf.fill(quantizer.alpha.shape, alpha))
        return quantizer(kernel)

    return call


@dataclass(frozen=True)
class _Plot:
    """A picture: its functions by label, made when they are needed.

    Attributes:
        variable: Name of the horizontal axis.
        limit: The horizontal axis goes from minus this to this.
        evaluate: `_of_inputs` or `_of_a_weight`.
        functions: What makes each function.
    """

    variable: str
    limit: float
    evaluate: Callable[..., tuple[Any, Any]]
    functions: dict[str, Callable[[], Any]]


PLOTS = {
    "swish_sign": _Plot(
        "x",
        2.0,
        _of_inputs,
        {
            "beta 5": lambda: lr.quantizers.SwishSign(5.0),
            "beta 10": lambda: lr.quantizers.SwishSign(10.0),
        },
    ),
    "rsign": _Plot(
        "x",
        2.0,
        _of_inputs,
        {
            "approx_sign": lambda: _rsign("approx_sign", 0.5),
            "swish_sign": lambda: _rsign("swish_sign", 0.5),
            "ste_sign": lambda: _rsign("ste_sign", 0.5),
        },
    ),
    "react_sign": _Plot("one weight w", 2.0, _of_a_weight, {"": lr.quantizers.ReActSign}),
    "bnn_plus_sign": _Plot(
        "one weight w",
        2.0,
        _of_a_weight,
        {
            "alpha 0.5, beta 5": lambda: _bnn_plus_sign(0.5, 5.0),
            "alpha 0.5, beta 10": lambda: _bnn_plus_sign(0.5, 10.0),
            "alpha 1, beta 5": lambda: _bnn_plus_sign(1.0, 5.0),
        },
    ),
    "larq": _Plot(
        "x",
        2.0,
        _of_inputs,
        {
            "ste_sign": lambda: lq.quantizers.SteSign(),
            "approx_sign": lambda: lq.quantizers.ApproxSign(),
        },
    ),
    "rprelu": _Plot(
        "x",
        2.0,
        _of_inputs,
        {
            "at the start": lambda: lr.layers.RPReLU(),
            "gamma 0.5": lambda: _rprelu(0.5, 0.25, 0.0),
            "zeta 0.5": lambda: _rprelu(0.0, 0.25, 0.5),
            "slope -0.5": lambda: _rprelu(0.0, -0.5, 0.0),
        },
    ),
}


def curves(name: str) -> list[Curve]:
    """What is drawn in the plot called `name`."""
    plot = PLOTS[name]
    x = np.linspace(-plot.limit, plot.limit, POINTS)
    found = []
    for label, make in plot.functions.items():
        forward, gradient = plot.evaluate(make(), x)
        found.append(Curve(label, x, np.asarray(forward), np.asarray(gradient)))
    return found


def draw(name: str) -> bytes:
    """The plot called `name` as SVG: on the left the forward pass, on the right the gradient."""
    with matplotlib.rc_context(STABLE):
        figure = Figure(figsize=(7.2, 2.7), layout="constrained")
        left, right = figure.subplots(1, 2)
        for curve, style in zip(curves(name), _STYLES, strict=False):
            left.plot(curve.x, curve.forward, style, label=curve.label)
            right.plot(curve.x, curve.gradient, style, label=curve.label)
        for axes, title in ((left, "forward"), (right, "gradient")):
            axes.set(title=title, xlabel=PLOTS[name].variable)
            axes.axhline(0, color="0.6", linewidth=0.6, zorder=0)
            axes.axvline(0, color="0.6", linewidth=0.6, zorder=0)
            axes.spines[["top", "right"]].set_visible(False)
        if left.get_legend_handles_labels()[1]:
            left.legend(loc="best", fontsize=8)
        return svg(figure)


def draw_history(path: Path) -> bytes:
    """The curves of a training, from its `history.csv`, as SVG."""
    with matplotlib.rc_context(STABLE), path.open(newline="") as file:
        return svg(figure_of(list(csv.DictReader(file))))


def svg(figure: Figure) -> bytes:
    """The same bytes for the same figure, at any time."""
    with matplotlib.rc_context(STABLE), io.BytesIO() as file:
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        return file.getvalue()
