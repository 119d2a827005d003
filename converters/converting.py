"""Calls Larq Compute Engine (LCE) in such a way that it finds every binary kernel."""

import contextlib
from collections.abc import Iterator
from typing import Any

from larq_reactnet._latent import latent
from larq_reactnet.converters._lce import convert_function
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.profiling import KERNELS

import numpy as np
import tensorflow as tf
from larq.quantized_variable import QuantizedVariable

__all__ = ["ExportError", "convert"]


class ExportError(ValueError):
    """The model cannot be exported, or the file does not compute the same. Nothing was written."""


def convert(model: tf.keras.Model, *, input_type: str | None = None) -> bytes:
    """The content of the `.tflite` that LCE makes of `model`.

    Args:
        model: Functional or sequential model of fixed size. The file takes its inputs and gives its
            outputs in the same order.
        input_type: Type of the inputs of the file, such as `"uint8"`, if it is another than that of
            the model, which gets the same numbers.

    Raises:
        ExportError: If LCE is not installed or fails.
    """
    names = ["input"] if len(model.inputs) == 1 else _numbered("input", len(model.inputs))
    signature = [
        tf.TensorSpec((1, *tensor.shape[1:]), input_type or tensor.dtype, name)
        for tensor, name in zip(model.inputs, names, strict=True)
    ]

    def compute(*inputs: tf.Tensor) -> Any:
        given = [tf.cast(x, t.dtype) for x, t in zip(inputs, model.inputs, strict=True)]
        outputs = tf.nest.flatten(model(given[0] if len(given) == 1 else given, training=False))
        if len(outputs) == 1:
            return outputs[0]
        return dict(zip(_numbered("output", len(outputs)), outputs, strict=True))

    try:
        with _quantized_kernels(model):
            flatbuffer = convert_function(compute, *signature)
    except ImportError as error:
        raise ExportError(
            "Converting needs larq-compute-engine, which has wheels for Python 3.10 to 3.12 on "
            "x86-64 Linux, macOS and Windows: export there and copy the .tflite."
        ) from error
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise ExportError(f"Larq Compute Engine cannot convert {model.name!r}: {reason}") from error
    several = len(model.inputs) > 1 or len(model.outputs) > 1
    return _in_order(flatbuffer) if several else flatbuffer


def _in_order(flatbuffer: bytes) -> bytes:
    """The file with inputs and outputs in the order of their names, which LCE does not keep."""
    file = tflite.read(flatbuffer)
    (signature,) = file.signatureDefs
    graph = file.subgraphs[0]
    for kind in ("inputs", "outputs"):
        entries = sorted(getattr(signature, kind), key=lambda entry: entry.name)
        setattr(graph, kind, np.array([entry.tensorIndex for entry in entries], np.int32))
    return tflite.write(file)


def _numbered(what: str, count: int) -> list[str]:
    return [f"{what}_{index:03}" for index in range(count)]


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
