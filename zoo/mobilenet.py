"""Real-valued MobileNetV1 (Howard et al., 2017), which ReActNet makes binary. It is Keras's own."""

from larq_reactnet._fitting import without_last
from larq_reactnet._types import ImageShape
from larq_reactnet.zoo._build import finish, image_input
from larq_reactnet.zoo.pretrained import say
from larq_reactnet.zoo.registry import register

import tensorflow as tf

__all__ = ["MobileNetV1"]


@register(
    "mobilenet_v1",
    paper="MobileNets",
    year=2017,
    url="https://arxiv.org/abs/1704.04861",
    small={"width": 0.25},
)
def MobileNetV1(
    *,
    input_shape: ImageShape | None = None,
    input_tensor: tf.Tensor | None = None,
    weights: str | None = None,
    include_top: bool = True,
    num_classes: int = 1000,
    classifier_activation: str | None = "softmax",
    width: float = 1.0,
    dropout: float = 1e-3,
) -> tf.keras.Model:
    """MobileNetV1, real-valued, from `tf.keras.applications`.

    | width, at 224x224 | OPs | top-1 on ImageNet by the paper, recalled |
    | --- | --- | --- |
    | 1.0 | 5.69e8 | 70.6 % |
    | 0.5 | 1.49e8 | 63.7 % |

    `weights="imagenet"` are Keras's, for images that are scaled to [-1, 1]. With another number of
    classes than 1000, the last layer is a new one.

    Args:
        width: Multiplies the number of channels: 0.25, 0.5, 0.75 and 1 are the paper's.
        dropout: Share of features dropped before the classifier, while training.

    References:
        - [MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
            Applications](https://arxiv.org/abs/1704.04861)
    """
    if not isinstance(width, int | float) or not 1 / 32 <= width <= 16:
        raise ValueError(f"`width` must be a number from 1/32 to 16, got {width!r}.")
    inputs = image_input(input_shape, input_tensor, include_top, smallest=32)
    keras_weights = weights if weights == "imagenet" else None
    new_head = keras_weights is not None and include_top and num_classes != 1000
    features = tf.keras.applications.MobileNet(
        input_tensor=inputs,
        input_shape=tuple(inputs.shape[1:]),
        alpha=width,
        include_top=include_top,
        weights=None if new_head else keras_weights,
        classes=num_classes,
        classifier_activation=None,
        dropout=dropout,
    )
    if new_head:
        shape = tuple(inputs.shape[1:])
        donor = tf.keras.applications.MobileNet(
            input_shape=shape, alpha=width, include_top=False, weights=keras_weights
        )
        for layer in donor.layers[1:]:
            features.get_layer(layer.name).set_weights(layer.get_weights())
        left_out = without_last("conv_preds", num_classes, 1000)
        say("mobilenet_v1", "imagenet", left_out)
    x = features.output
    if include_top:
        x = tf.keras.layers.Activation(classifier_activation, dtype="float32", name="output")(x)
    return finish(inputs, x, "mobilenet_v1", None if keras_weights else weights)
