"""From a Keras model to a file on a device: check, cure, fold, convert, compress, verify, write."""

import sys

from larq_reactnet._public import show_public
from larq_reactnet.converters.agreement import Agreement
from larq_reactnet.converters.benchmarking import Benchmark, Timing, benchmark
from larq_reactnet.converters.checking import Finding, check
from larq_reactnet.converters.compressing import compress
from larq_reactnet.converters.converting import ExportError, convert
from larq_reactnet.converters.curing import cure
from larq_reactnet.converters.exporting import export
from larq_reactnet.converters.exporting_c import CReport, export_c
from larq_reactnet.converters.folding import fold
from larq_reactnet.converters.inspecting import Inspection, count_operators, inspect
from larq_reactnet.converters.interpreter import Interpreter
from larq_reactnet.converters.layerwise import Flips, LayerError, count_flips, verify_layers
from larq_reactnet.converters.metadata import Metadata, add_metadata, read_metadata
from larq_reactnet.converters.predicting import predict_image, predict_images, prepare_image
from larq_reactnet.converters.proving import Proof, prove
from larq_reactnet.converters.proving_c import CProof, prove_c
from larq_reactnet.converters.replaying import Replay, replay
from larq_reactnet.converters.report import Report
from larq_reactnet.converters.torch_checkpoint import load_torch_checkpoint
from larq_reactnet.converters.verifying import (
    predict_tflite,
    verify,
    verify_in_float64,
)

__all__ = [
    "Agreement",
    "Benchmark",
    "CProof",
    "CReport",
    "ExportError",
    "Finding",
    "Flips",
    "Inspection",
    "Interpreter",
    "LayerError",
    "Metadata",
    "Proof",
    "Replay",
    "Report",
    "Timing",
    "add_metadata",
    "benchmark",
    "check",
    "compress",
    "convert",
    "count_flips",
    "count_operators",
    "cure",
    "export",
    "export_c",
    "fold",
    "inspect",
    "load_torch_checkpoint",
    "predict_image",
    "predict_images",
    "predict_tflite",
    "prepare_image",
    "prove",
    "prove_c",
    "read_metadata",
    "replay",
    "verify",
    "verify_in_float64",
    "verify_layers",
]

show_public(sys.modules[__name__])
