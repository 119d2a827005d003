"""Why a layer stays real: one rule for each reason."""

from collections.abc import Callable, Container
from dataclasses import dataclass

from larq_reactnet._graph.calls import Call
from larq_reactnet.binarizing.network import Network, is_merge, is_norm

import tensorflow as tf

__all__ = ["BINARIZABLE", "Choice", "reason_to_stay"]

layers = tf.keras.layers

# Layers that have a binary form, and what they are called here.
BINARIZABLE = {
    layers.Conv1D: "sequence",
    layers.Conv2D: "conv",
    layers.DepthwiseConv2D: "depthwise",
    layers.Dense: "dense",
}

# A depthwise convolution on channels that were just made this many times as many stays real.
_EXPANSION = 2


@dataclass(frozen=True)
class Choice:
    """What the user chose.

    Attributes:
        skip: Names of layers that stay real.
        widen: Whether depthwise convolutions become full ones; None for those where it is sensible.
    """

    skip: Container[str]
    widen: bool | None


Rule = Callable[[Call, Network, Choice], str | None]


def reason_to_stay(call: Call, network: Network, choice: Choice) -> str | None:
    """Why the layer of `call` stays real; None if it becomes binary."""
    reasons = (rule(call, network, choice) for rule in _RULES)
    return next((reason for reason in reasons if reason is not None), None)


def _named(call: Call, network: Network, choice: Choice) -> str | None:
    return "named in `skip`" if call.layer.name in choice.skip else None


def _other_kind(call: Call, network: Network, choice: Choice) -> str | None:
    if type(call.layer) in BINARIZABLE:
        return None
    return f"{type(call.layer).__name__} has no binary form"


def _shared(call: Call, network: Network, choice: Choice) -> str | None:
    times = network.times[id(call.layer)]
    return f"shared by {times} calls" if times > 1 else None


def _form(call: Call, network: Network, choice: Choice) -> str | None:
    layer = call.layer
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return "channels come first"
    if getattr(layer, "groups", 1) > 1:
        return f"it has {layer.groups} groups"
    if getattr(layer, "padding", None) == "causal":
        return "its padding is causal"
    if getattr(layer, "depth_multiplier", 1) > 1:
        return f"each channel becomes {layer.depth_multiplier}"
    if isinstance(layer, layers.Dense) and len(call.inputs[0].shape) != 2:
        return "a dense layer of more than one position"
    return None


def _first(call: Call, network: Network, choice: Choice) -> str | None:
    return "the first layer" if network.is_first(call) else None


def _last(call: Call, network: Network, choice: Choice) -> str | None:
    """The last dense layer, or a convolution in its place; not the last features of a backbone."""
    if not network.is_last(call):
        return None
    taker = network.graph.only_taker(call)
    is_features = taker is not None and is_norm(taker.layer) and not network.is_answer(call)
    return None if is_features else "the last layer"


def _pooled(call: Call, network: Network, choice: Choice) -> str | None:
    return "behind a global pooling" if network.is_pooled(call) else None


def _projection(call: Call, network: Network, choice: Choice) -> str | None:
    """The 1x1 convolution in the shortcut of a residual."""
    if getattr(call.layer, "kernel_size", None) not in ((1,), (1, 1)):
        return None
    end, taker = call, network.graph.only_taker(call)
    if taker is not None and is_norm(taker.layer):
        end, taker = taker, network.graph.only_taker(taker)
    if taker is None or not is_merge(taker.layer) or isinstance(taker.layer, layers.Concatenate):
        return None
    source = network.graph.origin(call.inputs[0])
    others = [tensor for tensor in taker.inputs if network.graph.source(tensor) != end]
    beside = [
        kernel
        for kernel in network.kernels
        if kernel != call
        and network.graph.origin(kernel.inputs[0]) is source
        and any(network.is_before(kernel, other) for other in others)
    ]
    return "the projection of a shortcut" if beside else None


def _expanded(call: Call, network: Network, choice: Choice) -> str | None:
    """A full convolution in place of a depthwise one is sensible in a chain like MobileNetV1's."""
    if not isinstance(call.layer, layers.DepthwiseConv2D) or choice.widen:
        return None
    if choice.widen is False:
        return "depthwise, and `widen` is False"
    channels = call.inputs[0].shape[-1]
    for before in _kernels_before(call, network):
        taken = before.inputs[0].shape[-1]
        is_stem = network.is_first(before)
        if not is_stem and taken is not None and channels > _EXPANSION * taken:
            return f"depthwise, and {taken} channels were made {channels} before it"
    return None


def _kernels_before(call: Call, network: Network) -> list[Call]:
    """The kernels from which a depthwise convolution gets its channels, activations or not."""
    found: list[Call] = []
    waiting = network.sources(call)
    while waiting:
        source = waiting.pop()
        if source in network.kernels:
            found.append(source)
        elif len(source.inputs) == 1:
            waiting += network.sources(source)
    return found


_RULES: tuple[Rule, ...] = (
    _named,
    _shared,
    _first,
    _last,
    _other_kind,
    _form,
    _pooled,
    _projection,
    _expanded,
)
