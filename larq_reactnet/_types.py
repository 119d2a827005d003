"""Names for the types of arguments that many functions take.

TensorFlow, Keras and Larq have no type information, so a type checker accepts anything where one of
their classes stands. The names are for readers.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import larq as lq
import tensorflow as tf

__all__ = ["ImageShape", "Initializer", "Logs", "Quantizer", "Shape"]

# Of a tensor, as Keras gives it to `build`; `None` for a size that is not known.
Shape: TypeAlias = tuple[int | None, ...] | list[int | None] | tf.TensorShape
# (height, width, channels) of images; a network takes images of any size where a size is `None`.
ImageShape: TypeAlias = tuple[int | None, ...]
# A quantizer of Larq, or what Larq makes one of: an alias, a config or a function; `None` for none.
Quantizer: TypeAlias = (
    str | dict[str, Any] | lq.quantizers.Quantizer | Callable[[tf.Tensor], tf.Tensor] | None
)
# An initializer of Keras, or what Keras makes one of: a name or a config.
Initializer: TypeAlias = str | dict[str, Any] | tf.keras.initializers.Initializer
# The metrics that Keras gives to a callback.
Logs: TypeAlias = dict[str, float] | None
