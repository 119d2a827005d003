"""The AlexNets of BNN+ (Darabi et al., 2018), for CIFAR-10 and ImageNet.

The paper takes the AlexNet of Krizhevsky's "One weird trick" (2014), with its widths 64, 192, 384,
256, 256, 4096, 4096 and 3x3 max-pooling after the first, second and fifth convolution. It does not
say how the network is fitted to images of 32x32; `BNNPlusAlexNet` says what is chosen here.
"""

from typing import Any

from larq_reactnet.zoo._bnn_plus import Layers, bnn_plus, pool
from larq_reactnet.zoo._layers import batch_norm
from larq_reactnet.zoo.registry import register, variant_of

import tensorflow as tf

__all__ = ["BNNPlusAlexNet", "BNNPlusAlexNetImageNet"]

_ABOUT = {
    "paper": "BNN+",
    "year": 2018,
    "url": "https://arxiv.org/abs/1812.11800",
    "small": {"width": 0.125},
}


def _features(x: tf.Tensor, layers: Layers, kernel_sizes: tuple[int, int], stem: int) -> tf.Tensor:
    """Five convolutions, the first two with `kernel_sizes`, the first with stride `stem`."""
    x = layers.stem(x, 64, kernel_sizes[0], strides=stem)
    x = batch_norm("bn1")(pool(x, 3, "pool1"))
    for index, filters in enumerate((192, 384, 256, 256), 2):
        x = layers.conv(x, filters, kernel_sizes[1] if index == 2 else 3, f"conv{index}")
        if index in (2, 5):
            x = pool(x, 3, f"pool{index}")
        x = batch_norm(f"bn{index}")(x)
    return x


def _top(x: tf.Tensor, layers: Layers) -> tf.Tensor:
    return layers.dense(layers.dense(x, 4096, 6), 4096, 7)


@register("bnn_plus_alexnet", **_ABOUT)
@variant_of(bnn_plus)
def BNNPlusAlexNet(**kwargs: Any) -> tf.keras.Model:
    """BNN+'s AlexNet for CIFAR-10; the paper (version 2) reports 87.4 %.

    Chosen here for images of 32x32: a stem of 5x5 and stride 1, and 3x3 in the second convolution.
    """
    return bnn_plus(
        "bnn_plus_alexnet", 8, lambda x, layers: _features(x, layers, (5, 3), 1), _top, **kwargs
    )


@register("bnn_plus_alexnet_imagenet", **{**_ABOUT, "small_size": 64})
@variant_of(bnn_plus, input_shape=(224, 224, 3), num_classes=1000, strength=1e-7)
def BNNPlusAlexNetImageNet(**kwargs: Any) -> tf.keras.Model:
    """BNN+'s AlexNet for ImageNet; the paper reports 46.1 % top-1 (recalled, not checked).

    A stem of 11x11 and stride 4, and 5x5 in the second convolution, as in Krizhevsky's.
    """
    return bnn_plus(
        "bnn_plus_alexnet_imagenet",
        32,
        lambda x, layers: _features(x, layers, (11, 5), 4),
        _top,
        **kwargs,
    )
