"""Trainings of the zoo's networks by recipes, each in a folder of its own that can be resumed."""

import sys

from larq_reactnet._public import show_public
from larq_reactnet.training.compiling import compiled
from larq_reactnet.training.loop import network_of, train
from larq_reactnet.training.reporting import report
from larq_reactnet.training.runs import Run, load_model

__all__ = ["Run", "compiled", "load_model", "network_of", "report", "train"]

show_public(sys.modules[__name__])
