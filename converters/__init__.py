"""From a Keras model to a file on a device: check, convert, verify, write."""

from larq_reactnet.converters.check import Finding, check
from larq_reactnet.converters.convert import ExportError, convert
from larq_reactnet.converters.export import Report, export
from larq_reactnet.converters.inspect import count_operators
from larq_reactnet.converters.torch_checkpoint import load_torch_checkpoint
from larq_reactnet.converters.verify import Agreement, predict_tflite, verify

__all__ = [
    "Agreement",
    "ExportError",
    "Finding",
    "Report",
    "check",
    "convert",
    "count_operators",
    "export",
    "load_torch_checkpoint",
    "predict_tflite",
    "verify",
]
