"""The list of trainings: which one is due, how far each is, and what a process of one is."""

import json
import subprocess
import sys

from larq_reactnet.zoo import recipes

import pytest
import trainings
from trainings import TRAININGS, State, Training, due

FIRST, SECOND, PUPIL = (
    Training("first", "resnet18_cifar10"),
    Training("deep/second", "bnn_plus_ablation_cifar10", ("seed=1",)),
    Training("pupil", "reactnet18_cifar10", teacher="first"),
)


@pytest.fixture
def states(tmp_path, monkeypatch):
    monkeypatch.setattr(trainings, "RUNS", tmp_path)
    monkeypatch.setattr(trainings, "code", lambda commit: tmp_path / "code" / commit)
    return [State(training, tmp_path) for training in (PUPIL, FIRST, SECOND)]


def begun(state, epochs=0, **facts):
    state.folder.mkdir(parents=True, exist_ok=True)
    steps = {"steps": [{"epochs": 2}, {"epochs": 3}]}
    (state.folder / "run.json").write_text(json.dumps({"arguments": steps, **facts}))
    rows = [f"1,{number}\n" for number in range(1, epochs + 1)]
    (state.folder / "history.csv").write_text("".join(["step,epoch\n", *rows]))


def test_list_is_of_recipes_and_values_that_exist():
    names = [training.name for training in TRAININGS]
    assert len(set(names)) == len(names)
    for training in TRAININGS:
        recipe = recipes.load(training.recipe)
        values = dict(setting.split("=", 1) for setting in training.settings)
        chosen = recipe.with_values({name: json.loads(text) for name, text in values.items()})
        assert training.teacher is None or (training.teacher in names and chosen.teacher)


def test_states_in_a_line(states):
    _, first, second = states
    assert str(second) == "deep/second: not begun"
    begun(second, epochs=3)
    assert str(second) == "deep/second: 3 of 5 epochs, stopped"
    begun(first, epochs=5, results={"accuracy": 0.8391})
    assert str(first) == "first: finished: 83.91%"


def test_what_is_due(states):
    pupil, first, second = states
    assert due(states) is first  # the first one of the list waits for its teacher
    begun(first, results={"accuracy": 0.9})
    assert due(states) is pupil
    begun(pupil, results={"accuracy": 0.9})
    assert due(states) is second
    begun(second, results={"accuracy": 0.9})
    assert due(states) is None


def test_command_has_the_code_that_the_training_was_begun_with(states):
    pupil, _, second = states
    begun(second, commit="abc")
    words = trainings.command(second, "data")
    assert words[0].endswith("code/abc/larq-reactnet")
    assert words[1:4] == ["train", "--recipe", "bnn_plus_ablation_cifar10"]
    assert words[-2:] == ["--set", "seed=1"]
    new = trainings.command(pupil, "data")
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=trainings.ROOT, text=True)
    assert new[0].endswith(f"code/{head.strip()}/larq-reactnet")
    assert new[-2:] == ["--teacher", str(trainings.RUNS / "first")]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc")
def test_process_of_a_training(states, monkeypatch):
    _, _, second = states
    sleep = "import time; time.sleep(60)"
    monkeypatch.setattr(
        trainings, "command", lambda state, _: [sys.executable, "-c", sleep, str(state.folder)]
    )
    core = min(trainings.cores_of(0))
    process = trainings.start(second, core, "data")
    try:
        assert trainings.cores_of(second.pid) == {core}
        assert str(second) == f"deep/second: 0 of 0 epochs, on core {core}"
        assert due([second]) is None
    finally:
        process.kill()
        process.wait()
    assert due([second]) is second
    # Another process may get the number.
    second.started(1)
    assert second.pid is None
