"""ReActNet's two-step training: binary activations first, then binary weights too."""

from collections.abc import Callable

from larq_reactnet._latent import latent
from larq_reactnet._types import Quantizer
from larq_reactnet.profiling import flat_layers
from larq_reactnet.quantizers import BNNPlusSign

import larq as lq
import tensorflow as tf

__all__ = ["binarize_weights", "carry_over"]


def binarize_weights(
    model: tf.keras.Model,
    kernel_quantizer: Quantizer = "react_sign",
    print_fn: Callable[[str], object] | None = print,
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
        print_fn: Function that gets a line about what was carried over; `None` for silence.

    Raises:
        ValueError: If no layer has binary inputs and real-valued weights, or `kernel_quantizer` is
            not binary.
    """
    quantizer = lq.quantizers.get(kernel_quantizer)
    if getattr(quantizer, "precision", None) != 1 or isinstance(quantizer, type):
        raise ValueError(
            f"`kernel_quantizer` must be a binary quantizer, got {kernel_quantizer!r}."
        )
    config = lq.quantizers.serialize(quantizer)
    if isinstance(config, dict):
        config.pop("build_config", None)
    changed = []

    def clone(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        if isinstance(layer, tf.keras.Model):
            return tf.keras.models.clone_model(layer, clone_function=clone)
        layer_config = layer.get_config()
        if _has_real_kernel(layer):
            changed.append(layer.name)
            layer_config["kernel_quantizer"] = config
        return type(layer).from_config(layer_config)

    twin = clone(model)
    if not changed:
        raise ValueError(
            f"{model.name!r} has no layer with binary inputs and real-valued weights; build it "
            "with `binary_weights=False` for step 1."
        )
    return carry_over(model, twin, print_fn)


def carry_over(
    step1: tf.keras.Model,
    step2: tf.keras.Model,
    print_fn: Callable[[str], object] | None = print,
) -> tf.keras.Model:
    """Give `step2`, the same network with binary weights, every weight of `step1`.

    Args:
        step1: Trained model; it is not changed.
        step2: Model of the same layers, whose kernel quantizers alone may differ. The scale of a
            `BNNPlusSign` is computed from the carried weights.
        print_fn: Function that gets a line about what was carried over; `None` for silence.

    Returns:
        `step2`.

    Raises:
        ValueError: If the models differ in more than kernel quantizers; nothing is changed then.
    """
    # Weights are matched by layer and position. Names do not tell: a quantizer that Keras builds
    # while it reads a config has weights whose names lack that of the layer.
    old_layers, new_layers = flat_layers(step1), flat_layers(step2)
    if len(old_layers) != len(new_layers):
        raise ValueError(
            f"{step1.name!r} has {len(old_layers)} layers and {step2.name!r} {len(new_layers)}: "
            "they are not the same network."
        )
    layers = list(zip(old_layers, new_layers, strict=True))
    pairs: list[tuple[tf.Variable, tf.Variable]] = []
    for old, new in layers:
        sources, targets = _variables(old), _variables(new)
        if _kernel_quantizer(old) is not _kernel_quantizer(new):
            targets = [v for v in targets if not _is_scale(v, new)]
        if [v.shape for v in sources] != [v.shape for v in targets]:
            raise ValueError(f"The layers {old.name!r} and {new.name!r} differ in their weights.")
        pairs += zip(sources, targets, strict=True)
    for source, target in pairs:
        target.assign(source)
    became_binary = [
        new for old, new in layers if _kernel_quantizer(old) is not _kernel_quantizer(new)
    ]
    for layer in became_binary:
        if isinstance(layer.kernel_quantizer, BNNPlusSign):
            layer.kernel_quantizer.reset_alpha(latent(layer.kernel))
    if print_fn is not None:
        print_fn(
            f"{step1.name}: carried over all {len(pairs)} weights "
            f"({step1.count_params():,} numbers); {len(became_binary)} kernels are now binary."
        )
    return step2


def _has_real_kernel(layer: tf.keras.layers.Layer) -> bool:
    binary_input = getattr(getattr(layer, "input_quantizer", None), "precision", None) == 1
    return binary_input and getattr(layer, "kernel_quantizer", True) is None


def _kernel_quantizer(layer: tf.keras.layers.Layer) -> type | None:
    quantizer = getattr(layer, "kernel_quantizer", None)
    return None if quantizer is None else type(quantizer)


def _variables(layer: tf.keras.layers.Layer) -> list[tf.Variable]:
    """The variables of a layer; for a kernel, its latent one."""
    return [latent(variable) for variable in layer.weights]


def _is_scale(variable: tf.Variable, layer: tf.keras.layers.Layer) -> bool:
    """Whether `variable` belongs to the kernel quantizer of `layer`."""
    return any(variable is scale for scale in getattr(layer.kernel_quantizer, "weights", ()))
