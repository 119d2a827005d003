"""Loads files of weights and of whole models, which may come from anywhere.

A file is checked before it is used: a corrupt one gives an error instead of a crash, and a model's
file cannot run code of its own.
"""

import json
import re
from pathlib import Path
from typing import Any

from larq_reactnet import _hdf5, _hdf5_weights
from larq_reactnet._fitting import OtherHeadError
from larq_reactnet.layers import rotates
from larq_reactnet.packed import read_into

import tensorflow as tf

__all__ = ["OtherHeadError", "load_model", "load_weights"]

_HDF5 = b"\x89HDF\r\n\x1a\n"  # how every HDF5 file begins

# Functions of TensorFlow that a model in a file may call, as those do that are built with operators
# and functions on Keras tensors. Others could write files or run Python.
_FUNCTIONS = re.compile(
    r"(__operators__|math|nn|image)\.\w+|cast|clip_by_value|concat|expand_dims|pad|reshape|reverse"
    r"|split|squeeze|stack|tile|transpose|where|zeros_like|ones_like"
)


def load_weights(model: tf.keras.Model, path: str | Path, *, other_head: bool = False) -> str:
    """Load a file of weights into a model of the same architecture.

    Args:
        model: Model to load them into.
        path: A file that Keras' `save_weights` wrote in HDF5 format, or a packed one, that
            `save_packed` wrote. They are told apart by their content and their suffix.
        other_head: Whether the file may be for another head. A model without head then gets the
            weights of all its layers, and a classifier for another number of classes those of all
            but its last layer, which keeps what it has.

    Returns:
        Half a sentence that says what was left out, empty if nothing was.

    Raises:
        OtherHeadError: If the file is for another head, and may not be. It is a `ValueError`.
        ValueError: If the file is corrupt, or of another model; nothing is loaded then.
        OSError: If there is no such file, or it cannot be read.
    """
    path = Path(path)
    with path.open("rb") as file:
        is_hdf5 = file.read(len(_HDF5)) == _HDF5
    if not is_hdf5 and path.suffix not in (".h5", ".hdf5", ".keras"):
        return read_into(model, path, other_head)
    try:
        _hdf5.check(path)
        _refuse_other_padding(model, path)
        return _hdf5_weights.read_into(model, path, other_head)
    except Exception as error:  # h5py and Keras raise many kinds
        is_list = isinstance(error, ValueError) and str(error).startswith("\n")
        reason = str(error) if is_list else f" {str(error).strip().split(chr(10))[0]}"
        kind = OtherHeadError if isinstance(error, OtherHeadError) else ValueError
        raise kind(f"{path} does not hold the weights of {model.name}:{reason}") from error


def _refuse_other_padding(model: tf.keras.Model, path: Path) -> None:
    """Raise ValueError if one of model and file is for rotated images, and the other is not."""
    import h5py

    with h5py.File(path) as file:
        is_rotated = "rotate" in file.get("model_weights", file)  # where `model.save` has them
    if is_rotated != rotates(model):
        raise ValueError("one is for models with `torch_padding=True`, the other is not")


def load_model(path: str | Path) -> tf.keras.Model:
    """The model in an `.h5` file that `model.save` wrote; it is not compiled.

    Raises:
        ValueError: If the file is corrupt, or would run code of its own (a `Lambda` layer).
        OSError: If there is no such file.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder {path}.")
    try:
        _hdf5.check(path)
        _refuse_code(path)
        return tf.keras.models.load_model(path, compile=False)
    except Exception as error:  # h5py and Keras raise many kinds
        reason = str(error).strip().split("\n")[-1]
        raise ValueError(f"{path} is not a Keras model in HDF5 format: {reason}") from error


def _refuse_code(path: Path) -> None:
    """Raise ValueError if the model in an `.h5` file has a layer with Python code in it."""
    import h5py

    with h5py.File(path) as file:
        if "model_config" not in file.attrs:
            raise ValueError("it holds weights only; give the folder of the run.")
        config = json.loads(file.attrs["model_config"])

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if node.get("class_name") in ("Lambda", "__lambda__"):
                raise ValueError("it has a Lambda layer, whose code is not run from a file.")
            if node.get("class_name") in ("TFOpLambda", "SlicingOpLambda"):
                function = str(node.get("config", {}).get("function"))
                if not _FUNCTIONS.fullmatch(function):
                    raise ValueError(f"it calls tf.{function}, which is not done from a file.")
            node = [*node.values()]
        if isinstance(node, list):
            for child in node:
                walk(child)

    walk(config)
