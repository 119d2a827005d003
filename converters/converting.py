"""Calls Larq Compute Engine (LCE) in such a way that it finds every binary kernel."""

import contextlib
from collections.abc import Iterator
from typing import Any

from larq_reactnet._latent import latent
from larq_reactnet.converters._lce import convert_function
from larq_reactnet.profiling import KERNELS

import tensorflow as tf
from larq.quantized_variable import QuantizedVariable

__all__ = ["ExportError", "convert"]


class ExportError(ValueError):
    """The model cannot be exported, or the file does not compute the same. Nothing was written."""


def convert(model: tf.keras.Model) -> bytes:
    """The content of the `.tflite` that LCE makes of `model`.

    Raises:
        ExportError: If LCE is not installed or fails.
    """
    signature = tf.TensorSpec((1, *model.input_shape[1:]), model.input.dtype, "input")
    try:
        with _quantized_kernels(model):
            return convert_function(lambda x: model(x, training=False), signature)
    except ImportError as error:
        raise ExportError(
            "Converting needs larq-compute-engine, which has wheels for Python 3.10 to 3.12 on "
            "x86-64 Linux, macOS and Windows: export there and copy the .tflite."
        ) from error
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise ExportError(f"Larq Compute Engine cannot convert {model.name!r}: {reason}") from error


@contextlib.contextmanager
def _quantized_kernels(model: tf.keras.Model) -> Iterator[None]:
    """Let the layers of `model` read kernels that are quantized already.

    LCE looks for constant kernels that have one magnitude in each filter. It computes these itself
    from the latent weights and the quantizer, but not if a kernel is large, like the 6x6x256x4096
    one of XNOR-Net. Such a kernel would stay in float without a word.
    """
    kernels = [
        kernel
        for module in model.submodules
        for name in KERNELS
        if isinstance(kernel := getattr(module, name, None), QuantizedVariable)
    ]
    quantizers = [kernel.quantizer for kernel in kernels]

    def reader(value: Any) -> Any:
        constant = tf.Variable(value, trainable=False)
        return lambda _: constant.read_value()

    try:
        for kernel, quantizer in zip(kernels, quantizers, strict=True):
            if quantizer is not None:
                kernel.quantizer = reader(quantizer(latent(kernel).read_value()))
        yield
    finally:
        for kernel, quantizer in zip(kernels, quantizers, strict=True):
            kernel.quantizer = quantizer
