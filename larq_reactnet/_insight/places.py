"""Where a model has binary kernels, signs, thresholds and slopes, each with a name of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from larq_reactnet._latent import latent
from larq_reactnet.layers import LearnableBias, RPReLU
from larq_reactnet.profiling import KERNELS, flat_layers, is_binary_quantizer
from larq_reactnet.quantizers import RSign
from larq_reactnet.regularizers import ScaledRegularizer

import larq as lq
import numpy as np
import tensorflow as tf

__all__ = ["Kernel", "Sign", "kernels_of", "signs_of", "slopes_of", "thresholds_of"]


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


def kernels_of(model: tf.keras.Model) -> list[Kernel]:
    """The binary kernels of a model, in the order of its layers."""
    found = []
    for layer in _layers(model):
        names = [key for key in KERNELS if getattr(_of(layer, key), "precision", None) == 1]
        names = [key for key in names if hasattr(_of(layer, key), "latent_variable")]
        for key in names:
            name = layer.name if len(names) == 1 else f"{layer.name}/{key}"
            found.append((name, layer, _of(layer, key)))
    return [Kernel(name, layer, kernel) for name, layer, kernel in _with_own_names(found)]


def signs_of(model: tf.keras.Model) -> list[Sign]:
    """The binary activations of a model, in the order of its layers."""
    layers = _layers(model)
    parts = ("input_quantizer", *KERNELS.values())
    owned = {id(_of(layer, part)) for layer in layers for part in parts}
    found: list[tuple[str, tf.keras.layers.Layer, Any]] = []
    for layer in layers:
        quantizer = _of(layer, "input_quantizer")
        if is_binary_quantizer(quantizer):
            found.append((layer.name, layer, quantizer))
        stands_alone = isinstance(layer, lq.quantizers.Quantizer) and id(layer) not in owned
        if stands_alone and is_binary_quantizer(layer):
            found.append((layer.name, layer, layer))
    return [Sign(name, layer, quantizer) for name, layer, quantizer in _with_own_names(found)]


def thresholds_of(model: tf.keras.Model) -> dict[str, Callable[[], np.ndarray]]:
    """Functions that read the thresholds of every `RSign`, `(channels,)`.

    The bias of a `LearnableBias`, which stands before a sign, is a threshold times -1.
    """
    found: list[tuple[str, tf.keras.layers.Layer, Any]] = []
    for sign in signs_of(model):
        if isinstance(sign.quantizer, RSign) and sign.quantizer.built:
            found.append((sign.name, sign.layer, sign.quantizer.threshold.numpy))
    for layer in _layers(model):
        if isinstance(layer, LearnableBias) and layer.built:
            found.append((layer.name, layer, lambda bias=layer.bias: -bias.numpy()))
    return {name: read for name, _, read in _with_own_names(found)}


def slopes_of(model: tf.keras.Model) -> dict[str, Callable[[], np.ndarray]]:
    """Functions that read the slopes of every `RPReLU`, `(channels,)`."""
    found = [
        (layer.name, layer, layer.slope.numpy)
        for layer in _layers(model)
        if isinstance(layer, RPReLU) and layer.built
    ]
    return {name: read for name, _, read in _with_own_names(found)}


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


def _with_own_names(
    found: list[tuple[str, tf.keras.layers.Layer, Any]],
) -> list[tuple[str, tf.keras.layers.Layer, Any]]:
    """The same, where a name that occurred before has a number behind it."""
    seen: dict[str, int] = {}
    named = []
    for name, layer, what in found:
        seen[name] = seen.get(name, 0) + 1
        named.append((name if seen[name] == 1 else f"{name}#{seen[name]}", layer, what))
    return named
