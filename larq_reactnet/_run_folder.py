"""The folder of a training run, which holds what was asked for, how it went, and the weights.

`training.Run` loads the model in it.

| file | content |
| --- | --- |
| `run.json` | arguments, seed, versions, dates, results |
| `weights.h5` | the trained weights |
| `packed.safetensors` | the same weights, with one bit for each binary one |
| `float.keras` | the real network that was made binary, with `train --float-model` |
| `step1.h5` | the weights after step 1, if there were two |
| `history.csv`, `history.png` | the metrics of every epoch |
| `insight.jsonl` | what `callbacks.BinaryInsight` saw in every epoch |
| `logs/` | all of that for TensorBoard |
| `teacher_logits.safetensors` | what the teacher says of each image, if no image is augmented |
| `report.html` | the page that `larq-reactnet report` writes |
| `checkpoint/` | what an interrupted training resumes from, or a longer one |
| `.lock` | held by the process that trains |
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from larq_reactnet._files import replacing

__all__ = ["RunFolder"]


@dataclass(frozen=True)
class RunFolder:
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
    def float_model(self) -> Path:
        """The real network that was made binary."""
        return self.folder / "float.keras"

    @property
    def history(self) -> Path:
        """The metrics of every epoch."""
        return self.folder / "history.csv"

    @property
    def insight(self) -> Path:
        """What was seen of the binary layers in every epoch."""
        return self.folder / "insight.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Folder of what an interrupted training resumes from."""
        return self.folder / "checkpoint"

    @property
    def teacher_logits(self) -> Path:
        """What the teacher says of each image, if no image is augmented."""
        return self.folder / "teacher_logits.safetensors"

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

    def options(self) -> dict[str, Any]:
        """The arguments of the constructor with which the network was trained.

        Raises:
            ValueError: If `run.json` is missing or corrupt.
        """
        arguments = self.read()["arguments"]
        source = {"source": str(self.float_model)} if arguments.get("float_model") else {}
        return {**arguments["options"], **source}

    def write(self, content: dict[str, Any]) -> None:
        """Replace `run.json`."""
        with replacing(self.folder / "run.json") as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n")

    def trained_weights(self) -> Path:
        """The file of the trained weights.

        Raises:
            ValueError: If the training is not finished.
        """
        if not self.weights.is_file():
            raise ValueError(
                f"The run in {self.folder} is not finished: repeat its `train` command to resume."
            )
        return self.weights

    def hours(self) -> float:
        """How long the training took, without interruptions."""
        with self.history.open(newline="") as file:
            return sum(float(row["seconds"]) for row in csv.DictReader(file)) / 3600
