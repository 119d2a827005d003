"""How Larq Compute Engine (LCE) is called, and the facts about it that several modules need."""

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

__all__ = [
    "BCONV2D",
    "BMAXPOOL2D",
    "DEQUANTIZE",
    "QUANTIZE",
    "SAME_MAGNITUDE",
    "WORD",
    "convert_function",
    "quiet",
]

# LCE's operators, by the names that they have in a .tflite.
QUANTIZE, DEQUANTIZE = "LceQuantize", "LceDequantize"
BCONV2D, BMAXPOOL2D = "LceBconv2d", "LceBMaxPool2d"

WORD = 32  # LCE packs this many bits into one integer, and computes with them at once

# LCE takes two magnitudes for equal if they differ by at most this share.
SAME_MAGNITUDE = 5e-3


def convert_function(function: Callable[..., Any], *signature: tf.TensorSpec) -> bytes:
    """The `.tflite` that LCE makes of a function of tensors.

    `lce.convert_keras_model` first saves the Keras model, which traces every layer several times.
    One concrete function and its variables are all that LCE needs, and give the same file in a
    fraction of the time.

    Args:
        function: TensorFlow function, which may use variables.
        *signature: Shape, type and name of each input.

    Raises:
        ImportError: If LCE is not installed.
        Exception: If LCE cannot convert the function. The type depends on the reason.
    """
    import larq_compute_engine as lce

    module = tf.Module()
    with quiet(), tempfile.TemporaryDirectory() as folder:
        concrete = tf.function(function, input_signature=signature).get_concrete_function()
        module.variables_used = concrete.variables
        tf.saved_model.save(module, folder, concrete)
        return bytes(lce.convert_saved_model(folder))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide TensorFlow's messages about a temporary SavedModel, which are of no use to anyone."""
    loggers: list[Any] = [logging.getLogger(n) for n in ("tensorflow", "absl", "larq.layers_base")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
