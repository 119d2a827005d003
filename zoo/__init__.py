"""The models of the BNN+ and ReActNet papers, by constructor or by name, and data to train them."""

from larq_reactnet.zoo import datasets
from larq_reactnet.zoo.bnn_plus import BNNPlusAlexNet
from larq_reactnet.zoo.reactnet import ReActNetA
from larq_reactnet.zoo.registry import Entry, create, get, list_models

__all__ = [
    "BNNPlusAlexNet",
    "Entry",
    "ReActNetA",
    "create",
    "datasets",
    "get",
    "list_models",
]
