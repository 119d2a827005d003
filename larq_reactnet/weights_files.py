"""Loads files of weights, which may come from anywhere, and saves them.

A file is checked before it is used: a corrupt one gives an error instead of a crash.
"""

import os
from pathlib import Path

from larq_reactnet import _hdf5, _hdf5_weights
from larq_reactnet._files import replacing
from larq_reactnet._fitting import OtherHeadError
from larq_reactnet.layers import rotates
from larq_reactnet.packed import read_into

import tensorflow as tf

__all__ = ["OtherHeadError", "load_weights", "save_weights"]

_HDF5 = b"\x89HDF\r\n\x1a\n"  # how every HDF5 file begins


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


def save_weights(model: tf.keras.Model, path: str | Path) -> None:
    """Save the weights of a model in HDF5 format; the file is there whole, or as it was before.

    Args:
        model: The model.
        path: The file.

    Raises:
        OSError: If it cannot be written, also for want of space.
    """
    size = sum(weight.dtype.size * weight.shape.num_elements() for weight in model.weights)
    with replacing(path) as temporary:
        if hasattr(os, "posix_fallocate"):
            # The HDF5 library crashes the process where a disk is full, so it is tried before. Each
            # weight has a few kB beside its values.
            with temporary.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, size + 8192 * (len(model.weights) + 1))
        model.save_weights(str(temporary))


def _refuse_other_padding(model: tf.keras.Model, path: Path) -> None:
    """Raise ValueError if one of model and file is for rotated images, and the other is not."""
    import h5py

    with h5py.File(path) as file:
        is_rotated = "rotate" in file.get("model_weights", file)  # where `model.save` has them
    if is_rotated != rotates(model):
        raise ValueError("one is for models with `torch_padding=True`, the other is not")
