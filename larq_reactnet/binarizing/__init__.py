"""Real networks as binary ones."""

from larq_reactnet.binarizing.measuring import sensitivity
from larq_reactnet.binarizing.reporting import Binarization, BinarizedLayer
from larq_reactnet.binarizing.rewriting import binarize_model
from larq_reactnet.binarizing.sensitivities import LayerSensitivity, Sensitivity
from larq_reactnet.binarizing.styles import STYLES

__all__ = [
    "STYLES",
    "Binarization",
    "BinarizedLayer",
    "LayerSensitivity",
    "Sensitivity",
    "binarize_model",
    "sensitivity",
]
