"""The camera loop of examples/camera.py, with a folder of pictures as the camera."""

import importlib.util
import re
import runpy
import sys
from types import SimpleNamespace

import larq_reactnet  # noqa: F401

import numpy as np
import pytest
from doc_pages import ROOT
from PIL import Image

runtime = pytest.importorskip("larq_reactnet_runtime")
SCRIPT = ROOT / "examples" / "camera.py"
MODEL = ROOT / "runtime" / "tests" / "data" / "tiny.tflite"


@pytest.fixture(scope="module")
def camera():
    """The module of the example."""
    spec = importlib.util.spec_from_file_location("camera", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def photos(tmp_path):
    """Three pictures of noise, in two formats, and something else."""
    rng, folder = np.random.default_rng(0), tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(("c.png", "a.png", "b.jpg")):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
        coarse.resize((200 + number, 150)).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    return folder


def run(monkeypatch, *arguments):
    """Run the script as a command."""
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(MODEL), *map(str, arguments)])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def seen(out):
    """Label, probability and rate of each line."""
    lines = re.findall(r"^(.+) (\d+)%  ([\d.]+) frames/s$", out, re.MULTILINE)
    assert len(lines) == len(out.splitlines())
    return lines


def test_a_folder_is_a_camera(monkeypatch, photos, tmp_path, capsys):
    from larq_reactnet_runtime.photos import classify

    run(monkeypatch, "--camera", photos, "--save", tmp_path / "seen", "--threads", 1)
    paths = [photos / name for name in ("a.png", "b.jpg", "c.png")]
    interpreter = runtime.Interpreter(MODEL)
    expected = [best for (best,) in classify(interpreter, paths, top=1)]
    lines = seen(capsys.readouterr().out)
    for (label, percent, rate), (wanted, probability) in zip(lines, expected, strict=True):
        assert (label, percent) == (wanted, f"{probability:.0%}"[:-1])
        assert float(rate) > 0
    saved = sorted((tmp_path / "seen").iterdir())
    assert [path.name for path in saved] == ["000001.jpg", "000002.jpg", "000003.jpg"]
    for path, original in zip(saved, paths, strict=True):
        ours, theirs = (np.asarray(Image.open(p).convert("RGB"), int) for p in (path, original))
        assert ours.shape == theirs.shape
        assert np.abs(ours[40:] - theirs[40:]).mean() < 6  # JPEG
        bar = ours[:14].mean(-1)
        assert np.median(bar) < 20
        assert bar.max() > 200  # the text


def test_the_text_is_that_of_the_picture(camera):
    picture = np.full((160, 240, 3), 128, np.uint8)
    one, other = (np.asarray(camera.labelled(picture, text)) for text in ("cat", "dog"))
    assert (one != other).any()
    np.testing.assert_array_equal(one[20:], picture[20:])


def test_it_stops_after_so_many(monkeypatch, photos, capsys):
    run(monkeypatch, "--camera", photos, "--frames", 2)
    assert len(seen(capsys.readouterr().out)) == 2


@pytest.mark.parametrize("pi", [True, False])
def test_cameras_give_red_green_and_blue(monkeypatch, camera, pi):
    """Stand-ins of picamera2 and of OpenCV, which name and order colors in their own ways."""
    red = np.zeros((6, 8, 3), np.uint8)
    red[..., 0] = 255
    ended = []

    class Picamera2:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            ended.append("pi")

        def create_video_configuration(self, main):
            return main

        def configure(self, found):
            self.order = {"BGR888": 1, "RGB888": -1}[found["format"]]

        def start(self):
            pass

        def capture_array(self):
            return red[..., :: self.order]

    class VideoCapture:
        def __init__(self, source):
            assert source == 0

        def isOpened(self):  # noqa: N802
            return True

        def read(self):
            return True, red[..., ::-1]

        def release(self):
            ended.append("opencv")

    monkeypatch.setitem(sys.modules, "picamera2", SimpleNamespace(Picamera2=Picamera2))
    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(VideoCapture=VideoCapture))
    if not pi:
        monkeypatch.setitem(sys.modules, "picamera2", None)
    found = camera.pictures(None)
    for _ in range(2):
        np.testing.assert_array_equal(next(found), red)
    found.close()
    assert ended == ["pi" if pi else "opencv"]


def test_what_is_wrong_is_one_line(monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match="gives no pictures"):
        run(monkeypatch, "--camera", tmp_path)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(SystemExit, match="cv2"):
        run(monkeypatch, "--camera", "0")
