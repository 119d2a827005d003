"""`binarize_model`: a real network as a binary one."""

from collections.abc import Callable, Iterable
from typing import Any

from larq_reactnet._graph.calls import Call, Tensors, call_again, model_like, new_inputs
from larq_reactnet._graph.parts import is_functional
from larq_reactnet._keras import refuse_keras_3
from larq_reactnet._names import nearest
from larq_reactnet._progress import patient_bar
from larq_reactnet._types import Quantizer
from larq_reactnet.binarizing.network import Network
from larq_reactnet.binarizing.reporting import Binarization, described
from larq_reactnet.binarizing.staying import Choice
from larq_reactnet.binarizing.styles import ACTIVATIONS, style_of
from larq_reactnet.binarizing.unfolding import DEPTHWISE, POINTWISE, unfolded
from larq_reactnet.binarizing.units import planned
from larq_reactnet.binarizing.writing import Form, Writer
from larq_reactnet.profiling import flat_layers, is_binary_quantizer

import larq as lq
import tensorflow as tf

__all__ = ["binarize_model"]

_OF_THE_STYLE = "auto"


def binarize_model(
    model: tf.keras.Model,
    style: str = "reactnet",
    *,
    skip: Iterable[str] = (),
    shortcuts: bool | None = None,
    binary_weights: bool = True,
    input_quantizer: Quantizer = None,
    kernel_quantizer: Quantizer = None,
    activation: str | None = _OF_THE_STYLE,
    widen: bool | None = None,
    report: Callable[[Binarization], object] | None = print,
) -> tf.keras.Model:
    """A binary network of the form of `model`, with its weights to start from.

    A convolution, with its batch normalization and activation in any usual order, becomes sign,
    `QuantConv2D`, batch normalization, shortcut and activation. The first layer, the last one, and
    what stands behind a global pooling stay real, and so does every layer that has no binary form:
    the report says why.

    | style | signs of inputs | of kernels | activation | shortcuts |
    | --- | --- | --- | --- | --- |
    | `"reactnet"` | `RSign` | `ReActSign` | `RPReLU` | around every convolution where one fits |
    | `"birealnet"` | `approx_sign` | `magnitude_aware_sign` | none | the same |
    | `"bnn_plus"` | `SwishSign(5)` | `BNNPlusSign(5, R1(1e-6))` | none | those of the model |
    | `"plain"` | `ste_sign` | `ste_sign` | none | those of the model |

    A shortcut has no parameters: it is the identity, the 2x2 average at stride 2, and that twice
    side by side where channels double. Where none of these fits, there is none. In the first two
    styles, the basic block of a ResNet gets one around each convolution in place of that around
    both, with average pooling before a real 1x1 convolution in place of the strided one.

    A depthwise convolution becomes a full one, as in ReActNet, but stays real behind a layer that
    makes more than twice as many channels of what it takes, as in MobileNetV2.

    !!! example
        ```python
        model = tf.keras.applications.MobileNet((64, 64, 3), weights=None, classes=10)
        step1 = lr.binarize_model(model, binary_weights=False)
        step1.compile(...)
        step1.fit(...)
        step2 = lr.binarize_weights(step1)
        ```

    Args:
        model: Functional or sequential model, trained or not. It is not changed. The layers of
            inner models are layers of the new one.
        style: One of those above.
        skip: Names of layers, or of inner models, that stay real.
        shortcuts: Whether convolutions get shortcuts that `model` does not have; by default as the
            style says.
        binary_weights: `False` for step 1 of two-step training, where weights are real. For step 2,
            give `binarize_weights` the `kernel_quantizer` of the style, if it is another one than
            `"reactnet"`.
        input_quantizer: Name, instance or config of a binary quantizer in place of the style's.
            Each layer gets its own.
        kernel_quantizer: The same for kernels.
        activation: `"rprelu"`, `"prelu"` or `None`, in place of the style's.
        widen: `True` makes every depthwise convolution a full one, `False` none.
        report: Function that gets the `Binarization`, a table of what every layer became; by
            default it is printed. `None` for silence.

    Raises:
        ValueError: If `model` is not functional or sequential, or has binary layers already, or no
            layer that can become binary; if `skip` has a name that is no layer's; or if a value is
            none of those above.
    """
    _check(model)
    row = style_of(style)
    if activation == _OF_THE_STYLE:
        activation = row.activation
    if activation is not None and activation not in ACTIVATIONS:
        names = ", ".join(map(repr, ACTIVATIONS))
        raise ValueError(f"`activation` must be {names} or None, got {activation!r}.")
    own_input, own_kernel = input_quantizer is not None, kernel_quantizer is not None
    make_input = _maker(input_quantizer, "input_quantizer") if own_input else row.input_quantizer
    make_kernel = (
        _maker(kernel_quantizer, "kernel_quantizer") if own_kernel else row.kernel_quantizer
    )
    form = Form(
        row,
        make_input,
        make_kernel if binary_weights else lambda: None,
        activation,
        row.shortcuts if shortcuts is None else shortcuts,
        None if own_input else row.branches,
    )
    network = Network(unfolded(model))
    choice = Choice(_skipped(model, network, skip), widen)
    plan = planned(network, row, choice, activation)
    if not plan.units:
        found = {call.layer.name: reason for call, reason in plan.reasons}
        reasons = "; ".join(f"{name}: {reason}" for name, reason in found.items())
        raise ValueError(
            f"{model.name!r} has no layer that can become binary. {reasons or 'It has no kernels'}."
        )
    writer = Writer(network, plan, form)
    inputs = new_inputs(network.model)
    with patient_bar(
        total=len(network.calls),
        desc=f"Making {model.name} binary",
        unit="layer",
        disable=report is None,
    ) as bar:

        def replace(call: Call, tensors: Tensors) -> Any:
            bar.update()
            return writer.replace(call, tensors)

        tensors = call_again(network.model, inputs, replace)
    outputs = [tensors[id(tensor)] for tensor in network.model.outputs]
    binary = model_like(model, inputs, outputs)
    if report is not None:
        report(described(network, plan, writer, binary, style))
    return binary


def _check(model: Any) -> None:
    refuse_keras_3(model)
    if not is_functional(model):
        raise ValueError(
            f"{getattr(model, 'name', model)!r} cannot be binarized: it must be a functional or "
            "sequential Keras model that is built. The calls of a subclassed model are not known: "
            "write it as `tf.keras.Model(inputs, outputs)`."
        )
    signs = [
        layer.name
        for layer in flat_layers(model)
        if is_binary_quantizer(layer)
        or is_binary_quantizer(getattr(layer, "input_quantizer", None))
        or is_binary_quantizer(getattr(layer, "kernel_quantizer", None))
    ]
    if signs:
        more = f" and {len(signs) - 1} more" if len(signs) > 1 else ""
        raise ValueError(
            f"{model.name!r} is binary already: {signs[0]}{more}. For its second step, see "
            "`binarize_weights`."
        )


def _skipped(model: tf.keras.Model, network: Network, skip: Iterable[str]) -> set[str]:
    """The names that layers named by `skip` have in the unfolded model.

    Names of the unfolded model, which the report has, are understood too.
    """
    skip = [skip] if isinstance(skip, str) else list(skip)
    own = {call.layer.name: {call.layer.name} for call in network.calls}
    every = own | _names(model, "")
    unknown = [name for name in skip if name not in every]
    if unknown:
        raise ValueError(
            f"`skip` names {unknown[0]!r}, which is no layer of {model.name!r}."
            f"{nearest(unknown[0], every)}"
        )
    found = {new for name in skip for new in every[name]}
    return found | {name + end for name in found for end in (DEPTHWISE, POINTWISE)}


def _names(model: tf.keras.Model, prefix: str) -> dict[str, set[str]]:
    """The names of layers and inner models, each with what flattening may make of it."""
    names: dict[str, set[str]] = {}
    for layer in model.layers:
        if isinstance(layer, tf.keras.Model) and layer.inputs:
            inside = _names(layer, f"{prefix}{layer.name}_")
            names |= {name: names.get(name, set()) | found for name, found in inside.items()}
            names[layer.name] = set().union(*inside.values())
        else:
            names.setdefault(layer.name, set()).update({layer.name, prefix + layer.name})
    return names


def _maker(quantizer: Quantizer, argument: str) -> Callable[[], Quantizer]:
    """What makes a new quantizer like `quantizer` for each layer."""
    found = lq.quantizers.get(quantizer)
    if not is_binary_quantizer(found) or isinstance(found, type):
        raise ValueError(f"`{argument}` must be a binary quantizer, got {quantizer!r}.")
    config = lq.quantizers.serialize(found)
    if isinstance(config, dict):
        config.pop("build_config", None)
    return lambda: config
