r"""Moving averages of the weights, for validation and for the end of a training.

The optimizer of Keras has them, as `use_ema`:

\\[ \bar{w} \leftarrow \mu \bar{w} + (1 - \mu) w \\]

after each batch, for all trained weights. They are those of the latent weights, and their signs are
the binary weights. Moving averages of batch normalization are left as they are.
"""

from typing import Any

from larq_reactnet._latent import latent
from larq_reactnet._types import Logs

import numpy as np
import tensorflow as tf

__all__ = ["AveragedValidation", "take_averages"]


def take_averages(model: tf.keras.Model) -> None:
    """Replace the trained weights by their moving averages."""
    optimizer: Any = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    optimizer.finalize_variable_values(model.trainable_variables)


class AveragedValidation(tf.keras.callbacks.Callback):
    """Validates the averages, from the first test image to the end of the epoch.

    It must come behind the callbacks that want to see them at the end of an epoch, and before
    those that want to see what is trained on.
    """

    def __init__(self) -> None:
        super().__init__()
        self._trained: list[np.ndarray] | None = None

    def on_test_begin(self, logs: Logs = None) -> None:
        """Take the averages."""
        self._trained = [latent(variable).numpy() for variable in self.model.trainable_variables]
        take_averages(self.model)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Go on with what is trained."""
        self._give_back()

    def on_train_end(self, logs: Logs = None) -> None:
        """The same: at the end of `fit`, Keras takes the averages by itself."""
        self._give_back()

    def _give_back(self) -> None:
        if self._trained is not None:
            for variable, value in zip(self.model.trainable_variables, self._trained, strict=True):
                variable.assign(value)
