r"""Exact folding: the shifts of a network move to where they cost nothing.

RSign and RPReLU add a constant to each channel before and after they do their work. Each of these
shifts is an operator over a whole feature map. Most of them are not needed: a tensor may be stored
with any constant added to it, as long as all layers that take it allow for that. Addition, pooling
and concatenation pass such constants on, and the bias of another layer cancels them. So in place of

```
x -> + a -> sign -> conv -> BN -> (+ x) -> - gamma -> PReLU -> + zeta -> + a' -> sign ...
```

the folded network stores \\(x + a\\), puts \\(-a - \gamma\\) in the bias of the batch
normalization, and adds \\(\zeta + a'\\) at once:

```
(x + a) -> sign -> conv -> BN' -> + (x + a) -> PReLU -> + (zeta + a') -> sign ...
```

Convolutions of the same input that are concatenated afterwards become one.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from larq_reactnet._graph.calls import (
    Call,
    KerasTensor,
    Tensors,
    calls_in,
    clone,
    consumers,
    model_of,
    new_inputs,
    run_call,
)
from larq_reactnet.converters._folding.join import join
from larq_reactnet.converters._folding.layers import (
    absorber,
    channels_of,
    commutes,
    has_bias,
    is_linear,
    is_simple,
    replacement,
    value_of,
    wants,
)
from larq_reactnet.converters._folding.values import (
    Concat,
    Fixed,
    Ref,
    Same,
    Shift,
    Sum,
    Value,
    WithBias,
)
from larq_reactnet.layers import LearnableBias, RPReLU

import numpy as np
import tensorflow as tf

__all__ = ["fold"]

# Constants that differ by less than this, relative to their size, are the same.
_ROUNDING = 1e-12


def fold(model: tf.keras.Model) -> tf.keras.Model:
    """A model that computes the same with fewer operators, for inference only.

    Constants of each channel (of RSign, RPReLU, `LearnableBias` and batch normalization) move
    through sums, pooling and concatenation into biases, and convolutions that share their input and
    end in a concatenation are joined. In exact arithmetic the outputs are equal; in float64 they
    are within 1e-9. A constant that cannot be moved stays where it is.

    !!! example
        ```python
        folded = lr.converters.fold(model)  # `export` does it by itself
        ```

    Args:
        model: Functional or sequential model. It is not changed.

    Returns:
        A functional model of the same inputs and outputs. Folding it again changes nothing.

    Raises:
        ValueError: If a layer cannot be copied.
    """
    return _Folding(model).build()


class _Folding:
    """The plan of the folded model: a `Value` for each tensor that it stores.

    All calls of `model` are read first, in order. This chooses the offset of each value, which is
    what must be added to it to get the tensor of `model`. Then `build` makes the layers.
    """

    def __init__(self, model: tf.keras.Model):
        self.model = model
        self.calls = calls_in(model)
        self.takers = consumers(model)
        self.times = Counter(id(call.layer) for call in self.calls)
        self.names = {layer.name for layer in model.layers if type(layer) is not LearnableBias}
        self.copies: dict[int, Any] = {}  # by the id of the layer
        self.results: dict[int, list[Any]] = {}  # by the id of the call
        self.values: list[Value] = []  # each after its parents
        self.inputs: list[Value] = []
        self.versions: dict[int, list[Value]] = {}  # a value and its shifted copies, by their ids
        self.refs: dict[int, Ref] = {}  # by the id of the tensor of `model`
        for call in self.calls:
            self.read(call)
        self.outputs = [self.exact(tensor, 0.0) for tensor in model.outputs]

    def read(self, call: Call) -> None:
        """Plan the outputs of `call`."""
        if self.is_alias(call):
            ref = self.refs[id(call.inputs[0])]
            plus = ref.plus + value_of(call.layer.bias)
            self.refs[id(call.outputs[0])] = Ref(ref.value, plus)
            return
        needed = self.wants(call)
        if needed is None:
            parents = [self.refs[id(tensor)] for tensor in call.inputs]
        else:
            parents = [Ref(self.exact(tensor, needed)) for tensor in call.inputs]
        for tensor, value in zip(call.outputs, self.plan(call, parents, needed), strict=True):
            if all(value is not other for other in self.values):  # `join` has added its own already
                self.values.append(value)
            value.is_only = self.uses(tensor) == 1
            self.refs[id(tensor)] = Ref(value)
            if not call.inputs:
                self.inputs.append(value)
            self.foresee(tensor)

    def plan(self, call: Call, parents: list[Ref], needed: Any) -> list[Value]:
        """The values of the outputs of `call`."""
        layer = call.layer
        channels = [channels_of(tensor) or 1 for tensor in call.outputs]
        if len(call.outputs) > 1 or self.is_opaque(call):
            return [
                Fixed(layer.name, size, parents, self.copy_of(call, index))
                for index, size in enumerate(channels)
            ]
        common = (layer.name, channels[0], parents)
        if type(layer) is tf.keras.layers.Concatenate and needed is None:
            joined = join(parents, self.values, self.unique, layer.name)
            return [joined or Concat(*common, self.copy_of(call))]
        if type(layer) is tf.keras.layers.Add and needed is None:
            return [Sum(*common, self.copy_of(call))]
        if type(layer) is tf.keras.layers.Flatten and needed is None:
            repeats = channels[0] // parents[0].value.channels
            return [Same(*common, self.copy_of(call), repeats=repeats)]
        if commutes(call):
            return [Same(*common, self.copy_of(call))]
        if has_bias(layer):
            absorb = absorber(layer) if needed is None else None
            return [WithBias(*common, layer=layer, absorb=absorb, is_linear=is_linear(layer))]
        given = value_of(layer.zeta) if type(layer) is RPReLU else 0.0
        return [Fixed(*common, self.copy_of(call), given=given)]

    def wants(self, call: Call) -> Any:
        """The constant that must be added to the inputs of `call`; None if any constant will do."""
        return 0.0 if self.is_opaque(call) else wants(call)

    def is_opaque(self, call: Call) -> bool:
        """Whether the call stays as it is: its layer is shared, or is given more than inputs."""
        return self.times[id(call.layer)] > 1 or not is_simple(call)

    def is_alias(self, call: Call) -> bool:
        """Whether the call does nothing but add a constant."""
        return type(call.layer) is LearnableBias and is_simple(call)

    def uses(self, tensor: KerasTensor) -> int:
        """How often a tensor is used: as an input of calls, and as an output of the model."""
        taken = [*self.model.outputs, *(t for call in self.takers[id(tensor)] for t in call.inputs)]
        return sum(other is tensor for other in taken)

    def foresee(self, tensor: KerasTensor) -> None:
        """Choose the offset of a new tensor that most consumers needing an exact value ask for.

        A consumer that needs the tensor without any constant comes first. It may be the sign of a
        sum of integers, which is often exactly 0. It would no longer be 0 after a constant was
        added and subtracted again.
        """
        wishes: list[tuple[np.ndarray, str | None]] = []

        def collect(tensor: KerasTensor, plus: Any, name: str | None) -> None:
            for call in self.takers[id(tensor)]:
                if self.is_alias(call):
                    bias = value_of(call.layer.bias)
                    collect(call.outputs[0], plus + bias, call.layer.name)
                elif (needed := self.wants(call)) is not None:
                    wishes.append((np.zeros(channels_of(tensor) or 1) + needed + plus, name))

        collect(tensor, 0.0, None)
        if wishes:
            often = Counter(wish.tobytes() for wish, _ in wishes)
            wishes.sort(key=lambda wish: (np.any(wish[0]), -often[wish[0].tobytes()]))
            self.exact(tensor, *wishes[0])

    def exact(self, tensor: KerasTensor, needed: Any, name: str | None = None) -> Value:
        """The value that stores `tensor` plus the constant `needed`.

        The constant goes into a bias that may still change. If there is none, it gets an operator
        of its own, called `name`.
        """
        ref = self.refs[id(tensor)]
        versions = self.versions.setdefault(id(ref.value), [ref.value])
        for value in versions:
            gap = needed + ref.plus + value.offset
            size = 1 + np.abs(needed).max() + np.abs(ref.plus).max() + np.abs(value.offset).max()
            if np.abs(gap).max() <= _ROUNDING * size:
                value.lock()
                return value
        value, gap = versions[0], needed + ref.plus + versions[0].offset
        biases = value.biases()
        if biases is None:
            name = self.unique(name or f"{value.name}_shift")
            shifted = Shift(name, value, gap, tensor.dtype.name)
            self.values.append(shifted)
            versions.append(shifted)
            self.versions[id(shifted)] = versions
            if len(versions) == 2:  # consumers that take any constant take this one from now on
                for key, other in self.refs.items():
                    if other.value is value:
                        self.refs[key] = Ref(shifted, other.plus)
            value = shifted
        else:
            self.change(biases, gap)
        value.lock()
        return value

    def change(self, biases: list[tuple[WithBias, int]], gap: np.ndarray) -> None:
        """Add the constant `gap` to the value whose `biases` these are."""
        for biased, start in biases:
            biased.added = biased.added + gap[start : start + biased.channels]
        changed = {biased for biased, _ in biases}
        for value in self.values:
            if value.reach & changed:
                value.refresh()

    def unique(self, name: str) -> str:
        """`name`, with underscores behind it if a layer has that name already."""
        while name in self.names:
            name += "_"
        self.names.add(name)
        return name

    def copy_of(self, call: Call, index: int = 0) -> Callable[..., Any]:
        """A function that calls a copy of the layer of `call`, and returns output `index` of it."""

        def build(*tensors: Any) -> Any:
            if id(call) not in self.results:
                mapping = {id(old): new for old, new in zip(call.inputs, tensors, strict=True)}
                result = self.run(call, mapping)
                self.results[id(call)] = tf.nest.flatten(result)
            return self.results[id(call)][index]

        return build

    def run(self, call: Call, tensors: Tensors) -> Any:
        """Call a copy of the layer of `call` on new tensors."""
        layer = call.layer
        if id(layer) in self.copies:
            return run_call(call, self.copies[id(layer)], tensors)
        changed = None if self.is_opaque(call) else replacement(layer)
        if changed:
            copy, weights = changed
        elif isinstance(layer, tf.keras.Model) and layer.inputs:
            copy, weights = fold(layer), None
        else:
            copy, weights = clone(layer), layer.get_weights()
        self.copies[id(layer)] = copy
        result = run_call(call, copy, tensors)
        if weights is not None:
            copy.set_weights(weights)
        return result

    def build(self) -> tf.keras.Model:
        """Build the folded model, without values that its outputs do not need."""
        needed, waiting = set(), [*self.outputs]
        while waiting:
            value = waiting.pop()
            if id(value) not in needed:
                needed.add(id(value))
                waiting.extend(ref.value for ref in value.parents)
        inputs = new_inputs(self.model)
        tensors = {id(value): new for value, new in zip(self.inputs, inputs, strict=True)}
        for value in self.values:
            if id(value) in needed and id(value) not in tensors:
                tensors[id(value)] = value.build(*(tensors[id(ref.value)] for ref in value.parents))
        return model_of(inputs, [tensors[id(v)] for v in self.outputs], self.model.name)
