"""Loads whole models that Keras saved: `.h5` and `.keras` files, and folders with a SavedModel.

A file is checked before it is used: a corrupt one gives an error instead of a crash, and none can
run code of its own. A SavedModel cannot be checked like that, because its graphs are programs.
"""

import json
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from larq_reactnet import _hdf5

import tensorflow as tf

__all__ = ["is_saved_model", "load_model"]

# Functions of TensorFlow that a model in a file may call, as those do that are built with operators
# and functions on Keras tensors. Others could write files or run Python.
_FUNCTIONS = re.compile(
    r"(__operators__|math|nn|image)\.\w+|cast|clip_by_value|concat|expand_dims|pad|reshape|reverse"
    r"|split|squeeze|stack|tile|transpose|where|zeros_like|ones_like"
)
# Modules from which Keras may take the classes that a `.keras` file names, where they are not
# registered. From others, such as `keras.utils`, it would take functions that download or write.
_MODULES = re.compile(
    r"builtins|(tf_)?keras|(tf_)?keras\.(src\.)?(activations|constraints|engine|initializers|layers|losses|"
    r"metrics|mixed_precision|models|optimizers|regularizers)(\.\w+)*"
)
# How Keras says that it does not know a class or function, in each of its formats.
_UNKNOWN = re.compile(
    r"(?:Unknown [\w ]+|Could not locate (?:class|function)): ?'?([\w>]+)'?"
    r"|Could not locate (?:class|function) '([\w>]+)'"
)


def is_saved_model(path: Path) -> bool:
    """Whether `path` is a folder in which Keras or TensorFlow saved a model."""
    return (path / "saved_model.pb").is_file()


def load_model(path: str | Path) -> tf.keras.Model:
    """The model in a file or folder that `model.save` wrote; it is not compiled.

    A SavedModel is a program: load only those that you trust.

    Raises:
        ValueError: If it is corrupt, has a layer that is not known, or is a file that would run
            code of its own (a `Lambda` layer).
        OSError: If there is no such file or folder.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder {path}.")
    kind = "HDF5"
    try:
        if is_saved_model(path):
            kind = "SavedModel"
            return _from_saved_model(path)
        if zipfile.is_zipfile(path):
            kind = ".keras"
            _check_keras(path)
        else:
            _hdf5.check(path)
            _refuse_code(_config_of_hdf5(path))
        return tf.keras.models.load_model(path, compile=False)
    except Exception as error:  # h5py and Keras raise many kinds
        unknown = _UNKNOWN.search(str(error))
        if unknown:
            name = (unknown[1] or unknown[2]).rpartition(">")[2]
            raise ValueError(_unknown(path, name)) from error
        reason = str(error).strip().split("\n")[-1]
        raise ValueError(f"{path} is not a Keras model in {kind} format: {reason}") from error


def _unknown(path: Path, name: str) -> str:
    return (
        f"{path} needs {name!r}, which Keras does not know: give the Python file that defines it "
        "with --import, or in Python register it with tf.keras.utils.register_keras_serializable."
    )


def _config_of_hdf5(path: Path) -> Any:
    import h5py

    with h5py.File(path) as file:
        if "model_config" not in file.attrs:
            raise ValueError("it holds weights only; give the folder of the run.")
        return json.loads(file.attrs["model_config"])


def _check_keras(path: Path) -> None:
    """Raise ValueError if a `.keras` file is corrupt, of Keras 3, or could run code."""
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
        version = str(json.loads(archive.read("metadata.json")).get("keras_version"))
        if version.startswith("3"):
            raise ValueError(
                f"it was saved by Keras {version}, and Larq needs Keras 2: save it again in a "
                "program that begins with `import larq_reactnet`."
            )
        config = json.loads(archive.read("config.json"))
        _hdf5.check(Path(archive.extract("model.weights.h5", folder)))
    _refuse_code(config)


def _from_saved_model(path: Path) -> tf.keras.Model:
    model = tf.keras.models.load_model(path, compile=False)
    if not isinstance(model, tf.keras.Model):
        raise ValueError("it was saved by TensorFlow alone, and has no layers")
    for layer in (model, *model.submodules):
        # In place of a class that it does not know, Keras makes one that has its graphs alone.
        if isinstance(layer, tf.keras.layers.Layer) and _is_revived(layer):
            raise ValueError(f"Unknown layer: {type(layer).__name__}")
    return model


def _is_revived(layer: tf.keras.layers.Layer) -> bool:
    return any("Revived" in base.__name__ for base in type(layer).__mro__)


def _refuse_code(node: Any) -> None:
    """Raise ValueError if the configuration of a model has Python code in it, or names some."""
    if isinstance(node, dict):
        if node.get("class_name") in ("Lambda", "__lambda__"):
            raise ValueError("it has a Lambda layer, whose code is not run from a file.")
        if node.get("class_name") in ("TFOpLambda", "SlicingOpLambda"):
            function = str(node.get("config", {}).get("function"))
            if not _FUNCTIONS.fullmatch(function):
                raise ValueError(f"it calls tf.{function}, which is not done from a file.")
        if "class_name" in node and isinstance(node.get("module"), str):
            name = str(node.get("registered_name") or node["class_name"])
            is_known = tf.keras.utils.get_registered_object(name) is not None
            if not is_known and not _MODULES.fullmatch(node["module"]):
                raise ValueError(f"Unknown layer: {name}")
        node = [*node.values()]
    if isinstance(node, list):
        for child in node:
            _refuse_code(child)
