"""Real-valued AlexNets, for images of 32x32 and of ImageNet: those that BNN+ makes binary.

They are the AlexNet of Krizhevsky's "One weird trick" (2014), with its widths 64, 192, 384, 256,
256, 4096, 4096 and 3x3 max-pooling after the first, second and fifth convolution, but with batch
normalization after every layer, as in BNN+, and thus without dropout.
"""

from typing import Any

from larq_reactnet.zoo._real import Layers, chain, pool
from larq_reactnet.zoo.registry import register, variant_of

import tensorflow as tf

__all__ = ["AlexNet", "AlexNetImageNet", "large_features", "small_features", "top"]

_ABOUT = {
    "paper": "AlexNet",
    "year": 2014,
    "url": "https://arxiv.org/abs/1404.5997",
    "small": {"width": 0.125},
}


def _features(x: tf.Tensor, layers: Layers, kernel_sizes: tuple[int, int], stem: int) -> tf.Tensor:
    """Five convolutions, the first two with `kernel_sizes`, the first with stride `stem`."""
    x = layers.stem(x, 64, kernel_sizes[0], strides=stem)
    x = layers.norm(pool(x, 3, "pool1"), 1)
    for index, filters in enumerate((192, 384, 256, 256), 2):
        x = layers.conv(x, filters, kernel_sizes[1] if index == 2 else 3, f"conv{index}")
        if index in (2, 5):
            x = pool(x, 3, f"pool{index}")
        x = layers.norm(x, index)
    return x


def small_features(x: tf.Tensor, layers: Layers) -> tf.Tensor:
    """The convolutions for images of 32x32: a stem of 5x5 and stride 1, then 3x3."""
    return _features(x, layers, (5, 3), 1)


def large_features(x: tf.Tensor, layers: Layers) -> tf.Tensor:
    """The convolutions for ImageNet: a stem of 11x11 and stride 4, then 5x5, as Krizhevsky's."""
    return _features(x, layers, (11, 5), 4)


def top(x: tf.Tensor, layers: Layers) -> tf.Tensor:
    """The dense layers before the logits."""
    return layers.dense(layers.dense(x, 4096, 6), 4096, 7)


@register("alexnet", **_ABOUT)
@variant_of(chain)
def AlexNet(**kwargs: Any) -> tf.keras.Model:
    """AlexNet with batch normalization for images of 32x32, real-valued.

    `binarize_model` with style `"bnn_plus"` makes `BNNPlusAlexNet` of it.

    References:
        - [One weird trick for parallelizing convolutional neural
            networks](https://arxiv.org/abs/1404.5997)
    """
    return chain("alexnet", 8, small_features, top, **kwargs)


@register("alexnet_imagenet", **{**_ABOUT, "small_size": 64})
@variant_of(chain, input_shape=(224, 224, 3), num_classes=1000)
def AlexNetImageNet(**kwargs: Any) -> tf.keras.Model:
    """AlexNet with batch normalization for ImageNet, real-valued.

    `binarize_model` with style `"bnn_plus"` makes `BNNPlusAlexNetImageNet` of it.

    References:
        - [One weird trick for parallelizing convolutional neural
            networks](https://arxiv.org/abs/1404.5997)
    """
    return chain("alexnet_imagenet", 32, large_features, top, **kwargs)
