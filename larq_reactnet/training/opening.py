"""The folder of a run is opened: made, locked, and its `run.json` written or compared."""

import contextlib
import datetime
import platform
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from larq_reactnet._files import check_writable
from larq_reactnet._workers import has_several_workers, is_chief
from larq_reactnet.training.distributing import together, told
from larq_reactnet.training.locking import locked
from larq_reactnet.training.provenance import commit, hardware, versions
from larq_reactnet.training.resuming import continued
from larq_reactnet.training.runs import Run

import tensorflow as tf

__all__ = ["check_seen", "now", "opened"]

PATIENCE = 60  # seconds after which a new file is seen on other machines, also over NFS


@contextlib.contextmanager
def opened(
    folder: Path,
    arguments: dict[str, Any],
    class_names: Sequence[str],
    strategy: tf.distribute.Strategy,
) -> Iterator[tuple[Run, dict[str, Any]]]:
    """The run in `folder`, new or resumed, and the content of its `run.json`.

    No other process can open it meanwhile. Of several workers, the chief alone does.

    Args:
        folder: The folder. A new one is made; its parent must exist.
        arguments: What is asked for.
        class_names: The names of the classes.
        strategy: Where it is trained.

    Raises:
        ValueError: If the folder holds something else, or a run with other values.
        OSError: If it cannot be made, or another process trains in it.
    """
    run = Run(folder)
    if not is_chief(strategy):
        yield run, {}
        return
    if not run.exists():
        if folder.exists() and not _is_free(folder):
            raise ValueError(f"{folder} exists and is not the folder of a run: give another one.")
        if not folder.absolute().parent.is_dir():
            raise FileNotFoundError(
                f"Cannot make {folder}: there is no folder {folder.absolute().parent}. Make it "
                "first."
            )
        if not folder.exists():
            check_writable(folder)
            folder.mkdir(exist_ok=True)
    check_writable(folder / ".lock")
    with locked(folder):
        _remove_unfinished(folder)
        if not run.exists():
            content = _begun(arguments, class_names, strategy)
            run.write(content)
        else:
            content = continued(run, run.read(), arguments)
        yield run, content


def _is_free(folder: Path) -> bool:
    """Whether nothing is in a folder but what a process left that was killed before `run.json`."""
    return folder.is_dir() and all(
        path.name == ".lock" or path.match(".run.*.json") for path in folder.iterdir()
    )


def check_seen(run: Run, strategy: tf.distribute.Strategy) -> None:
    """Refuse to train if a worker has another folder than the chief under the same path.

    Raises:
        ValueError: If `run.json` is not the chief's, also after `PATIENCE`.
    """
    if not has_several_workers(strategy):
        return
    chiefs, *_ = told(strategy, run.read() if is_chief(strategy) else None)
    until = time.monotonic() + PATIENCE
    with together(strategy):
        while not run.exists() or run.read() != chiefs:
            if time.monotonic() > until:
                raise ValueError(
                    f"{run.folder.absolute()} on {platform.node()} is not the folder that the "
                    "chief has made: give a folder that all workers see."
                )
            time.sleep(1)


def _remove_unfinished(folder: Path) -> None:
    """Remove the temporary files of a process that was killed while it wrote."""
    for path in folder.glob(".*.*"):
        path.unlink(missing_ok=True)


def _begun(
    arguments: dict[str, Any], class_names: Sequence[str], strategy: tf.distribute.Strategy
) -> dict[str, Any]:
    """The content of `run.json` of a new run."""
    packages = versions()
    return {
        "arguments": arguments,
        "class_names": list(class_names),
        "started": now(),
        "larq_reactnet": packages.pop("larq-reactnet"),
        "python": platform.python_version(),
        "machine": platform.platform(),
        "hardware": hardware(),
        "replicas": strategy.num_replicas_in_sync,
        "commit": commit(),
        "packages": packages,
    }


def now() -> str:
    """The time, for people and programs."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
