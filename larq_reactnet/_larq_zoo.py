"""Larq Zoo's functions as Keras objects, so that its models can be saved and loaded.

Larq Zoo gives some layers a plain function as quantizer or initializer. Keras writes its name and
cannot load it again. These classes are registered with Keras when `larq_reactnet` is imported, and
import Larq Zoo, which loads tensorflow-datasets, only when they are used.
"""

import importlib
from collections.abc import Callable
from typing import Any

from larq_reactnet._binary_quantizer import BinaryQuantizer
from larq_reactnet._types import Shape

import larq as lq
import tensorflow as tf

__all__ = ["FUNCTIONS", "LarqZooInitializer", "LarqZooQuantizer"]

# Only these are looked up, so that a file cannot make Keras import and run other code. They are
# called by their whole names, because Keras would take the last part alone, in a file, for the
# function that Larq Zoo has registered under it.
FUNCTIONS = (
    "literature.dorefanet.magnitude_aware_sign_unclipped",
    "literature.xnornet.xnor_weight_scale",
    "sota.quicknet.blurpool_initializer",
)


def _function(path: str) -> Callable[..., tf.Tensor]:
    if path not in FUNCTIONS:
        raise ValueError(f"{path!r} is not one of the functions {', '.join(FUNCTIONS)}.")
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(f"larq_zoo.{module}"), name)


@lq.utils.register_keras_custom_object
class LarqZooQuantizer(BinaryQuantizer):
    """The binary kernel quantizer of Larq Zoo that is called `function`."""

    def __init__(self, function: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.function = function
        self._call = _function(function)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Quantize `inputs`."""
        return self.counted(self._call(inputs))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "function": self.function}


@lq.utils.register_keras_custom_object
class LarqZooInitializer(tf.keras.initializers.Initializer):
    """The initializer of Larq Zoo that is called `function`."""

    def __init__(self, function: str):
        self.function = function
        self._call = _function(function)

    def __call__(self, shape: Shape, dtype: tf.DType | None = None, **kwargs: Any) -> tf.Tensor:
        """A tensor of `shape`."""
        return tf.cast(self._call(shape), dtype or tf.keras.backend.floatx())

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"function": self.function}
