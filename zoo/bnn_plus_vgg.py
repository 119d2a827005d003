"""The VGG-small of BNN+ (Darabi et al., 2018), for CIFAR-10."""

from typing import Any

from larq_reactnet.zoo._bnn_plus import bnn_plus
from larq_reactnet.zoo.registry import register, variant_of
from larq_reactnet.zoo.vgg import features, top

import tensorflow as tf

__all__ = ["BNNPlusVGGSmall"]


@register(
    "bnn_plus_vgg_small",
    paper="BNN+",
    year=2018,
    url="https://arxiv.org/abs/1812.11800",
    small={"width": 0.125},
)
@variant_of(bnn_plus)
def BNNPlusVGGSmall(**kwargs: Any) -> tf.keras.Model:
    """BNN+'s VGG-small for CIFAR-10; the paper (version 1) reports 91.3 %.

    The paper's layer list is not known for certain. Chosen here is what later papers, which quote
    its 91.3 %, call VGG-small: six 3x3 convolutions of 128, 128, 256, 256, 512 and 512 channels
    with 2x2 max-pooling after every second, and one dense layer, which is real. `width=2` comes
    close to the other candidate (256 to 1024 channels), but for its two binary dense layers.
    """
    return bnn_plus("bnn_plus_vgg_small", 8, features, top, **kwargs)
