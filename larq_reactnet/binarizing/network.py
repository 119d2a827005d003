"""A model as what binarizing wants to know of it: who comes before and after, and by which way."""

from collections import Counter
from collections.abc import Callable, Iterator

from larq_reactnet._graph.calls import Call, KerasTensor, consumers
from larq_reactnet._graph.endings import endings
from larq_reactnet._graph.graph import Graph
from larq_reactnet.profiling import KERNELS

import tensorflow as tf

__all__ = ["Network", "has_kernel", "is_activation", "is_merge", "is_norm", "is_pool"]

layers = tf.keras.layers

_POOLS = (
    layers.MaxPooling1D,
    layers.MaxPooling2D,
    layers.AveragePooling1D,
    layers.AveragePooling2D,
)
_GLOBAL = (
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling1D,
    layers.GlobalMaxPooling2D,
)
_MERGES = (layers.Add, layers.Concatenate, layers.Average, layers.Maximum)
_SHAPES = (
    layers.ZeroPadding1D,
    layers.ZeroPadding2D,
    layers.UpSampling1D,
    layers.UpSampling2D,
    layers.Cropping1D,
    layers.Cropping2D,
    layers.Flatten,
)
_DROPOUTS = (layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D)
_ACTIVATIONS = (layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU, layers.ThresholdedReLU)
_FUNCTIONS = [
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "swish",
    "silu",
    "gelu",
    "mish",
    "softplus",
    "softsign",
    "hard_swish",
]


def has_kernel(layer: tf.keras.layers.Layer) -> bool:
    """Whether `layer` is a convolution, a dense layer or the like."""
    return any(isinstance(getattr(layer, name, None), tf.Variable) for name in KERNELS)


def is_norm(layer: tf.keras.layers.Layer) -> bool:
    """Whether `layer` normalizes the last axis over the batch."""
    if type(layer) is not layers.BatchNormalization or not layer.built:
        return False
    return list(layer.axis) == [layer.input_spec.ndim - 1]


def is_pool(layer: tf.keras.layers.Layer) -> bool:
    """Whether `layer` is a pooling of windows."""
    return type(layer) in _POOLS


def is_merge(layer: tf.keras.layers.Layer) -> bool:
    """Whether `layer` takes several maps, and gives one that is negative where they are."""
    return type(layer) in _MERGES or _symbol(layer) in ("add", "__operators__.add")


def is_activation(layer: tf.keras.layers.Layer) -> bool:
    """Whether `layer` is one of the activations between the layers of a network.

    It is not if it bounds its values, as the gates and the last layers of networks do.
    """
    name = getattr(getattr(layer, "activation", None), "__name__", None)
    if type(layer) is layers.Activation:
        return name in _FUNCTIONS
    return type(layer) in _ACTIVATIONS or _symbol(layer) in _FUNCTIONS


class Network:
    """What stands before and behind each call of a model.

    Args:
        model: Functional or sequential model.
    """

    def __init__(self, model: tf.keras.Model):
        self.model = model
        self.graph = Graph(model)
        self.calls = self.graph.calls
        self.times = Counter(id(call.layer) for call in self.calls)
        self.kernels = [call for call in self.calls if has_kernel(call.layer)]
        self._takers = consumers(model)
        # The calls with a kernel before a tensor, one bit for each.
        bits = {call: 1 << index for index, call in enumerate(self.kernels)}
        self._before: dict[int, int] = {}
        self._pooled: set[int] = set()
        for call in self.calls:
            before = bits.get(call, 0)
            for tensor in call.inputs:
                before |= self._before[id(tensor)]
            self._before.update((id(tensor), before) for tensor in call.outputs)
            inside = [id(tensor) in self._pooled for tensor in call.inputs]
            if isinstance(call.layer, _GLOBAL) or (inside and all(inside)):
                self._pooled.update(map(id, call.outputs))
        self._bits = bits

    def is_first(self, call: Call) -> bool:
        """Whether no kernel that mixes channels stands before `call`.

        So both parts of a separable convolution on images are first.
        """
        return not any(
            self.is_before(kernel, tensor)
            for kernel in self.kernels
            if not isinstance(kernel.layer, layers.DepthwiseConv2D)
            for tensor in call.inputs
        )

    def is_last(self, call: Call) -> bool:
        """Whether no kernel stands behind `call`."""
        return not any(self.is_before(call, other.inputs[0]) for other in self.kernels)

    def is_answer(self, call: Call) -> bool:
        """Whether a softmax or sigmoid at an output of the model depends on `call`."""
        return any(
            ending in ("softmax", "sigmoid") and self.is_before(call, tensor)
            for tensor, ending in zip(self.model.outputs, endings(self.model), strict=True)
        )

    def is_before(self, call: Call, tensor: KerasTensor) -> bool:
        """Whether `tensor` depends on the kernel of `call`."""
        return bool(self._before[id(tensor)] & self._bits[call])

    def is_pooled(self, call: Call) -> bool:
        """Whether everything that `call` takes stands behind a global pooling."""
        return all(id(tensor) in self._pooled for tensor in call.inputs)

    def takers(self, call: Call) -> list[Call]:
        """The calls that take what `call` gives."""
        return [taker for tensor in call.outputs for taker in self._takers[id(tensor)]]

    def sources(self, call: Call) -> list[Call]:
        """The calls that give what `call` takes."""
        return [self.graph.source(tensor) for tensor in call.inputs]

    def kernels_before(self, call: Call) -> Iterator[Call]:
        """The nearest kernels before `call`, behind which only maps are normalized and merged."""
        return self._nearest(call, self.sources, lambda layer: is_norm(layer) or _is_way(layer))

    def kernels_behind(self, call: Call) -> Iterator[Call]:
        """The nearest kernels behind `call` that see the signs of what it gives."""
        return self._nearest(call, self.takers, _is_way)

    def _nearest(
        self,
        call: Call,
        neighbors: Callable[[Call], list[Call]],
        is_way: Callable[[tf.keras.layers.Layer], bool],
    ) -> Iterator[Call]:
        seen: set[Call] = set()
        waiting = neighbors(call)
        while waiting:
            found = waiting.pop()
            if found in seen:
                continue
            seen.add(found)
            if has_kernel(found.layer):
                yield found
            elif is_way(found.layer):
                waiting += neighbors(found)


def _is_way(layer: tf.keras.layers.Layer) -> bool:
    """Whether the signs behind `layer` are those of what it takes."""
    is_dropout = isinstance(layer, _DROPOUTS)
    is_linear = type(layer) is layers.Activation and layer.activation is tf.keras.activations.linear
    return is_pool(layer) or is_merge(layer) or type(layer) in _SHAPES or is_dropout or is_linear


def _symbol(layer: tf.keras.layers.Layer) -> str:
    """The name of a function such as `tf.nn.relu`, which is a layer in a functional model."""
    symbol = str(getattr(layer, "symbol", None) or "")
    return symbol if symbol.startswith("__") else symbol.rsplit(".", maxsplit=1)[-1]
