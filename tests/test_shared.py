"""What both packages have: equal copies that run in the runtime, and how photos are prepared."""

import ast
import inspect
import sys
from pathlib import Path

from larq_reactnet._shared import classifying, photos
from larq_reactnet.converters import Metadata, convert

import numpy as np
import pytest
import tensorflow as tf
from helpers import binary_model
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
ORIGINALS = ROOT / "larq_reactnet" / "_shared"
COPIES = ROOT / "runtime" / "python" / "larq_reactnet_runtime" / "_shared"
OTHERS = {"numpy", "PIL"}  # packages that the runtime may import


def files(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.py")}


def test_the_copies_are_equal():
    originals, copies = files(ORIGINALS), files(COPIES)
    assert "metadata.py" in originals
    assert [*sorted(originals)] == [*sorted(copies)], "Run `make copies`."
    different = [name for name in originals if originals[name] != copies[name]]
    assert not different, f"Run `make copies`: the copies of {different} are not the originals."


@pytest.mark.parametrize("path", sorted(ORIGINALS.glob("*.py")), ids=lambda path: path.name)
def test_the_runtime_can_run_them(path):
    """In Python 3.9, with what it installs."""
    source = path.read_text()
    assert source.startswith("# The original is in larq_reactnet/_shared ")
    for node in ast.walk(ast.parse(source, feature_version=(3, 9))):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            continue  # of this room
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno} imports from outside of the room"
            names = [node.module]
        for name in names:
            top = name.split(".")[0]
            assert top in OTHERS | sys.stdlib_module_names, f"line {node.lineno} imports {name}"


def test_metadata_are_the_same_class():
    runtime = pytest.importorskip("larq_reactnet_runtime")
    assert inspect.signature(runtime.Metadata) == inspect.signature(Metadata)
    assert [*inspect.signature(runtime.read_metadata).parameters] == ["flatbuffer"]


@pytest.mark.parametrize("size", [(640, 480), (1000, 1300), (225, 224), (40, 91), (8, 8)])
@pytest.mark.parametrize("shape", [(224, 224, 3), (32, 32, 3), (96, 128, 1)])
def test_photos_are_resized_as_tensorflow_does(size, shape, rng, tmp_path):
    """With antialiasing, to a hundredth of a grey level: its weights are float32."""
    path = tmp_path / "photo.png"
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8)).save(path)
    height, width, channels = shape
    image = photos.decode(path, channels)
    image = image.crop(photos.center(image.height, image.width, height, width))
    factor = int(image.width / width / photos.GAP)
    small = image.reduce(factor) if factor > 1 else image
    pixels = np.asarray(small, np.float32).reshape(small.height, small.width, channels)
    expected = tf.image.resize(pixels, (height, width), antialias=True)
    found = photos.prepare(path, shape)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.01)
    normal = photos.prepare(path, shape, (120,) * channels, (50,) * channels)
    np.testing.assert_allclose(normal, (found - 120) / 50, rtol=1e-6, atol=1e-6)


def test_any_interpreter_classifies(rng, tmp_path):
    """LCE's own, too."""
    import larq_compute_engine as lce

    flatbuffer = convert(binary_model())
    pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    interpreter = lce.testing.Interpreter(flatbuffer)
    metadata = Metadata(mean=127.5, std=127.5)
    classes = classifying.Classifier(interpreter, metadata, top=4)(tmp_path / "photo.png")
    logits = interpreter.predict((pixels[None] / np.float32(127.5) - 1).astype(np.float32))
    expected = tf.nn.softmax(logits)[0].numpy()
    found = dict(classes)
    for index, probability in enumerate(expected):
        assert found[f"class {index}"] == pytest.approx(probability, rel=1e-3)
