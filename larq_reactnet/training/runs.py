"""The folder of a training run, which holds what was asked for, how it went, and the weights.

| file | content |
| --- | --- |
| `run.json` | arguments, seed, versions, dates, results |
| `weights.h5` | the trained weights |
| `packed.safetensors` | the same weights, with one bit for each binary one |
| `step1.h5` | the weights after step 1, if there were two |
| `history.csv`, `history.png` | the metrics of every epoch |
| `logs/` | the same metrics for TensorBoard |
| `checkpoint/` | what an interrupted training resumes from |
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from larq_reactnet import model_files, weights_files, zoo
from larq_reactnet._files import replacing

import tensorflow as tf

__all__ = ["Run", "load_model"]


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
        """The trained model. `options` replace arguments of its constructor.

        Raises:
            ValueError: If the training is not finished, or a file is corrupt.
        """
        arguments = self.read()["arguments"]
        if not self.weights.is_file():
            raise ValueError(
                f"The run in {self.folder} is not finished: repeat its `train` command to resume."
            )
        model = zoo.create(
            arguments["model"], **{**arguments["options"], "weights": None, **options}
        )
        weights_files.load_weights(model, self.weights)
        return model


def load_model(path: str | Path) -> tf.keras.Model:
    """A model from a run folder or from what `model.save` wrote: `.h5`, `.keras` or a folder.

    A SavedModel, which is a folder, is a program: load only those that you trust.

    Raises:
        ValueError: If it is corrupt, has a layer that is not known, or is a file that would run
            code of its own (a `Lambda` layer).
        OSError: If there is no such file or folder.
    """
    path = Path(path)
    if path.is_dir() and not model_files.is_saved_model(path):
        return Run(path).load_model()
    return model_files.load_model(path)
