"""Writes the binary form of each call of a model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from larq_reactnet._graph.calls import Call, KerasTensor, Tensors, clone
from larq_reactnet._graph.padding import padding_of, sizes_of, trimmed, window
from larq_reactnet._latent import latent
from larq_reactnet._types import Quantizer
from larq_reactnet.binarizing.network import Network, is_norm
from larq_reactnet.binarizing.shortcuts import Geometry, misfit, shortcut
from larq_reactnet.binarizing.styles import ACTIVATIONS, Style
from larq_reactnet.binarizing.units import Plan, Unit
from larq_reactnet.binarizing.weights import kernel_of, norm_of, restyled
from larq_reactnet.layers import LearnableBias
from larq_reactnet.quantizers import BNNPlusSign

import larq as lq
import numpy as np
import tensorflow as tf

__all__ = ["Form", "Writer", "Written"]

layers = tf.keras.layers


@dataclass(frozen=True)
class Form:
    """What the user and the style say about each binary convolution.

    Attributes:
        style: The style.
        input_quantizer: Makes the quantizer of the inputs.
        kernel_quantizer: Makes that of the kernel; gives None for real weights.
        activation: A key of `ACTIVATIONS`, or None.
        shortcuts: Whether there are shortcuts.
        branches: The quantizer that both halves of a doubling convolution share, behind a learnable
            shift; None for one convolution.
    """

    style: Style
    input_quantizer: Callable[[], Quantizer]
    kernel_quantizer: Callable[[], Quantizer]
    activation: str | None
    shortcuts: bool
    branches: Quantizer | None


@dataclass(frozen=True)
class Written:
    """What a unit became.

    Attributes:
        layers: Names of its new convolutions.
        shortcut: What the shortcut is; `""` for none.
        why: Why there is none.
        notes: What else was done.
    """

    layers: tuple[str, ...]
    shortcut: str
    why: str
    notes: tuple[str, ...]


class Writer:
    """Gives the new output of each call, for `call_again`.

    Args:
        network: The model, unfolded.
        plan: What becomes of each call.
        form: What a binary convolution looks like.

    Attributes:
        written: What each unit became, by its call.
    """

    def __init__(self, network: Network, plan: Plan, form: Form):
        self.written: dict[Call, Written] = {}
        self._network, self._plan, self._form = network, plan, form
        self._names = {call.layer.name for call in network.calls}
        self._ends: dict[int, KerasTensor] = {}
        projections = {u.call: u for u in plan.around.values() if u is not None}
        # The calls that are part of a unit, with the unit and what writes it.
        self._parts = {
            call: (unit, write)
            for units, write in ((plan.units, self._binary), (projections, self._projection))
            for unit in units.values()
            for call in (unit.call, unit.end)
        }

    def replace(self, call: Call, tensors: Tensors) -> Any:
        """The new output of `call`; None to have its layer copied."""
        if call in self._parts:
            return self._end(*self._parts[call], tensors)
        if call in self._plan.sums:
            return tensors[id(self._plan.sums[call])]
        if call in self._plan.omitted:
            return tensors[id(call.inputs[0])]
        if call in self._plan.replaced and self._form.activation is not None:
            make, x = ACTIVATIONS[self._form.activation], tensors[id(call.inputs[0])]
            return _like(make(self._new_name(call.layer.name), len(x.shape)), call)(x)
        if isinstance(call.layer, layers.ZeroPadding2D):
            return self._padded(call, tensors)
        if is_norm(call.layer) and self._network.times[id(call.layer)] == 1:
            return self._norm(tensors[id(call.inputs[0])], call.layer)
        return None

    def _padded(self, call: Call, tensors: Tensors) -> KerasTensor | None:
        """A padding before a convolution without the rows that it never reads; None for others.

        LCE takes a padding with such rows for `padding="same"`, which starts at another pixel.
        """
        pad, taker = padding_of(call), self._network.graph.only_taker(call)
        view = None if taker is None else window(taker.layer)
        sizes = sizes_of(call.inputs[0])
        if pad is None or view is None or sizes is None:
            return None
        amounts = trimmed(sizes, pad.amounts, view)
        return clone(call.layer, padding=amounts)(tensors[id(call.inputs[0])])

    def _end(
        self, unit: Unit, write: Callable[[Unit, Tensors], KerasTensor], tensors: Tensors
    ) -> KerasTensor:
        """What a unit gives, written when it is first asked for."""
        if id(unit) not in self._ends:
            self._ends[id(unit)] = write(unit, tensors)
        return self._ends[id(unit)]

    def _binary(self, unit: Unit, tensors: Tensors) -> KerasTensor:
        layer, x = unit.call.layer, tensors[id(unit.source)]
        if unit.kind == "dense":
            x = self._image(x, unit, tensors)
        elif unit.kind == "sequence":
            x = self._as_map(x, unit)
        geometry = _geometry(unit, x)
        why = self._why_no_shortcut(unit, geometry)
        projection = self._plan.around.get(unit.call)
        in_block = unit.call in self._plan.around
        has_branches = geometry.given == 2 * geometry.taken and self._form.branches is not None
        around, kind = None, ""
        if projection is not None:
            around, kind = self._end(projection, self._projection, tensors), "real 1x1 convolution"
        elif not why or in_block:
            why, is_split = "", has_branches and not in_block
            around, kind = shortcut(
                x, geometry, self._new_name(f"{layer.name}_shortcut"), twice=not is_split
            )
            if is_split:
                return self._branches(unit, x, around, geometry, kind)
        x = self._conv(unit, x, layer.name, self._form.input_quantizer(), slice(None))
        x = self._normalized(unit, x, slice(None), "")
        if around is not None:
            x = layers.Add(name=self._new_name(f"{layer.name}_add"), dtype=layer.dtype_policy)(
                [x, around]
            )
        self._note(unit, (layer.name,), kind, why)
        return _flat(unit, x)

    def _branches(
        self, unit: Unit, x: KerasTensor, around: KerasTensor, geometry: Geometry, kind: str
    ) -> KerasTensor:
        """Twice the channels as two convolutions, as in ReActNet-A's official code."""
        layer, half = unit.call.layer, geometry.taken
        shift = LearnableBias(name=self._new_name(f"{layer.name}_shift"), dtype=layer.dtype_policy)
        shifted, results, names = shift(x), [], []
        for end, part in (("_a", slice(None, half)), ("_b", slice(half, None))):
            names.append(self._new_name(layer.name + end))
            y = self._conv(unit, shifted, names[-1], self._form.branches, part)
            y = self._normalized(unit, y, part, end)
            add = layers.Add(name=self._new_name(f"{names[-1]}_add"), dtype=layer.dtype_policy)
            results.append(add([y, around]))
        concat = layers.Concatenate(
            name=self._new_name(f"{layer.name}_concat"), dtype=layer.dtype_policy
        )
        self._note(unit, tuple(names), kind, "")
        return _flat(unit, concat(results))

    def _why_no_shortcut(self, unit: Unit, geometry: Geometry) -> str:
        if not self._form.shortcuts:
            return "not asked for"
        if unit.is_in_residual:
            return "it ends in an addition of the model"
        if unit.norm is None and unit.is_normalized:
            return "pooling follows before normalization"
        return misfit(geometry) or ""

    def _conv(
        self, unit: Unit, x: KerasTensor, name: str, input_quantizer: Quantizer, part: slice
    ) -> KerasTensor:
        """The binary convolution of a unit, or a `part` of its output channels."""
        layer, style = unit.call.layer, self._form.style
        kernel = kernel_of(layer, unit.kind, x.shape[1:])[..., part]
        padding = "valid" if unit.kind == "dense" else layer.padding
        # LCE computes padding with zeros wrongly where the map is smaller than the kernel.
        is_tiny = any(
            size is not None and size < reach
            for size, reach in zip(x.shape[1:3], kernel.shape[:2], strict=True)
        )
        conv = lq.layers.QuantConv2D(
            kernel.shape[-1],
            kernel.shape[:2],
            strides=_in_map(getattr(layer, "strides", 1)),
            padding="same" if unit.is_padded else padding,
            pad_values=1.0 if is_tiny else style.pad_values,
            dilation_rate=_in_map(getattr(layer, "dilation_rate", 1)),
            use_bias=False,
            input_quantizer=_of_policy(input_quantizer, layer),
            kernel_quantizer=_of_policy(self._form.kernel_quantizer(), layer),
            kernel_initializer=_initializer(layer),
            kernel_regularizer=getattr(layer, _of_kernel(layer, "regularizer")),
            # The papers' code does not clip. There, a weight outside of [-1, 1] gets no gradient.
            kernel_constraint="weight_clip",
            name=name,
            dtype=layer.dtype_policy,
        )
        x = conv(x)
        latent(conv.kernel).assign(kernel)
        if isinstance(conv.kernel_quantizer, BNNPlusSign):
            conv.kernel_quantizer.reset_alpha(latent(conv.kernel))
        return x

    def _normalized(self, unit: Unit, x: KerasTensor, part: slice, end: str) -> KerasTensor:
        """Batch normalization behind a convolution, unless it comes behind the pooling."""
        layer = unit.call.layer
        bias = np.asarray(layer.bias) if layer.use_bias else None
        if unit.norm is None and unit.is_normalized and bias is None:
            return x
        old = None if unit.norm is None else unit.norm.layer
        name = self._new_name(f"{layer.name}{end}_bn") if old is None else old.name + end
        constants: dict[str, Any] = {"name": name, **self._constants(old)}
        if old is None:
            norm = layers.BatchNormalization(**constants, dtype=layer.dtype_policy)
        else:
            # A dense layer now gives a map. Frozen statistics would be those of real sums.
            norm = clone(old, axis=-1, trainable=True, **constants)
        given = unit.end.outputs[0].shape[-1]
        x = norm(x)
        norm.set_weights(norm_of(old, bias, given, norm.epsilon).weights(part))
        return x

    def _norm(
        self,
        x: KerasTensor,
        old: tf.keras.layers.Layer,
    ) -> KerasTensor:
        """A batch normalization of the model with the constants of the style."""
        constants: dict[str, Any] = self._constants(old)
        norm = clone(old, **constants)
        x = norm(x)
        norm.set_weights(restyled(old, norm.epsilon).weights())
        return x

    def _constants(self, old: tf.keras.layers.Layer | None) -> dict[str, float]:
        """Those of the style, but for those that would change the function."""
        constants = self._form.style.batch_norm
        if old is None or old.scale:
            return constants
        return {key: value for key, value in constants.items() if key != "epsilon"}

    def _projection(self, unit: Unit, tensors: Tensors) -> KerasTensor:
        """Average pooling and a real 1x1 convolution (Bi-Real Net, section 3.1)."""
        layer, x = unit.call.layer, tensors[id(unit.source)]
        if layer.strides != (1, 1):
            pool = layers.AveragePooling2D(
                layer.strides,
                padding="same",
                name=self._new_name(f"{layer.name}_pool"),
                dtype=layer.dtype_policy,
            )
            x = pool(x)
        conv = clone(layer, strides=(1, 1))
        x = conv(x)
        conv.set_weights(layer.get_weights())
        return x if unit.norm is None else self._norm(x, unit.norm.layer)

    def _image(self, x: KerasTensor, unit: Unit, tensors: Tensors) -> KerasTensor:
        """What a dense layer takes, as a map: what was flattened, or a single position."""
        source = self._network.graph.source(unit.source)
        if type(source.layer) is layers.Flatten:
            image = tensors[id(source.inputs[0])]
            if len(image.shape) == 4 and None not in image.shape[1:]:
                return image
        return self._as_map(x, unit)

    def _as_map(self, x: KerasTensor, unit: Unit) -> KerasTensor:
        """Numbers as a map of one position, and a sequence as one of height 1."""
        shape = (1, *_known(x.shape[1:])) if unit.kind == "sequence" else (1, 1, x.shape[-1])
        name = self._new_name(f"{unit.call.layer.name}_map")
        return layers.Reshape(shape, name=name, dtype=unit.call.layer.dtype_policy)(x)

    def _note(self, unit: Unit, names: tuple[str, ...], kind: str, why: str) -> None:
        notes = []
        if unit.kind == "depthwise":
            notes.append("depthwise made full")
        if unit.kind == "dense":
            notes.append("dense as a convolution")
        if unit.kind == "sequence":
            notes.append("a convolution of height 1")
        if unit.is_padded:
            notes.append('padding became "same"')
        if not unit.is_normalized:
            notes.append("batch normalization added")
        self.written[unit.call] = Written(names, kind, why, tuple(notes))

    def _new_name(self, name: str) -> str:
        """`name`, with a number if it is taken; it is taken from now on."""
        number, found = 1, name
        while found in self._names:
            number += 1
            found = f"{name}_{number}"
        self._names.add(found)
        return found


def _geometry(unit: Unit, x: KerasTensor) -> Geometry:
    layer, given = unit.call.layer, unit.call.outputs[0].shape[-1]
    if unit.kind == "dense":
        return Geometry(x.shape[-1], given, (1, 1), tuple(x.shape[1:3]) == (1, 1))
    is_point = set(layer.kernel_size) == {1}
    keeps_size = unit.is_padded or layer.padding == "same" or is_point
    return Geometry(x.shape[-1], given, _in_map(layer.strides), keeps_size)


def _in_map(amounts: int | tuple[int, ...]) -> tuple[int, int]:
    """Strides or the like of a layer in a map, which has height 1 if the layer has one axis."""
    pair = (1, 1) if isinstance(amounts, int) else (1, *amounts)[-2:]
    return pair[0], pair[1]


def _known(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """A shape for `Reshape`, of which one size may be unknown."""
    return tuple(-1 if size is None else size for size in shape)


def _initializer(layer: tf.keras.layers.Layer) -> Any:
    """That of the kernel, as a config: Keras warns if two layers have one initializer."""
    return tf.keras.initializers.serialize(getattr(layer, _of_kernel(layer, "initializer")))


def _of_kernel(layer: tf.keras.layers.Layer, what: str) -> str:
    """The name of an attribute of the kernel, which is another in depthwise convolutions."""
    return f"depthwise_{what}" if hasattr(layer, "depthwise_kernel") else f"kernel_{what}"


def _flat(unit: Unit, x: KerasTensor) -> KerasTensor:
    """The output of a dense layer or of a `Conv1D` without the axes of a map."""
    layer = unit.call.layer
    if unit.kind == "sequence":
        shape = _known(unit.call.outputs[0].shape[1:])
        return layers.Reshape(shape, name=f"{layer.name}_flat", dtype=layer.dtype_policy)(x)
    if unit.kind != "dense":
        return x
    return layers.Flatten(name=f"{layer.name}_flat", dtype=layer.dtype_policy)(x)


def _of_policy(quantizer: Quantizer, layer: tf.keras.layers.Layer) -> Quantizer:
    """The quantizer with the policy of `layer`, not that of the moment."""
    found = lq.quantizers.get(quantizer)
    if not isinstance(found, tf.keras.layers.Layer):
        return found
    return clone(found, dtype=layer.dtype_policy.name)


def _like(layer: tf.keras.layers.Layer, call: Call) -> tf.keras.layers.Layer:
    """`layer` with the policy of another."""
    return clone(layer, dtype=call.layer.dtype_policy.name)
