"""A page for the browser about one training or several: curves, binary layers, mistakes, sizes."""

from collections.abc import Callable, Sequence
from pathlib import Path

from larq_reactnet._files import check_writable, write_whole
from larq_reactnet.training._report.answers import Answers, answers_of
from larq_reactnet.training._report.page_of import page_of
from larq_reactnet.training._report.reading import Ran, read_run
from larq_reactnet.zoo.datasets import Dataset

import tensorflow as tf

__all__ = ["report"]


def report(
    runs: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    *,
    data: Callable[[Path], Dataset] | None = None,
    limit: int | None = None,
) -> Path:
    """Write a page about a run, or about several side by side.

    It has the curves of all steps, what `callbacks.BinaryInsight` saw of the binary layers and what
    went wrong, the confusion matrix, the surest mistakes as pictures, operations and sizes. What is
    missing in a run, because it is not finished or is of an earlier version, is left out with the
    reason. The page is one file, which loads nothing else.

    !!! example
        ```python
        lr.training.report("run", data=lambda folder: lr.zoo.datasets.load("digits"))
        ```

    Args:
        runs: The folder of a run, or several.
        output: The file; by default `report.html` in the folder of the first run.
        data: Function of the folder of a run that gives its data set. Without it, or if it raises
            ValueError, OSError or ImportError, there are no confusion matrix and no mistakes.
        limit: Use only the first `limit` test images.

    Returns:
        The path of the page.

    Raises:
        ValueError: If a folder is not that of a run, or a file in it is corrupt.
        OSError: If the page cannot be written.
    """
    folders = [Path(run) for run in ([runs] if isinstance(runs, str | Path) else runs)]
    if not folders:
        raise ValueError("Give the folder of at least one run.")
    rans = [read_run(*pair) for pair in zip(folders, _names(folders), strict=True)]
    output = check_writable(folders[0] / "report.html" if output is None else output)
    answers = [_answers(ran, data, limit) for ran in rans]
    text = page_of(rans, answers)
    write_whole(output, text)
    return Path(output)


def _names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths by which the folders can be told apart."""
    paths = [folder.resolve().parts for folder in folders]
    for count in range(1, max(map(len, paths)) + 1):
        names = ["/".join(path[-count:]) for path in paths]
        if len(set(names)) == len(set(paths)):
            return names
    return [str(folder) for folder in folders]


def _answers(ran: Ran, data: Callable[[Path], Dataset] | None, limit: int | None) -> Answers | str:
    """What the network answers to the test images, or why that is left out."""
    if not ran.results:
        return "the training is not finished."
    if data is None:
        return "no data set was given."
    try:
        return answers_of(ran, data(ran.run.folder), limit)
    except (ValueError, OSError, ImportError) as error:
        return str(error)
    except tf.errors.OpError as error:  # of data that cannot be read
        return str(error.message).strip().split("\n")[0]
