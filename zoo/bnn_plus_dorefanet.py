"""The DoReFa-Net of BNN+ (Darabi et al., 2018), for CIFAR-10."""

from typing import Any

from larq_reactnet.zoo._bnn_plus import bnn_plus
from larq_reactnet.zoo._real import Layers, pool
from larq_reactnet.zoo.registry import register, variant_of

import tensorflow as tf

__all__ = ["BNNPlusDoReFaNet"]


def _features(x: tf.Tensor, layers: Layers) -> tf.Tensor:
    x = layers.norm(pool(layers.stem(x, 48, 5, padding="valid"), 2, "pool1"), 1)
    x = layers.norm(layers.conv(x, 64, 3, "conv2"), 2)
    x = layers.norm(pool(layers.conv(x, 64, 3, "conv3"), 2, "pool3"), 3)
    x = layers.norm(layers.conv(x, 128, 3, "conv4", padding="valid"), 4)
    x = layers.norm(layers.conv(x, 128, 3, "conv5"), 5)
    return layers.norm(layers.conv(x, 128, 3, "conv6", padding="valid"), 6)


@register(
    "bnn_plus_dorefanet",
    paper="BNN+",
    year=2018,
    url="https://arxiv.org/abs/1812.11800",
    small={"width": 0.25},
)
@variant_of(bnn_plus)
def BNNPlusDoReFaNet(**kwargs: Any) -> tf.keras.Model:
    """BNN+'s DoReFa-Net for CIFAR-10; the paper (version 2) reports 83.9 %.

    The paper does not list its layers. Chosen here is the network that DoReFa-Net's authors publish
    for digits of 40x40 (48 channels of 5x5, twice 64 and three times 128 of 3x3, 512 over all that
    is left), with batch normalization after every convolution.
    """
    # The smallest images have 22 pixels: the 5x5 convolution leaves 18 of them, the two poolings 9
    # and 5, and the two 3x3 convolutions without padding 3 and 1.
    return bnn_plus(
        "bnn_plus_dorefanet", 22, _features, lambda x, layers: layers.dense(x, 512, 7), **kwargs
    )
