"""Layers that share their input, and whose outputs are concatenated, become one layer."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from larq_reactnet._graph.calls import clone
from larq_reactnet.converters._folding.layers import (
    absorber,
    bias_of,
    other_weights,
    sign_of,
    value_of,
    with_bias,
)
from larq_reactnet.converters._folding.values import Concat, Ref, Sum, Value, WithBias

import larq as lq
import numpy as np
import tensorflow as tf

__all__ = ["join"]

# Layers that can be joined, and the argument that sets the number of their output channels. A batch
# normalization has as many as its input.
_SIZES = {
    tf.keras.layers.BatchNormalization: None,
    tf.keras.layers.Conv2D: "filters",
    tf.keras.layers.Dense: "units",
    lq.layers.QuantConv2D: "filters",
    lq.layers.QuantDense: "units",
}
# Configuration that the joined layer gets values of its own for.
_GIVEN = ("name", "trainable", "filters", "units", "use_bias", "center")
# Ends of the names of configuration that may differ between layers that become one, because
# inference does not use it.
_IGNORED = ("_initializer", "_regularizer", "_constraint", "build_config")
_MOST_SUMS = 6  # because there are 2**n ways to take one summand of each sum


def join(
    refs: Sequence[Ref], values: list[Value], unique: Callable[[str], str], name: str
) -> Value | None:
    """The concatenation of `refs` by fewer layers, or None if they have nothing in common.

    Convolutions of the same input become one. Batch normalizations and sums are joined if that
    joins convolutions before them:

        concat(conv1(x) + y1, conv2(x) + y2) = conv12(x) + concat(y1, y2)

    Args:
        refs: What is concatenated.
        values: List of values, to which new ones are added.
        unique: Function that makes a name of a layer unique.
        name: Name of the concatenation.
    """
    parts = [ref.value for ref in refs]
    if any(np.any(ref.plus) for ref in refs) or not all(part.is_only for part in parts):
        return None
    if len(set(map(id, parts))) < len(parts):
        return None
    if all(type(part) is Sum and len(part.parents) == 2 for part in parts):
        return _join_sums(parts, values, unique, name)
    if all(type(part) is WithBias for part in parts):
        return _join_layers(parts, values, unique, name)
    return None


def _join_sums(
    parts: Sequence[Value], values: list[Value], unique: Callable[[str], str], name: str
) -> Value | None:
    """Join one summand of each sum, and concatenate the others, as in the formula of `join`."""
    sides = itertools.product((0, 1), repeat=len(parts)) if len(parts) <= _MOST_SUMS else []
    for side in sides:
        ours = [part.parents[which] for part, which in zip(parts, side, strict=True)]
        joined = join(ours, values, unique, name)
        if joined is not None:
            others = [part.parents[1 - which] for part, which in zip(parts, side, strict=True)]
            channels = joined.channels
            beside = Concat(name, channels, others, _layer(tf.keras.layers.Concatenate, name))
            title = unique(_joined_name([part.name for part in parts]))
            total = Sum(
                title, channels, [Ref(joined), Ref(beside)], _layer(tf.keras.layers.Add, title)
            )
            values += [beside, total]
            return total
    return None


def _layer(kind: Any, name: str) -> Callable[..., Any]:
    return lambda *tensors: kind(name=name, dtype=tensors[0].dtype.name)([*tensors])


def _join_layers(
    parts: Sequence[Any], values: list[Value], unique: Callable[[str], str], name: str
) -> Value | None:
    """Join layers with a bias that differ in their weights only, and take the same input."""
    layers = [part.layer for part in parts]
    if type(layers[0]) not in _SIZES or len({type(layer) for layer in layers}) > 1:
        return None
    if any(_essence(layer) != _essence(layers[0]) for layer in layers):
        return None
    inputs = [part.parents[0] for part in parts]
    if type(layers[0]) is tf.keras.layers.BatchNormalization:
        before = join(inputs, values, unique, name)
        if before is None:
            return None
        source = Ref(before)
    else:
        source = inputs[0]
        same = all(
            ref.value is source.value and np.array_equal(ref.plus, source.plus) for ref in inputs
        )
        if not same or getattr(layers[0], "groups", 1) > 1:
            return None
    title = unique(_joined_name([part.name for part in parts]))
    layer = _joined_layer(layers, title)
    if layer is None:
        return None
    absorbs = parts[0].absorb is not None
    joined = WithBias(
        title,
        sum(part.channels for part in parts),
        [source],
        layer=layer,
        absorb=absorber(layer) if absorbs else None,
        is_linear=not parts[0].is_locked,
    )
    values.append(joined)
    return joined


def _essence(layer: tf.keras.layers.Layer) -> Any:
    """The configuration of a layer without its name, its size and what only training needs."""

    def strip(config: Any) -> Any:
        if isinstance(config, dict):
            return {
                key: strip(value)
                for key, value in config.items()
                if key not in _GIVEN and not key.endswith(_IGNORED)
            }
        return config

    return strip({**layer.get_config(), **sign_of(layer)})


def _joined_layer(layers: Sequence[Any], name: str) -> Any:
    """One layer for several; None if its quantizer does not treat each filter by itself."""
    first, shape = layers[0], list(layers[0].input_shape)
    changes = {"name": name, **sign_of(first)}
    if any(bias_of(layer) is not None for layer in layers):
        changes |= with_bias(first)
    if size := _SIZES[type(first)]:
        changes[size] = sum(getattr(layer, size) for layer in layers)
    else:
        shape[-1] = sum(layer.input_shape[-1] for layer in layers)
    joined = clone(first, **changes)
    joined(tf.keras.layers.Input(batch_shape=shape, dtype=first.dtype))
    targets = [other_weights(joined), *(other_weights(layer) for layer in layers)]
    for target, *sources in zip(*targets, strict=True):
        if not target.shape.rank:
            return None
        target.assign(np.concatenate([value_of(source) for source in sources], axis=-1))
    if bias_of(joined) is not None:
        bias_of(joined).assign(np.concatenate([_bias_or_zeros(layer) for layer in layers]))
    if getattr(first, "kernel_quantizer", None) is not None:
        with lq.context.quantized_scope(True):
            whole, *kernels = (tf.convert_to_tensor(layer.kernel) for layer in (joined, *layers))
        if not np.allclose(whole, np.concatenate(kernels, axis=-1), rtol=1e-6, atol=0):
            return None
    return joined


def _bias_or_zeros(layer: tf.keras.layers.Layer) -> np.ndarray:
    bias = bias_of(layer)
    return np.zeros(layer.output_shape[-1]) if bias is None else value_of(bias)


def _joined_name(names: Sequence[str]) -> str:
    """`block_ab_bn` for `block_a_bn` and `block_b_bn`."""
    start = _common(names)
    rests = [name[start:] for name in names]
    end = _common([rest[::-1] for rest in rests])
    middles = [rest[: len(rest) - end] for rest in rests]
    return names[0][:start] + "".join(middles) + names[0][len(names[0]) - end :]


def _common(names: Sequence[str]) -> int:
    """The number of letters at the beginning that all `names` have in common."""
    alike = (len(set(letters)) == 1 for letters in zip(*names, strict=False))
    return sum(1 for _ in itertools.takewhile(bool, alike))
