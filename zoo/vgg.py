"""Real-valued VGG-small, for images of 32x32: the one that BNN+ and others make binary."""

from typing import Any

from larq_reactnet.zoo._real import Layers, chain, pool
from larq_reactnet.zoo.registry import register, variant_of

import tensorflow as tf

__all__ = ["VGGSmall", "features", "top"]


def features(x: tf.Tensor, layers: Layers) -> tf.Tensor:
    """Six 3x3 convolutions, with 2x2 max-pooling after every second."""
    x = layers.norm(layers.stem(x, 128, 3), 1)
    for index, filters in enumerate((128, 256, 256, 512, 512), 2):
        x = layers.conv(x, filters, 3, f"conv{index}")
        if index % 2 == 0:
            x = pool(x, 2, f"pool{index}")
        x = layers.norm(x, index)
    return x


def top(x: tf.Tensor, layers: Layers) -> tf.Tensor:
    """Nothing before the logits."""
    return x


@register(
    "vgg_small",
    paper="VGG",
    year=2014,
    url="https://arxiv.org/abs/1409.1556",
    small={"width": 0.125},
)
@variant_of(chain)
def VGGSmall(**kwargs: Any) -> tf.keras.Model:
    """VGG-small for images of 32x32, real-valued.

    Papers on binary networks call so a VGG of six 3x3 convolutions of 128, 128, 256, 256, 512 and
    512 channels with batch normalization, 2x2 max-pooling after every second, and one dense layer.
    They quote 94.1 % on CIFAR-10. `binarize_model` with style `"bnn_plus"` makes `BNNPlusVGGSmall`
    of it.

    References:
        - [Very Deep Convolutional Networks for Large-Scale Image
            Recognition](https://arxiv.org/abs/1409.1556)
    """
    return chain("vgg_small", 8, features, top, **kwargs)
