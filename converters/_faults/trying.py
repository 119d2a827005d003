"""Has LCE convert and run a function, to see what it makes of it."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from larq_reactnet.converters._lce import convert_function

import numpy as np
import tensorflow as tf

__all__ = ["Trial", "try_function"]

# Operators that make LCE's converter end the process.
_FATAL = {"Bincount", "DenseBincount"}


@dataclass(frozen=True)
class Trial:
    """What LCE made of a function.

    Attributes:
        refusal: Why LCE does not convert it, or its interpreter does not run it; or empty.
        operators: How often each operator is in the file, by its name.
        found: The outputs of the file, if it runs.
        expected: Those of TensorFlow.
    """

    refusal: str = ""
    operators: dict[str, int] = field(default_factory=dict)
    found: np.ndarray = field(default_factory=lambda: np.zeros(0))
    expected: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def is_equal(self, tolerance: float) -> bool:
        """Whether the file runs and gives what TensorFlow does, but for rounding."""
        if self.refusal or self.found.shape != self.expected.shape:
            return False
        finite = np.isfinite(self.expected)
        largest = np.abs(self.expected[finite]).max(initial=1e-6)
        distance = np.abs(self.found[finite] - self.expected[finite])
        return bool((distance <= tolerance * largest).all())


def try_function(
    function: Callable[[Any], Any], inputs: np.ndarray, batch: int | None = None
) -> Trial | None:
    """Convert `function` and run it on `inputs`, one by one; None where LCE is not installed.

    Args:
        function: TensorFlow function of one tensor.
        inputs: float32 array whose first axis is that of the batch.
        batch: The size of the batch that it is converted for; None for any.
    """
    from larq_reactnet.converters.inspecting import count_operators
    from larq_reactnet.converters.verifying import predict_tflite

    try:
        import larq_compute_engine  # noqa: F401
    except ImportError:
        return None
    signature = tf.TensorSpec((batch, *inputs.shape[1:]), tf.float32, "input")
    concrete = tf.function(function, input_signature=[signature]).get_concrete_function()
    fatal = _FATAL & {operation.type for operation in concrete.graph.get_operations()}
    if fatal:
        return Trial(refusal=f"'tf.{fatal.pop()}' op makes the converter crash")
    try:
        with _silent():
            flatbuffer = convert_function(function, signature)
    except Exception as error:  # LCE raises errors of many types
        return Trial(refusal=str(error).strip() or type(error).__name__)
    operators = dict(count_operators(flatbuffer))
    rows = [np.asarray(function(tf.constant(row[None]))) for row in inputs]
    try:
        found = predict_tflite(flatbuffer, inputs, engine="lce", progress=False)
    except ValueError as error:
        return Trial(str(error), operators)
    return Trial("", operators, np.asarray(found), np.concatenate(rows))


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Hide what LCE writes to the standard error stream about a function that it cannot convert."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
