"""Larq Zoo's own models (Plumerai, Apache-2.0) by the names of this zoo.

They are Larq Zoo's code, called with random weights. What is added is what all of this zoo has:
`classifier_activation`, clear errors, weights from our table, and that Keras can load them again,
which it refuses for `Lambda` layers and plain functions.
"""

import importlib
from typing import Any

from larq_reactnet._larq_zoo import FUNCTIONS, LarqZooInitializer, LarqZooQuantizer
from larq_reactnet._types import ImageShape
from larq_reactnet.zoo._build import finish, image_input
from larq_reactnet.zoo.registry import register, variant_of

import tensorflow as tf

__all__ = [
    "BiRealNet18",
    "BinaryAlexNet",
    "BinaryDenseNet28",
    "BinaryDenseNet37",
    "BinaryDenseNet37Dilated",
    "BinaryDenseNet45",
    "BinaryResNetE18",
    "DoReFaNet",
    "QuickNet",
    "QuickNetLarge",
    "QuickNetSmall",
    "RealToBinaryNet",
    "XNORNet",
]

_ARXIV = "https://arxiv.org/abs/"
_BACK = {"paper": "Back to Simplicity", "year": 2019, "url": f"{_ARXIV}1906.08637"}
_QUICKNET = {"paper": "QuickNet", "year": 2020, "url": f"{_ARXIV}2011.09398"}

# Where a `small_size` is given below, the maps of smaller images would be smaller than the 3x3
# kernels, whose zero padding LCE then computes wrongly, or the network does not take such images.


def _larq_zoo(
    name: str,
    original: str,
    smallest: int,
    *,
    input_shape: ImageShape | None = None,
    input_tensor: tf.Tensor | None = None,
    weights: str | None = None,
    include_top: bool = True,
    num_classes: int = 1000,
    classifier_activation: str | None = "softmax",
) -> tf.keras.Model:
    """The model that the constructor `original` of Larq Zoo makes, as one of this zoo."""
    module, _, constructor = original.partition(".")
    inputs = image_input(input_shape, input_tensor, include_top, smallest)
    # Imported here, because it loads tensorflow-datasets.
    theirs = getattr(importlib.import_module(f"larq_zoo.{module}"), constructor)(
        input_shape=tuple(inputs.shape[1:]),
        weights=None,
        include_top=include_top,
        num_classes=num_classes,
    )
    # Larq Zoo does not take a Keras tensor as input, so the layers are called anew, on ours.
    model = tf.keras.models.clone_model(theirs, inputs, clone_function=_serializable)
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


@register("binary_alexnet", paper="BinaryNet", year=2016, url=f"{_ARXIV}1602.02830", small_size=57)
@variant_of(_larq_zoo)
def BinaryAlexNet(**kwargs: Any) -> tf.keras.Model:
    """BinaryNet on AlexNet (Hubara et al., 2016)."""
    return _larq_zoo("binary_alexnet", "literature.BinaryAlexNet", 57, **kwargs)


@register("binary_densenet28", **_BACK)
@variant_of(_larq_zoo)
def BinaryDenseNet28(**kwargs: Any) -> tf.keras.Model:
    """BinaryDenseNet-28 (Bethge et al., 2019)."""
    return _larq_zoo("binary_densenet28", "literature.BinaryDenseNet28", 8, **kwargs)


@register("binary_densenet37", **_BACK)
@variant_of(_larq_zoo)
def BinaryDenseNet37(**kwargs: Any) -> tf.keras.Model:
    """BinaryDenseNet-37 (Bethge et al., 2019)."""
    return _larq_zoo("binary_densenet37", "literature.BinaryDenseNet37", 8, **kwargs)


@register("binary_densenet37_dilated", **_BACK)
@variant_of(_larq_zoo)
def BinaryDenseNet37Dilated(**kwargs: Any) -> tf.keras.Model:
    """BinaryDenseNet-37 with dilated convolutions in its last blocks (Bethge et al., 2019)."""
    return _larq_zoo("binary_densenet37_dilated", "literature.BinaryDenseNet37Dilated", 8, **kwargs)


@register("binary_densenet45", **_BACK)
@variant_of(_larq_zoo)
def BinaryDenseNet45(**kwargs: Any) -> tf.keras.Model:
    """BinaryDenseNet-45 (Bethge et al., 2019)."""
    return _larq_zoo("binary_densenet45", "literature.BinaryDenseNet45", 8, **kwargs)


@register("binary_resnet_e18", **_BACK)
@variant_of(_larq_zoo)
def BinaryResNetE18(**kwargs: Any) -> tf.keras.Model:
    """BinaryResNetE-18 (Bethge et al., 2019)."""
    return _larq_zoo("binary_resnet_e18", "literature.BinaryResNetE18", 8, **kwargs)


@register("birealnet18", paper="Bi-Real Net", year=2018, url=f"{_ARXIV}1808.00278", small_size=96)
@variant_of(_larq_zoo)
def BiRealNet18(**kwargs: Any) -> tf.keras.Model:
    """Bi-Real Net 18 (Liu et al., 2018)."""
    return _larq_zoo("birealnet18", "literature.BiRealNet", 32, **kwargs)


@register("dorefanet", paper="DoReFa-Net", year=2016, url=f"{_ARXIV}1606.06160", small_size=44)
@variant_of(_larq_zoo)
def DoReFaNet(**kwargs: Any) -> tf.keras.Model:
    """DoReFa-Net on AlexNet (Zhou et al., 2016), whose activations have two bits."""
    return _larq_zoo("dorefanet", "literature.DoReFaNet", 44, **kwargs)


@register("quicknet", **_QUICKNET)
@variant_of(_larq_zoo)
def QuickNet(**kwargs: Any) -> tf.keras.Model:
    """QuickNet (Bannink et al., 2020)."""
    return _larq_zoo("quicknet", "sota.QuickNet", 29, **kwargs)


@register("quicknet_large", **_QUICKNET)
@variant_of(_larq_zoo)
def QuickNetLarge(**kwargs: Any) -> tf.keras.Model:
    """QuickNet Large (Bannink et al., 2020)."""
    return _larq_zoo("quicknet_large", "sota.QuickNetLarge", 29, **kwargs)


@register("quicknet_small", **_QUICKNET)
@variant_of(_larq_zoo)
def QuickNetSmall(**kwargs: Any) -> tf.keras.Model:
    """QuickNet Small (Bannink et al., 2020)."""
    return _larq_zoo("quicknet_small", "sota.QuickNetSmall", 29, **kwargs)


@register(
    "real_to_binary_net",
    paper="Real-to-Binary",
    year=2020,
    url=f"{_ARXIV}2003.11535",
    small_size=96,
)
@variant_of(_larq_zoo)
def RealToBinaryNet(**kwargs: Any) -> tf.keras.Model:
    """Real-to-Binary Net (Martinez et al., 2020)."""
    return _larq_zoo("real_to_binary_net", "literature.RealToBinaryNet", 32, **kwargs)


@register("xnornet", paper="XNOR-Net", year=2016, url=f"{_ARXIV}1603.05279", small_size=217)
@variant_of(_larq_zoo)
def XNORNet(**kwargs: Any) -> tf.keras.Model:
    """XNOR-Net on AlexNet (Rastegari et al., 2016)."""
    return _larq_zoo("xnornet", "literature.XNORNet", 217, **kwargs)
