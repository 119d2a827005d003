"""Binary neural networks of Larq Compute Engine on any stock TensorFlow Lite."""

from larq_reactnet_runtime._engine import instruction_sets, library_path, load_delegate
from larq_reactnet_runtime._shared.metadata import Metadata, read_metadata
from larq_reactnet_runtime.interpreter import Interpreter
from larq_reactnet_runtime.verifying import verify

__all__ = [
    "Interpreter",
    "Metadata",
    "instruction_sets",
    "library_path",
    "load_delegate",
    "read_metadata",
    "verify",
]
__version__ = "0.1.0"
