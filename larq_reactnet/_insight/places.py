"""Where a model has binary kernels, signs, thresholds and slopes, each with a name of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from larq_reactnet._latent import latent
from larq_reactnet.layers import LearnableBias, RPReLU
from larq_reactnet.profiling import KERNELS, flat_layers, is_binary_quantizer
from larq_reactnet.quantizers import RSign
from larq_reactnet.regularizers import ScaledRegularizer

import larq as lq
import numpy as np
import tensorflow as tf

__all__ = ["Kernel", "Places", "Reader", "Sign", "places_of"]

Reader: TypeAlias = Callable[[], np.ndarray]
Named: TypeAlias = tuple[str, tf.keras.layers.Layer, Any]  # a name, its layer, and what is meant


@dataclass(frozen=True)
class Kernel:
    """A binary kernel.

    Attributes:
        name: Name of its layer, with that of the kernel if the layer has several.
        layer: Its layer.
        variable: Larq's quantized variable, whose `latent_variable` is trained.
    """

    name: str
    layer: tf.keras.layers.Layer
    variable: Any

    @property
    def clip(self) -> float | None:
        """The magnitude at which a constraint clips the latent weights; `None` without one."""
        key = next(key for key in KERNELS if _of(self.layer, key) is self.variable)
        # Keras calls them `kernel_constraint`, `depthwise_constraint` and `pointwise_constraint`.
        constraint = _of(self.layer, KERNELS[key].replace("quantizer", "constraint"))
        return float(constraint.clip_value) if hasattr(constraint, "clip_value") else None

    @property
    def alpha(self) -> np.ndarray | None:
        """The scale of BNN+, `(filters,)` or a number, if its quantizer or regularizer has one."""
        quantizer = self.variable.quantizer
        if hasattr(quantizer, "alpha"):
            return np.asarray(quantizer.alpha.numpy())
        regularizer = getattr(self.layer, "kernel_regularizer", None)
        if isinstance(regularizer, ScaledRegularizer):
            return np.asarray(regularizer.get_config()["alpha"], np.float32)
        return None

    def read(self) -> np.ndarray:
        """The latent weights."""
        return np.asarray(latent(self.variable).numpy())


@dataclass(frozen=True)
class Sign:
    """A binary activation.

    Attributes:
        name: Name of the layer whose inputs are quantized, or of the quantizer if this stands in
            the network by itself.
        layer: That layer.
        quantizer: The quantizer, a layer or a function.
    """

    name: str
    layer: tf.keras.layers.Layer
    quantizer: Any

    @property
    def attribute(self) -> str:
        """The attribute of `layer` that is called with what is quantized."""
        return "call" if self.quantizer is self.layer else "input_quantizer"


@dataclass(frozen=True)
class Places:
    """Where there is something to look at, in the order of the layers.

    Attributes:
        kernels: The binary kernels.
        signs: The binary activations.
        thresholds: Functions that read the thresholds of every `RSign`, `(channels,)`. The bias of
            a `LearnableBias`, which stands before a sign, is a threshold times -1.
        slopes: Functions that read the slopes of every `RPReLU`, `(channels,)`.
    """

    kernels: list[Kernel]
    signs: list[Sign]
    thresholds: dict[str, Reader]
    slopes: dict[str, Reader]


def places_of(model: tf.keras.Model) -> Places:
    """The places of a model."""
    layers = _layers(model)
    signs = _signs(layers)
    thresholds: list[Named] = [
        (sign.name, sign.layer, sign.quantizer.threshold.numpy)
        for sign in signs
        if isinstance(sign.quantizer, RSign) and sign.quantizer.built
    ]
    slopes: list[Named] = []
    for layer in layers:
        if isinstance(layer, LearnableBias) and layer.built:
            thresholds.append((layer.name, layer, lambda bias=layer.bias: -bias.numpy()))
        if isinstance(layer, RPReLU) and layer.built:
            slopes.append((layer.name, layer, layer.slope.numpy))
    return Places(
        kernels=_kernels(layers),
        signs=signs,
        thresholds={name: read for name, _, read in _with_own_names(thresholds)},
        slopes={name: read for name, _, read in _with_own_names(slopes)},
    )


def _kernels(layers: list[tf.keras.layers.Layer]) -> list[Kernel]:
    found: list[Named] = []
    for layer in layers:
        names = [key for key in KERNELS if getattr(_of(layer, key), "precision", None) == 1]
        names = [key for key in names if hasattr(_of(layer, key), "latent_variable")]
        for key in names:
            name = layer.name if len(names) == 1 else f"{layer.name}/{key}"
            found.append((name, layer, _of(layer, key)))
    return [Kernel(name, layer, kernel) for name, layer, kernel in _with_own_names(found)]


def _signs(layers: list[tf.keras.layers.Layer]) -> list[Sign]:
    parts = ("input_quantizer", *KERNELS.values())
    owned = {id(_of(layer, part)) for layer in layers for part in parts}
    found: list[Named] = []
    for layer in layers:
        quantizer = _of(layer, "input_quantizer")
        if is_binary_quantizer(quantizer):
            found.append((layer.name, layer, quantizer))
        stands_alone = isinstance(layer, lq.quantizers.Quantizer) and id(layer) not in owned
        if stands_alone and is_binary_quantizer(layer):
            found.append((layer.name, layer, layer))
    return [Sign(name, layer, quantizer) for name, layer, quantizer in _with_own_names(found)]


def _layers(model: tf.keras.Model) -> list[tf.keras.layers.Layer]:
    """All layers, also those in other models and in wrappers, each once, in the model's order."""
    student = getattr(model, "student", model)
    found = {id(layer): layer for layer in flat_layers(student)}
    for module in model.submodules:  # of wrappers, of models that are subclassed
        is_layer = isinstance(module, tf.keras.layers.Layer)
        if is_layer and not isinstance(module, tf.keras.Model):
            found.setdefault(id(module), module)
    return [*found.values()]


def _of(layer: tf.keras.layers.Layer, attribute: str) -> Any:
    return getattr(layer, attribute, None)


def _with_own_names(found: list[Named]) -> list[Named]:
    """The same, where a name that occurred before has a number behind it."""
    seen: dict[str, int] = {}
    named: list[Named] = []
    for name, layer, what in found:
        seen[name] = seen.get(name, 0) + 1
        named.append((name if seen[name] == 1 else f"{name}#{seen[name]}", layer, what))
    return named
