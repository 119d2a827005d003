"""What the constructors of the zoo share: the input, the width, and the loading of weights."""

from larq_reactnet._types import ImageShape
from larq_reactnet.zoo.pretrained import load
from larq_reactnet.zoo.registry import get

import tensorflow as tf


def image_input(
    input_shape: ImageShape | None,
    input_tensor: tf.Tensor | None,
    include_top: bool,
    smallest: int,
) -> tf.Tensor:
    """The input of a model, as in keras.applications.

    Args:
        input_shape: `(height, width, channels)`; `None` is `(224, 224, 3)`, and without the top
            `(None, None, 3)`: images of any size.
        input_tensor: Keras tensor to use instead of a new input.
        include_top: Whether the model classifies.
        smallest: Smallest height and width that the network can take.

    Raises:
        ValueError: If the shape is not of an image, or smaller than `smallest`.
    """
    if input_tensor is not None:
        if not isinstance(input_tensor, type(tf.keras.layers.Input(()))):
            raise ValueError("`input_tensor` must be a Keras tensor, as `layers.Input` returns it.")
        input_shape = tuple(input_tensor.shape[1:])
    if input_shape is None:
        input_shape = (224, 224, 3) if include_top else (None, None, 3)
    input_shape = tuple(input_shape)
    if len(input_shape) != 3 or input_shape[-1] is None:
        raise ValueError(f"`input_shape` must be (height, width, channels), got {input_shape}.")
    if any(size is not None and size < smallest for size in input_shape[:2]):
        raise ValueError(
            f"`input_shape` {input_shape} is too small: this network takes {smallest}x{smallest} "
            "images or larger ones."
        )
    return tf.keras.layers.Input(input_shape) if input_tensor is None else input_tensor


def scaled(channels: int, width: float, divisor: int = 8) -> int:
    """`channels` times `width`, as a multiple of `divisor`."""
    if not isinstance(width, int | float) or not 0 < width <= 16:
        raise ValueError(f"`width` must be a number above 0 and up to 16, got {width!r}.")
    return max(1, round(channels * width / divisor)) * divisor


def finish(inputs: tf.Tensor, outputs: tf.Tensor, name: str, weights: str | None) -> tf.keras.Model:
    """The model from `inputs` to `outputs`, with pretrained `weights` or those of a file."""
    model = tf.keras.Model(tf.keras.utils.get_source_inputs(inputs), outputs, name=name)
    if weights is not None:
        # The default number of classes may just be forgotten; any other is meant.
        is_default = outputs.shape[-1] == get(name).arguments["num_classes"]
        load(model, weights, name, other_head=not is_default)
    return model
