"""The trainings of the zoo's weights: one on each free core, in the order of the list below.

    python tools/trainings.py --data-dir DIR             # start or resume what is due
    python tools/trainings.py --data-dir DIR --cores 1   # on this core only
    python tools/trainings.py --pause                    # while speed is measured
    python tools/trainings.py --go-on

Each says in a line how far every training is. A training lasts for hours, and the code changes
meanwhile. So each goes on with the commit that it was begun with, from a clone and an environment
which all trainings of that commit share. All of it lies beside the repository, in `../runs`: a
folder and a `.log` for each training, and `code/COMMIT`.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT.parent / "runs"


@dataclass(frozen=True)
class Training:
    """One run.

    Attributes:
        name: Of its folder.
        recipe: Name of its recipe.
        settings: Values of `--set`, in place of those of the recipe.
        teacher: Name of the training that it learns from, which has to be finished before.
    """

    name: str
    recipe: str
    settings: tuple[str, ...] = ()
    teacher: str | None = None


def ablation(gradient: str, regularizer: str, seed: int) -> Training:
    """A cell of BNN+'s table, where `benchmarks/ablation.py` looks for it."""
    beta = {"STE": "null", "SS5": "5.0", "SS10": "10.0"}[gradient]
    penalty = "null" if regularizer == "none" else f'"{regularizer.lower()}"'
    return Training(
        f"ablation/{gradient}_{regularizer}_{seed}",
        "bnn_plus_ablation_cifar10",
        (f"beta={beta}", f"regularizer={penalty}", "step1.epochs=20", f"seed={seed}"),
    )


CELLS = [*product(("STE", "SS5", "SS10"), ("none", "R1", "R2"))]
TRAININGS = (
    Training("dorefa", "bnn_plus_dorefanet_cifar10"),
    *(ablation(*cell, 0) for cell in CELLS),
    # Without anything, and the paper's choice; the best one is added once it is known.
    *(ablation(*cell, 1) for cell in (("STE", "none"), ("SS5", "R1"))),
    Training("resnet18", "resnet18_cifar10"),
    Training("reactnet_a_quarter", "reactnet_a_quarter_cifar10", teacher="resnet18"),
    Training("reactnet18", "reactnet18_cifar10", teacher="resnet18"),
    Training("alexnet", "bnn_plus_alexnet_cifar10"),
    Training("vgg_small", "bnn_plus_vgg_small_cifar10"),
)


class State:
    """How far a training is."""

    def __init__(self, training: Training, runs: Path = RUNS):
        self.training = training
        self.folder = runs / training.name
        self.log = self.folder.with_name(f"{self.folder.name}.log")
        self._pid = self.folder.with_name(f"{self.folder.name}.pid")

    @property
    def facts(self) -> dict[str, Any]:
        """What `run.json` says; empty before the training has begun."""
        path = self.folder / "run.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    @property
    def pid(self) -> int | None:
        """The process that trains it now, if there is one."""
        try:
            pid = int(self._pid.read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if str(self.folder).encode() in words else None

    @property
    def is_finished(self) -> bool:
        """Whether its result is known."""
        return "results" in self.facts

    @property
    def epochs(self) -> tuple[int, int]:
        """How many epochs are done, and how many there will be; 0 if that is not known yet."""
        steps = self.facts.get("arguments", {}).get("steps", [])
        history = self.folder / "history.csv"
        done = len(history.read_text().splitlines()[1:]) if history.exists() else 0
        return done, sum(step["epochs"] for step in steps)

    def started(self, pid: int) -> None:
        """Remember the process."""
        self._pid.write_text(str(pid))

    def __str__(self) -> str:
        if self.is_finished:
            text = f"finished: {self.facts['results']['accuracy']:.2%}"
        elif not self.facts and self.pid is None:
            text = "not begun"
        else:
            done, total = self.epochs
            how = "stopped" if self.pid is None else f"on core {min(cores_of(self.pid))}"
            text = f"{done} of {total} epochs, {how}"
        return f"{self.training.name}: {text}"


def cores_of(pid: int) -> set[int]:
    """The cores on which a process may run."""
    return os.sched_getaffinity(pid)


def due(states: list[State]) -> State | None:
    """The first training that can go on, and that nobody is working on."""
    finished = {state.training.name for state in states if state.is_finished}
    for state in states:
        is_ready = state.training.teacher is None or state.training.teacher in finished
        if is_ready and not state.is_finished and state.pid is None:
            return state
    return None


def code(commit: str) -> Path:
    """The folder of `bin/` in an environment with the package as it is at a commit."""
    folder = RUNS / "code" / commit
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        source, environment = folder / "source", folder / "environment"
        subprocess.run(["git", "clone", "--quiet", ROOT, source], check=True)
        subprocess.run(["git", "-C", source, "checkout", "--quiet", commit], check=True)
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "--upgrade", "pip>=23.1"], check=True)
        subprocess.run([*pip, "--editable", str(source)], check=True)
        (folder / "done").touch()
    return folder / "environment" / "bin"


def command(state: State, data_dir: str) -> list[str]:
    """What trains it, with the code that it was begun with."""
    head = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    commit = state.facts.get("commit") or subprocess.check_output(head, text=True).strip()
    words = [str(code(commit) / "larq-reactnet"), "train", "--recipe", state.training.recipe]
    words += ["--output", str(state.folder), "--data-dir", data_dir]
    for setting in state.training.settings:
        words += ["--set", setting]
    if state.training.teacher is not None:
        words += ["--teacher", str(RUNS / state.training.teacher)]
    return words


def start(state: State, core: int, data_dir: str) -> "subprocess.Popen[bytes]":
    """Train it in the background on one core, after all other work."""
    words = command(state, data_dir)
    state.folder.parent.mkdir(parents=True, exist_ok=True)

    def keep_to_itself() -> None:
        os.sched_setaffinity(0, {core})
        os.nice(19)

    with state.log.open("a") as log:
        process = subprocess.Popen(
            words,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=RUNS,
            start_new_session=True,
            preexec_fn=keep_to_itself,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
    state.started(process.pid)
    return process


def main(arguments: argparse.Namespace) -> None:
    """Start what is due, and say how far everything is."""
    states = [State(training) for training in TRAININGS]
    running = [state.pid for state in states if state.pid is not None]
    if arguments.pause or arguments.go_on:
        for pid in running:
            os.kill(pid, signal.SIGSTOP if arguments.pause else signal.SIGCONT)
    elif arguments.data_dir:
        busy = {core for pid in running for core in cores_of(pid)}
        for core in sorted({*arguments.cores} - busy):
            state = due(states)
            if state is not None:
                start(state, core, str(Path(arguments.data_dir).resolve()))
    for state in states:
        print(state)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", help="where tensorflow-datasets keeps CIFAR-10")
    cores = sorted(os.sched_getaffinity(0))
    parser.add_argument("--cores", type=int, nargs="+", default=cores, help="that may train")
    parser.add_argument("--pause", action="store_true", help="stop all for a while")
    parser.add_argument("--go-on", action="store_true", help="after --pause")
    main(parser.parse_args())
