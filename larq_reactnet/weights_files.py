"""Loads files of weights, which may come from anywhere.

A file is checked before it is used: a corrupt one gives an error instead of a crash.
"""

from pathlib import Path

from larq_reactnet import _hdf5
from larq_reactnet.layers import rotates
from larq_reactnet.packed import load_packed

import tensorflow as tf

__all__ = ["load_weights"]

_HDF5 = b"\x89HDF\r\n\x1a\n"  # how every HDF5 file begins


def load_weights(model: tf.keras.Model, path: str | Path) -> None:
    """Load a file of weights into a model of the same architecture.

    Args:
        model: Model to load them into.
        path: A file that Keras' `save_weights` wrote in HDF5 format, or a packed one, that
            `save_packed` wrote. They are told apart by their content and their suffix.

    Raises:
        ValueError: If the file is corrupt, or of another model; nothing is loaded then.
        OSError: If there is no such file, or it cannot be read.
    """
    path = Path(path)
    with path.open("rb") as file:
        is_hdf5 = file.read(len(_HDF5)) == _HDF5
    if not is_hdf5 and path.suffix not in (".h5", ".hdf5", ".keras"):
        load_packed(model, path)
        return
    try:
        _hdf5.check(path)
        _refuse_other_padding(model, path)
        model.load_weights(str(path))
    except Exception as error:  # h5py and Keras raise many kinds
        reason = str(error).strip().split("\n")[0]
        raise ValueError(f"{path} does not hold the weights of {model.name}: {reason}") from error


def _refuse_other_padding(model: tf.keras.Model, path: Path) -> None:
    """Raise ValueError if one of model and file is for rotated images, and the other is not."""
    import h5py

    with h5py.File(path) as file:
        is_rotated = "rotate" in file.get("model_weights", file)  # where `model.save` has them
    if is_rotated != rotates(model):
        raise ValueError("one is for models with `torch_padding=True`, the other is not")
