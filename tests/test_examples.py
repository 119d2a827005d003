"""The scripts in examples/ that no page of the documentation runs, on small data."""

import importlib.util
import re
import subprocess
import sys
from dataclasses import replace

import larq_reactnet as lr
from larq_reactnet.converters.checking import binary_convolutions

import numpy as np
import pytest
from doc_pages import ROOT

pytestmark = pytest.mark.slow


def example(name):
    """The module of an example."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def few(monkeypatch):
    """Four batches of digits, for training and for tests."""
    load = lr.zoo.datasets.load

    def of_few(*args, **kwargs):
        data = load(*args, **kwargs)
        return replace(data, train=data.train.take(4), test=data.test.take(4), steps_per_epoch=4)

    monkeypatch.setattr(lr.zoo.datasets, "load", of_few)


def test_custom_loop():
    """In a process of its own, because the CPU is cut in two before anything is computed."""
    # Of 479 images, there are three batches of one size, for which the step is traced once.
    options = "--devices 2 --epochs 3 --width 0.05 --batch-size 479 --wanted 0.0"
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "custom_loop.py"), *options.split()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("2 devices\n")
    losses = [float(found) for found in re.findall(r"loss ([\d.]+)", done.stdout)]
    assert len(losses) == 3
    assert losses[-1] < losses[0]


def test_quicknet_with_rsign(tmp_path, few, capsys, monkeypatch):
    """But for its export: after four batches, many outputs are ties. Other tests export it."""
    exported = []
    monkeypatch.setattr(lr.converters, "export", lambda model, path, **_: exported.append(model))
    script = example("quicknet_rsign")
    script.main(tmp_path, "quicknet_small", None, 32, 1)
    text = capsys.readouterr().out
    assert "the outputs are the same" in text
    model = lr.training.load_model(tmp_path / "quicknet_rsign.h5")
    learned = script.thresholds(model)
    assert f"{len(learned):,} thresholds at 0" in text
    assert np.count_nonzero(learned) > 0.5 * len(learned)
    assert len(binary_convolutions(exported[0])) == 16


def test_regularizer_schedule(few):
    """The strength rises, and pulls the weights towards their scale."""
    raised = example("regularizer_schedule").main(4, 2, 0.01, "r1", 0.1)
    assert [factor for factor, _ in raised] == [0.0, 0.5, 1.0, 1.0]
    distances = [distance for _, distance in raised]
    assert distances[-1] < 0.9 * distances[0]
    ((factor, strong),) = example("regularizer_schedule").main(1, 0, 0.01, "r1", 0.1)
    assert factor == 1.0
    assert strong < distances[0]


def test_export_for_a_pi(tmp_path, capfd):
    """`run.py`, without TensorFlow, gives the answer that the PC gave."""
    pytest.importorskip("larq_reactnet_runtime")
    folder = tmp_path / "for_pi"
    label = example("export_for_pi").main(None, folder, None)
    assert {path.name for path in folder.iterdir()} == {
        "expected.json",
        "image.npy",
        "model.tflite",
        "photo.png",
        "run.py",
    }
    text = capfd.readouterr().out
    assert f"chelsea.png: {label}" in text
    assert float(re.search(r"The outputs differ by (\S+)", text)[1]) < 1e-5
    assert re.search(r"[\d.]+ ms for an image", text)
    wrong = folder / "expected.json"
    wrong.write_text(wrong.read_text().replace(f'"{label}"', '"nothing"'))
    done = subprocess.run([sys.executable, str(folder / "run.py")], capture_output=True, text=True)
    assert done.returncode == 1
    assert "it is nothing" in done.stderr
