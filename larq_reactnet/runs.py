"""The folder of a training run: what was asked for, how it went, and the weights.

| file | content |
| --- | --- |
| `run.json` | arguments, seed, versions, dates, results |
| `weights.h5` | the trained weights |
| `packed.safetensors` | the same with one bit for each binary weight |
| `step1.h5` | the weights after step 1, if there were two |
| `history.csv`, `history.png` | the metrics of every epoch |
| `logs/` | the same for TensorBoard |
| `checkpoint/` | what an interrupted training resumes from |
"""

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from larq_reactnet import _hdf5
from larq_reactnet._files import replacing
from larq_reactnet.layers import rotates

import tensorflow as tf

__all__ = ["Run", "load_model"]

# Functions of TensorFlow that a model in a file may call, as those do that are built with operators
# and functions on Keras tensors. Others could write files or run Python.
_FUNCTIONS = re.compile(
    r"(__operators__|math|nn|image)\.\w+|cast|clip_by_value|concat|expand_dims|pad|reshape|reverse"
    r"|split|squeeze|stack|tile|transpose|where|zeros_like|ones_like"
)


@dataclass(frozen=True)
class Run:
    """A run folder."""

    folder: Path

    @property
    def weights(self) -> Path:
        """The trained weights."""
        return self.folder / "weights.h5"

    @property
    def packed(self) -> Path:
        """The trained weights, packed."""
        return self.folder / "packed.safetensors"

    @property
    def history(self) -> Path:
        """The metrics of every epoch."""
        return self.folder / "history.csv"

    def exists(self) -> bool:
        """Whether a run was started in the folder."""
        return (self.folder / "run.json").is_file()

    def read(self) -> dict[str, Any]:
        """The content of `run.json`.

        Raises:
            ValueError: If it is missing or corrupt.
        """
        path = self.folder / "run.json"
        try:
            content = json.loads(path.read_text())
            for key in ("model", "options", "dataset", "data_dir", "image_size"):
                content["arguments"][key]
            return dict(content)
        except FileNotFoundError as error:
            raise ValueError(f"{self.folder} is not the folder of a run: no run.json.") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is corrupt: {error!r}.") from error

    def write(self, content: dict[str, Any]) -> None:
        """Replace `run.json`."""
        with replacing(self.folder / "run.json") as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n")

    def hours(self) -> float:
        """How long the training took, without interruptions."""
        with self.history.open(newline="") as file:
            return sum(float(row["seconds"]) for row in csv.DictReader(file)) / 3600

    def load_model(self, **options: Any) -> tf.keras.Model:
        """The trained model; `options` are other arguments of its constructor.

        Raises:
            ValueError: If the training is not finished, or a file is corrupt.
        """
        from larq_reactnet import zoo

        arguments = self.read()["arguments"]
        if not self.weights.is_file():
            raise ValueError(
                f"The run in {self.folder} is not finished: repeat its `train` command to resume."
            )
        model = zoo.create(
            arguments["model"], **{**arguments["options"], "weights": None, **options}
        )
        load_weights(model, self.weights)
        return model


def load_weights(model: tf.keras.Model, path: Path) -> None:
    """Load a file of weights.

    Raises:
        ValueError: If it is corrupt or of another model.
    """
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


def load_model(path: str | Path) -> tf.keras.Model:
    """A model from a run folder or from an `.h5` file that `model.save` wrote.

    Raises:
        ValueError: If the file is corrupt, or would run code of its own (a `Lambda` layer).
        OSError: If there is no such file or folder.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder {path}.")
    if path.is_dir():
        return Run(path).load_model()
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
