"""The ResNet-18 of BNN+ (Darabi et al., 2018), for ImageNet.

```
x ─ sign ─ 3x3 ─ BN ─ sign ─ 3x3 ─ BN ─(+)
└─ (2x2 average ─ real 1x1 ─ BN, if strided) ─┘
```
"""

from typing import Any

from larq_reactnet.zoo._bnn_plus import BinaryLayers, bnn_plus
from larq_reactnet.zoo._layers import batch_norm, resnet_stages, resnet_stem, shortcut
from larq_reactnet.zoo.registry import register, variant_of

import tensorflow as tf

__all__ = ["BNNPlusResNet18"]


def _features(x: tf.Tensor, layers: BinaryLayers) -> tf.Tensor:
    def block(x: tf.Tensor, filters: int, strides: int, name: str) -> tf.Tensor:
        around = shortcut(
            x, layers.channels(filters), strides, f"{name}_shortcut", "glorot_uniform"
        )
        for part, stride in (("a", strides), ("b", 1)):
            x = layers.conv(x, filters, 3, f"{name}_{part}", strides=stride)
            x = batch_norm(f"{name}_{part}_bn")(x)
        return tf.keras.layers.Add(name=f"{name}_add")([x, around])

    x = resnet_stem(x, layers.channels(64), 2, "glorot_uniform")
    return resnet_stages(x, (2, 2, 2, 2), (64, 128, 256, 512), block)


@register(
    "bnn_plus_resnet18",
    paper="BNN+",
    year=2018,
    url="https://arxiv.org/abs/1812.11800",
    small={"width": 0.125},
)
@variant_of(bnn_plus, input_shape=(224, 224, 3), num_classes=1000, strength=1e-7)
def BNNPlusResNet18(**kwargs: Any) -> tf.keras.Model:
    """BNN+'s ResNet-18 for ImageNet; the paper reports 53.0 % top-1 (recalled, not checked).

    The paper does not say where its shortcuts are. Chosen here are those of the real ResNet-18,
    around every two convolutions: without BNN+'s gradient and regularizer, the paper's network is
    as good as BinaryNet's ResNet-18 (42.5 and 42.2 %, recalled too), which has these, and not as
    Bi-Real Net.
    """
    return bnn_plus(
        "bnn_plus_resnet18",
        32,
        _features,
        lambda x, layers: tf.keras.layers.GlobalAveragePooling2D(name="pool")(x),
        **kwargs,
    )
