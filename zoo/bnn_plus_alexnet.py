"""The AlexNets of BNN+ (Darabi et al., 2018), for CIFAR-10 and ImageNet.

The paper takes the AlexNet of Krizhevsky's "One weird trick" (2014), whose layers are listed in
`alexnet.py`. It does not say how the network is fitted to images of 32x32; `BNNPlusAlexNet` says
what is chosen here.
"""

from typing import Any

from larq_reactnet.zoo._bnn_plus import bnn_plus
from larq_reactnet.zoo.alexnet import large_features, small_features, top
from larq_reactnet.zoo.registry import register, variant_of

import tensorflow as tf

__all__ = ["BNNPlusAlexNet", "BNNPlusAlexNetImageNet"]

_ABOUT = {
    "paper": "BNN+",
    "year": 2018,
    "url": "https://arxiv.org/abs/1812.11800",
    "small": {"width": 0.125},
}


@register("bnn_plus_alexnet", **_ABOUT)
@variant_of(bnn_plus)
def BNNPlusAlexNet(**kwargs: Any) -> tf.keras.Model:
    """BNN+'s AlexNet for CIFAR-10; the paper (version 2) reports 87.4 %.

    Chosen here for images of 32x32: a stem of 5x5 and stride 1, and 3x3 in the second convolution.
    """
    return bnn_plus("bnn_plus_alexnet", 8, small_features, top, **kwargs)


@register("bnn_plus_alexnet_imagenet", **{**_ABOUT, "small_size": 64})
@variant_of(bnn_plus, input_shape=(224, 224, 3), num_classes=1000, strength=1e-7)
def BNNPlusAlexNetImageNet(**kwargs: Any) -> tf.keras.Model:
    """BNN+'s AlexNet for ImageNet; the paper reports 46.1 % top-1 (recalled, not checked).

    A stem of 11x11 and stride 4, and 5x5 in the second convolution, as in Krizhevsky's.
    """
    return bnn_plus("bnn_plus_alexnet_imagenet", 32, large_features, top, **kwargs)
