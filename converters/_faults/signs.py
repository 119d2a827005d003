"""Whether quantizers give what LCE can store as bits.

These are inputs that are signs, and kernels with one magnitude in each filter.
"""

from typing import Any, NamedTuple

from larq_reactnet._graph.calls import Quantizer
from larq_reactnet._latent import binary_kernel
from larq_reactnet.converters._faults.trying import try_function
from larq_reactnet.converters._lce import BCONV2D, SAME_MAGNITUDE
from larq_reactnet.profiling import KERNELS
from larq_reactnet.quantizers import BNNPlusSwishSign, RSign, swish_sign

import larq as lq
import numpy as np
import tensorflow as tf

__all__ = ["Verdict", "examine_kernel", "examine_sign", "gives_one", "is_quantized", "is_sign"]


class Verdict(NamedTuple):
    """What is wrong with a quantizer.

    Attributes:
        problem: What would happen.
        cure: What to do about it.
        kind: See `Finding`.
        cured_by: See `Fault`.
    """

    problem: str
    cure: str
    kind: str = "float"
    cured_by: str = ""


_KNOWN_CLASSES = (
    lq.quantizers.ApproxSign,
    lq.quantizers.SteSign,
    lq.quantizers.SwishSign,
    BNNPlusSwishSign,
    RSign,
)
_KNOWN_FUNCTIONS = (
    lq.math.sign,
    lq.quantizers.approx_sign,
    lq.quantizers.ste_sign,
    lq.quantizers.swish_sign,
    swish_sign,
)
_CURE = (
    "use one whose forward pass is `larq.math.sign`: RSign, SwishSign, 'ste_sign', 'approx_sign'"
)

_MAGNITUDES = np.geomspace(1e-37, 3e38, 151, dtype=np.float32)
_POINTS = np.concatenate([[0.0, -0.0], _MAGNITUDES, -_MAGNITUDES, [0.5, 1.0, -0.5, -1.0]])
_TINY = np.array([1e-45, 1e-40, -1e-45, -1e-40])  # subnormal numbers, which are often taken for 0

_probed: dict[Any, tuple[bool, bool] | None] = {}  # the answers of `_made_by_lce`
_MOST = 100  # answers that are kept


def is_quantized(layer: tf.keras.layers.Layer) -> bool:
    """Whether `layer` has a quantizer other than `NoOp`, which does nothing."""
    found = (getattr(layer, name, None) for name in ("input_quantizer", *KERNELS.values()))
    return any(q is not None and not isinstance(q, lq.quantizers.NoOp) for q in found)


def is_sign(layer: tf.keras.layers.Layer) -> bool:
    """Whether `layer` is a quantizer or an activation, so that it may be a sign."""
    return isinstance(layer, lq.quantizers.Quantizer | tf.keras.layers.Activation)


def gives_one(quantizer: Quantizer, value: float, channels: int) -> bool:
    """Whether `quantizer` gives +1 for `value` in all of its `channels`."""
    tensor = tf.fill((1, 1, 1, channels), np.float32(value))
    return bool((np.asarray(quantizer(tensor)) == 1).all())


def examine_sign(quantizer: Quantizer, channels: int) -> Verdict | None:
    """What is wrong with `quantizer` as the input quantizer of tensors with that many channels."""
    if isinstance(quantizer, tf.keras.layers.Activation):
        quantizer = quantizer.activation
    if type(quantizer) in _KNOWN_CLASSES or quantizer in _KNOWN_FUNCTIONS:
        return None
    name = getattr(quantizer, "__name__", type(quantizer).__name__)
    values = _values(quantizer, _POINTS, channels)
    made = _made_by_lce(quantizer, channels)
    becomes_bits, is_equal = (True, True) if made is None else made
    if np.isin(values, (-1, 1)).all():
        if becomes_bits and is_equal:
            return None
        problem = (
            f"LCE does not recognize its input quantizer {name} as a sign, so it stays in float"
        )
        if not getattr(quantizer, "weights", None) and _is_plain_sign(quantizer, values):
            return Verdict(problem, "use 'ste_sign', which gives the same", cured_by="form")
        if becomes_bits:
            problem = f"LCE converts its input quantizer {name} to a sign that gives other values"
            return Verdict(problem, _CURE, "wrong")
        return Verdict(problem, _CURE)
    kind = "wrong" if becomes_bits else "float"
    if not np.isin(values, (-1, 0, 1)).all() or not (values == -1).any():
        problem = f"its input quantizer {name} does not give -1 and +1, so it stays in float"
    elif (values[_POINTS != 0] == 0).any():
        then = "which LCE mistakes for a sign" if kind == "wrong" else "so it stays in float"
        problem = f"its input quantizer {name} is ternary, {then}"
    else:
        problem = f"its input quantizer {name} gives 0 at 0, so it stays in float"
    return Verdict(problem, _CURE, kind)


def examine_kernel(layer: tf.keras.layers.Layer) -> Verdict | None:
    """What is wrong with the kernel quantizer of a `QuantConv2D` or `QuantDense`."""
    quantizer = layer.kernel_quantizer
    if quantizer is None:
        return Verdict(
            "its inputs are binary but its weights are not, so it stays in float",
            "train step 2 first (`larq_reactnet.binarize_weights`)",
        )
    name = getattr(quantizer, "__name__", type(quantizer).__name__)
    kernel = np.asarray(binary_kernel(layer))
    magnitude = np.abs(kernel).reshape(-1, kernel.shape[-1])
    first = magnitude[0]
    if (magnitude == 0).any():
        if (first > 0).any() and (magnitude.max(axis=0) > 0).all():
            return Verdict(
                f"its kernel quantizer {name} gives zeros, so its weights stay in float",
                "use one of two values, such as 'react_sign' or 'ste_sign'",
            )
        dead = int(np.argmin(magnitude.max(axis=0)))
        return Verdict(
            f"all weights of its filter {dead} are zero",
            "initialize or train it again",
        )
    if (np.abs(magnitude - first) > SAME_MAGNITUDE * first).any():
        return Verdict(
            f"its kernel quantizer {name} gives more than one magnitude in an output filter, so "
            "its weights stay in float",
            "scale weights per output filter only, as 'react_sign' and 'bnn_plus_sign' do",
        )
    return None


def _values(quantizer: Quantizer, points: np.ndarray, channels: int) -> np.ndarray:
    """What `quantizer` gives for `points`, in each channel."""
    column = points.astype(np.float32)[:, None, None, None]
    return np.asarray(quantizer(tf.constant(np.tile(column, channels))))


def _is_plain_sign(quantizer: Quantizer, values: np.ndarray) -> bool:
    """Whether `quantizer`, with these values, is `larq.math.sign`."""
    channels = values.shape[-1]
    tiny = _values(quantizer, _TINY, channels) == _values(lq.math.sign, _TINY, channels)
    return bool(tiny.all() and (values == _values(lq.math.sign, _POINTS, channels)).all())


def _made_by_lce(quantizer: Quantizer, channels: int) -> tuple[bool, bool] | None:
    """Whether LCE makes bits of `quantizer`, and whether these are right.

    That depends on the operators in it, so LCE itself is tried. None if LCE is not installed.
    """
    key: Any = quantizer
    if isinstance(quantizer, tf.keras.layers.Layer):
        config = {key: value for key, value in quantizer.get_config().items() if key != "name"}
        key = (type(quantizer), repr(config))
    if key not in _probed:
        if len(_probed) >= _MOST:
            _probed.clear()
        _probed[key] = _probe(quantizer, channels)
    return _probed[key]


def _probe(quantizer: Quantizer, channels: int) -> tuple[bool, bool] | None:
    kernel = tf.ones((1, 1, channels, 1))
    points = np.tile(_POINTS.astype(np.float32)[:, None, None, None], channels)
    # A batch of any size, as in `lce.convert_keras_model`.
    trial = try_function(lambda x: tf.nn.conv2d(quantizer(x), kernel, 1, "VALID"), points)
    if trial is None:
        return None
    if trial.refusal or BCONV2D not in trial.operators:
        return False, False
    return True, bool(np.allclose(trial.found, trial.expected, atol=1e-3))
