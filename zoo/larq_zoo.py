"""Larq Zoo's own models (Plumerai, Apache-2.0) by the names of this zoo.

They are Larq Zoo's code, called with random weights. What is added is what all of this zoo has:
`classifier_activation`, clear errors, weights from our table, and that Keras can load them again,
which it refuses for `Lambda` layers and plain functions.
"""

import importlib
from dataclasses import dataclass
from typing import Any

from larq_reactnet._larq_zoo import FUNCTIONS, LarqZooInitializer, LarqZooQuantizer
from larq_reactnet.zoo._build import finish, image_input
from larq_reactnet.zoo.registry import register, variant_of

import tensorflow as tf

__all__: list[str] = []


@dataclass(frozen=True)
class _Model:
    """A constructor of Larq Zoo, the smallest images that it takes, and where it comes from.

    Attributes:
        small_size: Size of images for tests: below it, maps get smaller than the 3x3 kernels, whose
            zero padding LCE then computes wrongly.
    """

    constructor: str
    smallest: int
    paper: str
    year: int
    arxiv: str
    small_size: int = 32


_BACK = ("Back to Simplicity", 2019, "1906.08637")
_QUICKNET = ("QuickNet", 2020, "2011.09398")

_MODELS = {
    "binary_alexnet": _Model("literature.BinaryAlexNet", 57, "BinaryNet", 2016, "1602.02830", 57),
    "binary_densenet28": _Model("literature.BinaryDenseNet28", 8, *_BACK),
    "binary_densenet37": _Model("literature.BinaryDenseNet37", 8, *_BACK),
    "binary_densenet37_dilated": _Model("literature.BinaryDenseNet37Dilated", 8, *_BACK),
    "binary_densenet45": _Model("literature.BinaryDenseNet45", 8, *_BACK),
    "binary_resnet_e18": _Model("literature.BinaryResNetE18", 8, *_BACK),
    "birealnet18": _Model("literature.BiRealNet", 32, "Bi-Real Net", 2018, "1808.00278", 96),
    "dorefanet": _Model("literature.DoReFaNet", 44, "DoReFa-Net", 2016, "1606.06160", 44),
    "quicknet": _Model("sota.QuickNet", 29, *_QUICKNET),
    "quicknet_large": _Model("sota.QuickNetLarge", 29, *_QUICKNET),
    "quicknet_small": _Model("sota.QuickNetSmall", 29, *_QUICKNET),
    "real_to_binary_net": _Model(
        "literature.RealToBinaryNet", 32, "Real-to-Binary", 2020, "2003.11535", 96
    ),
    "xnornet": _Model("literature.XNORNet", 217, "XNOR-Net", 2016, "1603.05279", 217),
}


def _larq_zoo(
    name: str,
    *,
    input_shape: tuple[int | None, ...] | None = None,
    input_tensor: tf.Tensor | None = None,
    weights: str | None = None,
    include_top: bool = True,
    num_classes: int = 1000,
    classifier_activation: str | None = "softmax",
) -> tf.keras.Model:
    """A model of Larq Zoo."""
    module, _, constructor = _MODELS[name].constructor.partition(".")
    inputs = image_input(input_shape, input_tensor, _MODELS[name].smallest)
    # Imported here, because it loads tensorflow-datasets.
    original = getattr(importlib.import_module(f"larq_zoo.{module}"), constructor)(
        input_shape=tuple(inputs.shape[1:]),
        weights=None,
        include_top=include_top,
        num_classes=num_classes,
    )
    # Larq Zoo takes no Keras tensor as input, so the layers are called anew, on ours.
    model = tf.keras.models.clone_model(original, inputs, clone_function=_serializable)
    outputs = model.output
    if include_top:
        logits = model.layers[-1].input
        outputs = tf.keras.layers.Activation(classifier_activation, dtype="float32", name="output")(
            logits
        )
    return finish(inputs, outputs, name, weights)


def _serializable(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
    """A copy of `layer` that Keras can load again after saving."""
    if isinstance(layer, tf.keras.layers.Lambda):  # the identity
        return tf.keras.layers.Activation("linear", name=layer.name)
    if getattr(getattr(layer, "activation", None), "__name__", "") == "clip_by_value_activation":
        return tf.keras.layers.ReLU(max_value=1.0, name=layer.name)
    config = layer.get_config()
    for key, wrapper in (
        ("kernel_quantizer", LarqZooQuantizer),
        ("depthwise_initializer", LarqZooInitializer),
    ):
        name = getattr(getattr(layer, key, None), "__name__", "")
        for path in FUNCTIONS:
            if path.rpartition(".")[2] == name:
                config[key] = wrapper(path)
    return type(layer).from_config(config)


def _enter(name: str, model: _Model) -> None:
    """Register `model`."""

    def constructor(**kwargs: Any) -> tf.keras.Model:
        return _larq_zoo(name, **kwargs)

    constructor.__name__ = model.constructor.rpartition(".")[2]
    constructor.__doc__ = f"Larq Zoo's {constructor.__name__} ({model.paper}, {model.year})."
    register(
        name,
        paper=model.paper,
        year=model.year,
        url=f"https://arxiv.org/abs/{model.arxiv}",
        small_size=model.small_size,
    )(variant_of(_larq_zoo)(constructor))


for _name, _model in _MODELS.items():
    _enter(_name, _model)
