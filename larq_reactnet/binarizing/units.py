"""What is found in a model: the convolutions that become binary, and what belongs to each."""

from dataclasses import dataclass, field

from larq_reactnet._graph.calls import Call, KerasTensor
from larq_reactnet.binarizing.network import (
    Network,
    has_kernel,
    is_activation,
    is_merge,
    is_norm,
    is_pool,
)
from larq_reactnet.binarizing.staying import BINARIZABLE, Choice, reason_to_stay
from larq_reactnet.binarizing.styles import Style

import tensorflow as tf

__all__ = ["Plan", "Unit", "planned"]

layers = tf.keras.layers


@dataclass(frozen=True, eq=False)
class Unit:
    """A layer with a kernel and what belongs to it.

    Attributes:
        call: The call of the layer.
        kind: `"conv"`, `"depthwise"`, `"dense"`, or `"sequence"` for a `Conv1D`.
        source: What it takes; before its padding, if that becomes `padding="same"`.
        is_padded: Whether a padding before it becomes `padding="same"`.
        norm: The batch normalization right behind it.
        is_normalized: Whether there is a batch normalization, or one behind the pooling.
        is_in_residual: Whether an addition of the model takes its output.
    """

    call: Call
    kind: str
    source: KerasTensor
    is_padded: bool
    norm: Call | None
    is_normalized: bool
    is_in_residual: bool

    @property
    def end(self) -> Call:
        """Its last call."""
        return self.norm or self.call


@dataclass
class Plan:
    """What becomes of the calls of a model, by call.

    Attributes:
        units: The units that become binary, by their calls.
        reasons: For the other layers with weights: the call, and why it stays real.
        around: For the first unit of a basic block, the projection in the shortcut around both;
            None for the identity. For the second unit it is None.
        sums: The additions of these blocks, which are left out, with what is in their place.
        replaced: The activations that become that of the style.
        omitted: The activations that are left out.
    """

    units: dict[Call, Unit] = field(default_factory=dict)
    reasons: list[tuple[Call, str]] = field(default_factory=list)
    around: dict[Call, Unit | None] = field(default_factory=dict)
    sums: dict[Call, KerasTensor] = field(default_factory=dict)
    replaced: set[Call] = field(default_factory=set)
    omitted: set[Call] = field(default_factory=set)


def planned(network: Network, style: Style, choice: Choice, activation: str | None) -> Plan:
    """What becomes of each call.

    Args:
        network: The model, unfolded.
        style: The style.
        choice: What the user chose.
        activation: What stands in the place of an activation; None to leave it out.
    """
    plan = Plan()
    for call in network.calls:
        if has_kernel(call.layer):
            reason = reason_to_stay(call, network, choice)
            if reason is None:
                plan.units[call] = _unit(call, network)
            else:
                plan.reasons.append((call, reason))
        elif _multiplies(call.layer):
            plan.reasons.append((call, f"{type(call.layer).__name__} has no binary form"))
    if style.basic_blocks:
        for call in network.calls:
            _find_block(call, network, plan)
    for call in network.calls:
        if is_activation(call.layer):
            _find_activation(call, network, plan, activation)
    return plan


def _multiplies(layer: tf.keras.layers.Layer) -> bool:
    """Whether `layer` has weights that are no numbers of channels, in no kernel of its own."""
    has_matrix = any(weight.shape.rank > 1 for weight in layer.trainable_weights)
    return has_matrix and not is_activation(layer)


def _unit(call: Call, network: Network) -> Unit:
    source, padding = call.inputs[0], network.graph.source(call.inputs[0])
    is_padded = _pads_the_same(padding, call)
    taker = network.graph.only_taker(call)
    norm = taker if taker is not None and is_norm(taker.layer) else None
    behind = taker
    while behind is not None and is_pool(behind.layer):
        behind = network.graph.only_taker(behind)
    takers = network.takers(norm or call)
    return Unit(
        call,
        BINARIZABLE[type(call.layer)],
        padding.inputs[0] if is_padded else source,
        is_padded,
        norm,
        behind is not None and is_norm(behind.layer),
        any(is_merge(t.layer) and type(t.layer) is not layers.Concatenate for t in takers),
    )


def _pads_the_same(padding: Call, call: Call) -> bool:
    """Whether the map has the size of `padding="same"`, if not the same place in odd ones."""
    layer = call.layer
    if type(padding.layer) is not layers.ZeroPadding2D or layer.padding != "valid":
        return False
    for axis, (before, after) in enumerate(padding.layer.padding):
        reach = layer.dilation_rate[axis] * (layer.kernel_size[axis] - 1)
        stride = layer.strides[axis]
        size, result = padding.inputs[0].shape[1 + axis], call.outputs[0].shape[1 + axis]
        if not reach + 1 - stride <= before + after <= reach:
            return False
        if size is not None and result != -(-size // stride):
            return False
    return True


def _find_block(call: Call, network: Network, plan: Plan) -> None:
    """Recognize the basic block of a ResNet by its addition.

    ```
    x ─ 3x3 ─ BN ─ activation ─ 3x3 ─ BN ─(+)
    └──────────── (1x1 ─ BN) ──────────────┘
    ```
    """
    if not is_merge(call.layer) or isinstance(call.layer, layers.Concatenate):
        return
    if len(call.inputs) != 2:
        return
    ends = {id(unit.end.outputs[0]): unit for unit in plan.units.values()}
    origin = network.graph.origin
    for inside, beside in (call.inputs, call.inputs[::-1]):
        second = ends.get(id(origin(inside)))
        activation = None if second is None else network.graph.source(second.source)
        if activation is None or not is_activation(activation.layer):
            continue
        first = ends.get(id(origin(activation.inputs[0])))
        if (
            second is None
            or first is None
            or network.graph.only_taker(activation) != _start(second, network)
        ):
            continue
        projection = _projected(beside, network)
        start = beside if projection is None else projection.source
        if origin(start) is not origin(first.source) or not _keeps_shape(second):
            continue
        if projection is None and not _keeps_shape(first):
            continue
        plan.around |= {first.call: projection, second.call: None}
        plan.sums[call] = inside
        return


def _start(unit: Unit, network: Network) -> Call:
    """The first call of a unit."""
    return network.graph.source(unit.call.inputs[0]) if unit.is_padded else unit.call


def _keeps_shape(unit: Unit | None) -> bool:
    """Whether a unit takes and gives maps of one shape."""
    return unit is not None and list(unit.source.shape) == list(unit.end.outputs[0].shape)


def _projected(tensor: KerasTensor, network: Network) -> Unit | None:
    """The real 1x1 convolution, and its batch normalization, that gives `tensor`."""
    call = network.graph.source(tensor)
    if is_norm(call.layer):
        call = network.graph.source(call.inputs[0])
    if type(call.layer) is not layers.Conv2D or call.layer.kernel_size != (1, 1):
        return None
    unit = _unit(call, network)
    return unit if network.graph.origin(tensor) is unit.end.outputs[0] else None


def _find_activation(call: Call, network: Network, plan: Plan, activation: str | None) -> None:
    """Say what becomes of an activation.

    Behind a binary convolution it becomes that of the style. Behind a real one it is left out if
    only signs follow: a sign is an activation itself, and behind a ReLU it would always be +1.
    """
    behind = list(network.kernels_behind(call))
    projections = {unit.call for unit in plan.around.values() if unit is not None}
    signs = [kernel in plan.units for kernel in behind]
    only_signs = all(
        is_sign or kernel in projections for is_sign, kernel in zip(signs, behind, strict=True)
    )
    if any(kernel in plan.units for kernel in network.kernels_before(call)):
        (plan.omitted if activation is None else plan.replaced).add(call)
    elif any(signs):
        (plan.omitted if activation is None or only_signs else plan.replaced).add(call)
