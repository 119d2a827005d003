"""Whether the weights of a model are numbers."""

from larq_reactnet._latent import latent

import tensorflow as tf

__all__ = ["not_finite"]


def not_finite(model: tf.keras.Model) -> str | None:
    """The name of the first weight with a value that is NaN or infinite; `None` without one."""
    for weight in model.weights:
        value = latent(weight)
        if value.dtype.is_floating and not bool(tf.reduce_all(tf.math.is_finite(value))):
            return str(value.name.split(":")[0])
    return None
