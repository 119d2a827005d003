"""Every network of the BNN+ and ReActNet papers, by constructor or by name, and data to train them.

Every model has a constructor here and a name for `create`: `QuickNet()` is `create("quicknet")`.
"""

import sys

from larq_reactnet._public import show_public
from larq_reactnet.zoo import binarized as _binarized  # noqa: F401  # enters itself
from larq_reactnet.zoo import datasets, larq_zoo, pretrained, recipes
from larq_reactnet.zoo.alexnet import AlexNet, AlexNetImageNet
from larq_reactnet.zoo.binarynet import BinaryNet
from larq_reactnet.zoo.birealnet import BiRealNet34
from larq_reactnet.zoo.bnn_plus_alexnet import BNNPlusAlexNet, BNNPlusAlexNetImageNet
from larq_reactnet.zoo.bnn_plus_dorefanet import BNNPlusDoReFaNet
from larq_reactnet.zoo.bnn_plus_resnet import BNNPlusResNet18
from larq_reactnet.zoo.bnn_plus_vgg import BNNPlusVGGSmall
from larq_reactnet.zoo.larq_zoo import (
    BinaryAlexNet,
    BinaryDenseNet28,
    BinaryDenseNet37,
    BinaryDenseNet37Dilated,
    BinaryDenseNet45,
    BinaryResNetE18,
    BiRealNet18,
    DoReFaNet,
    QuickNet,
    QuickNetLarge,
    QuickNetSmall,
    RealToBinaryNet,
    XNORNet,
)
from larq_reactnet.zoo.meliusnet import MeliusNet22, MeliusNet29, MeliusNet42, MeliusNet59
from larq_reactnet.zoo.mobilenet import MobileNetV1
from larq_reactnet.zoo.reactnet import ReActNetA, ReActNetB, ReActNetC
from larq_reactnet.zoo.reactnet_resnet import ReActNet18, ReActNet34
from larq_reactnet.zoo.registry import Entry, create, get, list_models
from larq_reactnet.zoo.resnet import ResNet18, ResNet34
from larq_reactnet.zoo.vgg import VGGSmall

__all__ = [
    "AlexNet",
    "AlexNetImageNet",
    "BNNPlusAlexNet",
    "BNNPlusAlexNetImageNet",
    "BNNPlusDoReFaNet",
    "BNNPlusResNet18",
    "BNNPlusVGGSmall",
    "BiRealNet18",
    "BiRealNet34",
    "BinaryAlexNet",
    "BinaryDenseNet28",
    "BinaryDenseNet37",
    "BinaryDenseNet37Dilated",
    "BinaryDenseNet45",
    "BinaryNet",
    "BinaryResNetE18",
    "DoReFaNet",
    "Entry",
    "MeliusNet22",
    "MeliusNet29",
    "MeliusNet42",
    "MeliusNet59",
    "MobileNetV1",
    "QuickNet",
    "QuickNetLarge",
    "QuickNetSmall",
    "ReActNet18",
    "ReActNet34",
    "ReActNetA",
    "ReActNetB",
    "ReActNetC",
    "RealToBinaryNet",
    "ResNet18",
    "ResNet34",
    "VGGSmall",
    "XNORNet",
    "create",
    "datasets",
    "get",
    "larq_zoo",
    "list_models",
    "pretrained",
    "recipes",
]

show_public(sys.modules[__name__], datasets, larq_zoo, pretrained, recipes)
