"""What all binary quantizers of this package have in common with Larq's own."""

from typing import Any

import larq as lq
import tensorflow as tf

__all__ = ["BinaryQuantizer"]


# Larq looks for this class when it gives kernel quantizers the metrics of a `metrics_scope`, and it
# offers no public one for that.
class BinaryQuantizer(lq.quantizers._BaseQuantizer):
    """Base of quantizers that give two values, with Larq's metric `flip_ratio` if it is asked for.

    Args:
        metrics: Names of Larq's metrics. By default those of `larq.context.metrics_scope`, where
            the layer whose kernel is quantized is made.
        **kwargs: Arguments of `tf.keras.layers.Layer`.
    """

    precision = 1

    def __init__(self, *, metrics: list[str] | None = None, **kwargs: Any):
        super().__init__(metrics=metrics, **kwargs)

    def counted(self, outputs: tf.Tensor) -> tf.Tensor:
        """The outputs, whose signs are counted by the metric."""
        if hasattr(self, "flip_ratio"):
            # Larq counts changes of whole numbers, and a scale is not one.
            self.add_metric(self.flip_ratio(tf.sign(outputs)))
        return outputs

    # Larq's quantizers have no weights, and that class says so. Ours have trained ones, which must
    # stay in the list, and so in files, when a layer is frozen. What a metric counts is not in it.
    non_trainable_weights = lq.quantizers.Quantizer.non_trainable_weights
