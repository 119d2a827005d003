"""A machine without Larq Compute Engine: `.tflite` files are read, run, timed and refused rightly.

Each test is a process of its own, because what was once imported hides what cannot be.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from larq_reactnet.converters import Metadata, add_metadata, convert

import numpy as np
import pytest
from helpers import binary_model
from PIL import Image

pytestmark = pytest.mark.xdist_group("without_lce")

RUNTIME = Path(__file__).resolve().parents[1] / "runtime"
LABELS = ("cat", "dog", "emu", "hen")

# Runs each list of arguments, and prints the exit codes and what the commands printed.
CODE = """
import json, sys
sys.modules["larq_compute_engine"] = None  # so that its import fails
from click.testing import CliRunner
from larq_reactnet_cli import main
found = [CliRunner().invoke(main, arguments) for arguments in json.loads(sys.argv[1])]
print(json.dumps([(result.exit_code, result.output) for result in found]))
"""


def run(*commands):
    """The exit code and the output of each command, in a process that cannot import LCE."""
    arguments = json.dumps([[str(word) for word in command] for command in commands])
    done = subprocess.run(
        [sys.executable, "-c", CODE, arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model with labels, as a .tflite and as a Keras file, a photo, and a folder of photos."""
    folder = tmp_path_factory.mktemp("files")
    model = binary_model("rsign", "react_sign")
    model.save(folder / "model.h5")
    content = add_metadata(convert(model), Metadata(labels=LABELS, mean=127.5, std=127.5))
    (folder / "model.tflite").write_bytes(content)
    (folder / "cut.tflite").write_bytes(content[: len(content) // 2])
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    for split in ("train", "test"):
        for label in LABELS:
            (folder / "photos" / split / label).mkdir(parents=True)
            shutil.copy(folder / "photo.png", folder / "photos" / split / label)
    return folder


@pytest.mark.slow
def test_commands_that_take_a_tflite(folder):
    pytest.importorskip("larq_reactnet_runtime", reason=f"not installed: pip install {RUNTIME}")
    path = folder / "model.tflite"
    commands = {
        "predict": (path, folder / "photo.png"),
        "evaluate": (path, "--dataset", folder / "photos"),
        "inspect": (path,),
        "benchmark": (path, "--runs", 1),
    }
    found = run(*((name, *arguments) for name, arguments in commands.items()))
    outputs = dict(zip(commands, found, strict=True))
    assert {name: code for name, (code, _) in outputs.items()} == dict.fromkeys(commands, 0), found
    assert all(label in outputs["predict"][1] for label in LABELS)
    assert "of 4 images" in outputs["evaluate"][1]
    assert "LceBconv2d 1" in outputs["inspect"][1]
    assert "larq-reactnet-runtime" in outputs["benchmark"][1]


@pytest.mark.slow
def test_what_is_refused(folder):
    """A corrupt file is still called corrupt, and what needs LCE says so, with the cure."""
    wrong = {
        "is corrupt": ("inspect", folder / "cut.tflite"),
        "Converting needs larq-compute-engine": (
            *("export", folder / "model.h5", folder / "new.tflite"),
            *("--dataset", "digits", "--image-size", 8, "--images", 20),
        ),
        "The engine 'lce' needs larq-compute-engine": (
            *("predict", folder / "model.tflite", folder / "photo.png", "--engine", "lce"),
        ),
    }
    for message, (code, output) in zip(wrong, run(*wrong.values()), strict=True):
        assert code == 1
        assert message in output
        assert "Traceback" not in output
    assert not (folder / "new.tflite").exists()
