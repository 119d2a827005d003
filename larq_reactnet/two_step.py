"""ReActNet's two-step training: binary activations first, then binary weights too."""

from collections.abc import Callable
from typing import Any

from larq_reactnet.quantizers import BNNPlusSign

import larq as lq
import tensorflow as tf

__all__ = ["binarize_weights"]


def binarize_weights(
    model: tf.keras.Model,
    kernel_quantizer: Any = "react_sign",
    print_fn: Callable[[str], Any] | None = print,
) -> tf.keras.Model:
    """The step-2 model of `model`: the same network and weights, with binary kernels.

    Every Larq layer that has a binary `input_quantizer` and a real-valued kernel gets
    `kernel_quantizer`. Every weight is carried over, latent weights included, or nothing is
    returned. (The official script for ReActNet-A loses the convolutions' weights at this point,
    because they are named differently in its two steps.) The optimizer's state is not carried
    over: compile the new model.

    !!! example
        ```python
        model = lr.zoo.ReActNetA(..., weights=None, binary_weights=False)
        model.compile(...)
        model.fit(...)
        model = lr.binarize_weights(model)
        model.compile(...)
        model.fit(...)
        ```

    Args:
        model: Functional or sequential model that was trained in step 1; it is not changed.
        kernel_quantizer: Name, instance or config of a kernel quantizer; each layer gets its own
            copy. The scale of `BNNPlusSign` is computed from the carried weights.
        print_fn: Told in one line what was carried over; `None` for silence.

    Raises:
        ValueError: If no layer has binary inputs and real-valued weights.
    """
    config = lq.quantizers.serialize(lq.quantizers.get(kernel_quantizer))
    if isinstance(config, dict):
        config.pop("build_config", None)
    changed = []

    def clone(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        layer_config = layer.get_config()
        if _has_real_kernel(layer):
            changed.append(layer.name)
            layer_config["kernel_quantizer"] = config
        return type(layer).from_config(layer_config)

    twin = tf.keras.models.clone_model(model, clone_function=clone)
    if not changed:
        raise ValueError(
            f"{model.name!r} has no layer with binary inputs and real-valued weights; build it "
            "with `binary_weights=False` for step 1."
        )

    # By layer and position, which names do not tell: a quantizer that Keras builds while it reads a
    # config is named without its layer.
    carried = 0
    for old, new in zip(model.layers, twin.layers, strict=True):
        for source, target in zip(_variables(old), _variables(new), strict=True):
            target.assign(source)
            carried += 1
        if isinstance(quantizer := getattr(new, "kernel_quantizer", None), BNNPlusSign):
            quantizer.reset_alpha(new.kernel.latent_variable)
    if carried != len(model.weights):
        raise ValueError(f"{carried} of {len(model.weights)} weights were carried over.")
    if print_fn is not None:
        print_fn(
            f"{model.name}: carried over all {carried} weights "
            f"({model.count_params():,} numbers); {len(changed)} kernels are now binary."
        )
    return twin


def _has_real_kernel(layer: tf.keras.layers.Layer) -> bool:
    binary_input = getattr(getattr(layer, "input_quantizer", None), "precision", None) == 1
    return binary_input and getattr(layer, "kernel_quantizer", True) is None


def _variables(layer: tf.keras.layers.Layer) -> list[tf.Variable]:
    """The variables of a layer but those of its kernel quantizer; for a kernel, its latent one."""
    quantizer = getattr(layer, "kernel_quantizer", None)
    scales = {id(variable) for variable in getattr(quantizer, "weights", ())}
    variables = [getattr(variable, "latent_variable", variable) for variable in layer.weights]
    return [variable for variable in variables if id(variable) not in scales]
