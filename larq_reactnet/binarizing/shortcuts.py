"""Shortcuts that need no parameters."""

from dataclasses import dataclass

from larq_reactnet._graph.calls import KerasTensor

import tensorflow as tf

__all__ = ["Geometry", "misfit", "shortcut"]


_HALVED = ((2, 2), (1, 2), (2, 1))


@dataclass(frozen=True)
class Geometry:
    """What a convolution does to the shape of its input.

    Attributes:
        taken: Number of channels that it takes.
        given: Number of channels that it gives.
        strides: Its strides.
        keeps_size: Whether it has as many positions as its input, but for the strides.
    """

    taken: int
    given: int
    strides: tuple[int, int]
    keeps_size: bool


def misfit(geometry: Geometry) -> str | None:
    """Why no shortcut without parameters fits; None if one does."""
    if not geometry.keeps_size:
        return "the map gets smaller at its edges"
    if geometry.strides not in ((1, 1), *_HALVED):
        return "its strides are {}x{}".format(*geometry.strides)
    if geometry.given not in (geometry.taken, 2 * geometry.taken):
        return f"{geometry.taken} channels become {geometry.given}"
    return None


def shortcut(
    x: KerasTensor, geometry: Geometry, name: str, *, twice: bool = True
) -> tuple[KerasTensor, str]:
    """The shortcut around a convolution that takes `x`, and what it is called.

    It is `x`; its 2x2 average at stride 2 (ReActNet, section 4.1, and the official code); and twice
    the same in a row where channels double, unless `twice` is False.
    """
    kinds = []
    if geometry.strides in _HALVED:
        pool = tf.keras.layers.AveragePooling2D(
            geometry.strides, padding="same", name=f"{name}_pool", dtype=x.dtype
        )
        x, kinds = pool(x), ["{}x{} average".format(*geometry.strides)]
    if geometry.given == 2 * geometry.taken:
        kinds.append("duplicated")
        if twice:
            x = tf.keras.layers.Concatenate(name=f"{name}_twice", dtype=x.dtype)([x, x])
    return x, ", ".join(kinds) or "identity"
