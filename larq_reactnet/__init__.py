"""BNN+ and ReActNet for Keras: train with `model.fit`, deploy as a verified one-bit `.tflite`.

Importing this package selects Keras 2 and registers its quantizers and layers with Keras, so that
their string aliases work and saved models load. `zoo` and `converters` are imported on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

from larq_reactnet._keras import select_keras_2
from larq_reactnet._version import __version__

select_keras_2()

from larq_reactnet import (  # noqa: E402
    _larq_zoo,  # noqa: F401
    callbacks,
    distillation,
    layers,
    losses,
    metrics,
    profiling,
    quantizers,
    regularizers,
)
from larq_reactnet._public import show_public  # noqa: E402
from larq_reactnet.binarizing.measuring import sensitivity  # noqa: E402
from larq_reactnet.binarizing.rewriting import binarize_model  # noqa: E402
from larq_reactnet.distillation import Distiller  # noqa: E402
from larq_reactnet.packed import load_packed, save_packed  # noqa: E402
from larq_reactnet.recalibrating import recalibrate  # noqa: E402
from larq_reactnet.two_step import binarize_weights  # noqa: E402

if TYPE_CHECKING:
    from larq_reactnet import converters, training, zoo

__all__ = [
    "Distiller",
    "__version__",
    "binarize_model",
    "binarize_weights",
    "callbacks",
    "converters",
    "distillation",
    "layers",
    "load_packed",
    "losses",
    "metrics",
    "profiling",
    "quantizers",
    "recalibrate",
    "regularizers",
    "save_packed",
    "sensitivity",
    "training",
    "zoo",
]


show_public(callbacks, distillation, layers, losses, metrics, profiling, quantizers, regularizers)


def __getattr__(name: str) -> Any:
    if name in ("converters", "training", "zoo"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
