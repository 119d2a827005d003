"""The trained model of a run, and of other files.

`larq_reactnet._run_folder` says what the folder of a run holds.
"""

from pathlib import Path
from typing import Any

from larq_reactnet import model_files, zoo
from larq_reactnet._names import nearest
from larq_reactnet._run_folder import RunFolder

import tensorflow as tf

__all__ = ["Run", "load_model"]


class Run(RunFolder):
    """A run folder."""

    def load_model(self, **options: Any) -> tf.keras.Model:
        """The trained model. `options` replace arguments of its constructor.

        With `include_top=False` it comes without its head, and with another `num_classes` it has a
        new one, which a line on stderr says.

        Raises:
            ValueError: If the training is not finished, or a file is corrupt.
        """
        model = self.read()["arguments"]["model"]
        return zoo.create(model, **{**options, "weights": self.folder})


def load_model(path: str | Path, **options: Any) -> tf.keras.Model:
    """A model from a run folder or from what `model.save` wrote; it is not compiled.

    That is an `.h5` or `.keras` file, or the folder of a SavedModel. A SavedModel is a program:
    load only those that you trust.

    !!! example
        ```python
        model = lr.training.load_model("run")
        backbone = lr.training.load_model("run", include_top=False)  # to fine-tune
        ```

    Args:
        path: The file or folder.
        **options: For a run, arguments of the constructor in place of those that it was trained
            with, as for `Run.load_model`.

    Raises:
        ValueError: If it is corrupt, has a layer that is not known, or is a file that would run
            code of its own (a `Lambda` layer), or the training is not finished.
        OSError: If there is no such file or folder.
    """
    path = Path(path)
    if path.is_dir() and not model_files.is_saved_model(path):
        return Run(path).load_model(**options)
    if options:
        raise ValueError(f"{path} is not the folder of a run: {', '.join(options)} is for those.")
    if not path.exists():
        names = [row.recipe for row in zoo.pretrained.list_weights() if row.recipe]
        hint = nearest(str(path), names, "the weights ")
        raise FileNotFoundError(f"There is no file or folder {path}.{hint}")
    return model_files.load_model(path)
