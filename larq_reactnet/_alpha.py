"""What alpha, the scale of BNN+'s binary weights, begins with: a percentile of latent weights."""

import numpy as np
import tensorflow as tf

__all__ = ["MINIMUM", "eager_value", "percentile_of_magnitude"]

# Scales and slopes that must stay positive are kept above this by a constraint.
MINIMUM = 1e-6


def percentile_of_magnitude(w: np.ndarray, percentile: float = 75.0) -> np.ndarray:
    """The percentile of `|w|` for each output filter (the last axis), at least 1e-6."""
    magnitude = np.abs(np.asarray(w, np.float64)).reshape(-1, w.shape[-1])
    return np.maximum(np.percentile(magnitude, percentile, axis=0), MINIMUM)


def eager_value(tensor: tf.Tensor) -> np.ndarray:
    """The value of a weight that was just read, also while Keras or tf.function trace a graph."""
    try:
        if tf.is_symbolic_tensor(tensor):
            outer = {inner.name: variable for variable, inner in tensor.graph.captures}
            while tensor.op.inputs[0].dtype != tf.resource:
                tensor = tensor.op.inputs[0]  # through the cast of a mixed precision policy
            handle = outer[tensor.op.inputs[0].name]
            with tf.init_scope():
                tensor = tf.raw_ops.ReadVariableOp(resource=handle, dtype=tensor.dtype)
        return tensor.numpy()
    except (AttributeError, IndexError, KeyError) as error:
        raise ValueError(
            "BNNPlusSign is a `kernel_quantizer`: it reads the kernel for its first scale, but got "
            "a tensor that is not a variable."
        ) from error
