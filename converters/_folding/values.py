"""The tensors of a model that is being folded: what is stored, and by how much it is off.

A tensor of the original model is `stored + offset`, where the offset is one number per channel. Any
offset is right as long as all layers that take the tensor allow for it. Behind a batch
normalization, or any other layer with a bias, the offset can be chosen freely: the bias holds it.
`fold` chooses it so that layers which need a certain constant find the tensor stored with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from larq_reactnet._graph.calls import KerasTensor, clone
from larq_reactnet.converters._folding.layers import (
    bias_of,
    other_weights,
    sign_of,
    value_of,
    with_bias,
)
from larq_reactnet.layers import LearnableBias

import numpy as np
import tensorflow as tf

__all__ = ["Concat", "Fixed", "Ref", "Same", "Shift", "Sum", "Value", "WithBias"]

Build = Callable[..., Any]  # from the stored tensors of the parents to the stored tensor


@dataclass(frozen=True)
class Ref:
    """A tensor of the original model: what `value` stores, plus `value.offset + plus`."""

    value: "Value"
    plus: np.ndarray | float = 0.0

    @property
    def offset(self) -> np.ndarray:
        """The original tensor minus what is stored."""
        return self.value.offset + self.plus


class Value:
    """A tensor of the folded model.

    Attributes:
        name: Name of the layer that gives it.
        channels: Size of its last axis.
        parents: What it is computed from.
        offset: The original tensor minus this one, of shape `(channels,)`.
        reach: The values with a bias from which this one is made by sums, pooling, concatenation
            and the like. A change of their biases changes it, and its offset, by a constant.
        is_only: Whether it is used only once, so that its user may replace it.
    """

    def __init__(self, name: str, channels: int, parents: Sequence[Ref], build: Build):
        self.name, self.channels, self.build = name, channels, build
        self.parents = tuple(parents)
        self.reach: frozenset[WithBias] = frozenset()
        self.is_only = False
        self.refresh()

    def refresh(self) -> None:
        """Compute the offset from those of the parents."""
        self.offset = np.zeros(self.channels)

    def biases(self) -> list[tuple["WithBias", int]] | None:
        """The values whose biases must change to add a constant to this one.

        Each comes with the first channel of this value that belongs to it. None if no biases can do
        that.
        """
        return None

    def lock(self) -> None:
        """Allow no change of this value from now on."""
        for value in self.reach:
            value.is_locked = True


class Fixed(Value):
    """The output of a layer that passes no constants on; its offset is `given`, for ever."""

    def __init__(self, *args: Any, given: np.ndarray | float = 0.0):
        self.given = given
        super().__init__(*args)

    def refresh(self) -> None:
        self.offset = np.zeros(self.channels) + self.given


class WithBias(Value):
    """The output of a layer with a bias, by which any constant can be added to it.

    Args:
        layer: The layer, or the one that several layers were joined to.
        absorb: Function from the offset of the input to what it adds to the output. None if the
            layer does not take any offset, so that there is nothing to absorb.
        is_linear: Whether nothing comes after the bias, so that it can add a constant.
    """

    def __init__(
        self,
        name: str,
        channels: int,
        parents: Sequence[Ref],
        *,
        layer: tf.keras.layers.Layer,
        absorb: Callable[[np.ndarray], np.ndarray] | None,
        is_linear: bool,
    ):
        self.layer, self.absorb = layer, absorb
        self.added = np.zeros(channels)
        self.is_locked = not is_linear
        super().__init__(name, channels, parents, self.call)
        self.reach = frozenset([self])

    def refresh(self) -> None:
        self.offset = -self.added

    def biases(self) -> list[tuple["WithBias", int]] | None:
        return None if self.is_locked else [(self, 0)]

    def call(self, tensor: KerasTensor) -> Any:
        """Call a copy of the layer, whose bias includes all that was added or absorbed."""
        bias = self.added
        if self.absorb is not None:
            bias = bias + self.absorb(self.parents[0].offset)
        changes = {"name": self.name, **sign_of(self.layer)}
        if bias_of(self.layer) is not None:
            bias = bias + value_of(bias_of(self.layer))
        elif np.any(bias):
            changes |= with_bias(self.layer)
        copy = clone(self.layer, **changes)
        result = copy(tensor)
        for new, old in zip(other_weights(copy), other_weights(self.layer), strict=True):
            new.assign(value_of(old))
        if bias_of(copy) is not None:
            bias_of(copy).assign(bias)
        return result


class Same(Value):
    """The output of a layer that passes constants on, such as pooling.

    Args:
        repeats: How often the channels of its parent are repeated in its own (by `Flatten`).
    """

    def __init__(self, *args: Any, repeats: int = 1):
        self.repeats = repeats
        super().__init__(*args)
        self.reach = self.parents[0].value.reach

    def refresh(self) -> None:
        self.offset = np.tile(self.parents[0].offset, self.repeats)

    def biases(self) -> list[tuple[WithBias, int]] | None:
        return self.parents[0].value.biases() if self.repeats == 1 else None


class _Several(Value):
    """The output of a layer with several inputs."""

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.reach = frozenset[WithBias]().union(*(ref.value.reach for ref in self.parents))

    def _own_biases(self, index: int) -> list[tuple[WithBias, int]] | None:
        """The biases that change the parent at `index` and no other parent."""
        biases = self.parents[index].value.biases()
        others = [ref.value for i, ref in enumerate(self.parents) if i != index]
        if biases is None or any(bias in other.reach for bias, _ in biases for other in others):
            return None
        return biases


class Sum(_Several):
    """The sum of its parents, which all have the same channels."""

    def refresh(self) -> None:
        self.offset = np.sum([ref.offset for ref in self.parents], axis=0)

    def biases(self) -> list[tuple[WithBias, int]] | None:
        if all(value.is_locked for value in self.reach):
            return None
        # The parent with the fewest biases behind it comes first: searching through all of a long
        # chain of sums would take long.
        order = sorted(range(len(self.parents)), key=lambda i: len(self.parents[i].value.reach))
        for index in order:
            biases = self._own_biases(index)
            if biases is not None:
                return biases
        return None


class Concat(_Several):
    """The concatenation of its parents."""

    def refresh(self) -> None:
        self.offset = np.concatenate([ref.offset for ref in self.parents])

    def biases(self) -> list[tuple[WithBias, int]] | None:
        found, start = [], 0
        for index, ref in enumerate(self.parents):
            biases = self._own_biases(index)
            if biases is None:
                return None
            found += [(value, start + first) for value, first in biases]
            start += ref.value.channels
        return found


class Shift(Value):
    """A value plus a constant, which takes an operator: what folding avoids where it can."""

    def __init__(self, name: str, parent: Value, by: np.ndarray, dtype: str):
        self.by = by

        def build(tensor: KerasTensor) -> Any:
            layer = LearnableBias(name=name, dtype=dtype)
            result = layer(tensor)
            layer.bias.assign(by)
            return result

        super().__init__(name, parent.channels, [Ref(parent)], build)
        self.reach = parent.reach

    def refresh(self) -> None:
        self.offset = self.parents[0].offset - self.by
