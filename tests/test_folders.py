"""Folders of photographs: their layouts, their split, files that cannot be read, and paths."""

import os

import larq_reactnet as lr
from larq_reactnet._shared import photos
from larq_reactnet.training import Run
from larq_reactnet.zoo.datasets import folders
from larq_reactnet_cli import main
from larq_reactnet_cli._known import Known, known_of

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

load = lr.zoo.datasets.load


@pytest.fixture(autouse=True)
def _says_it_again():
    folders.say.cache_clear()


def save(folder, count, rng, size=(12, 12)):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.jpg")


@pytest.fixture
def pictures(tmp_path, rng):
    """Twenty photos of each of three classes, not split."""
    for name in ("cat", "dog", "hen"):
        save(tmp_path / "photos" / name, 20, rng)
    return tmp_path / "photos"


def files(data, monkeypatch):
    """The paths of the test images of a data set."""
    seen = []
    real = photos.decode
    with monkeypatch.context() as context:
        context.setattr(photos, "decode", lambda path, n: (seen.append(path), real(path, n))[1])
        data.test_arrays()
    return {os.path.relpath(path, data.name) for path in seen}


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_folder_of_classes_is_split(pictures, rng, monkeypatch, capsys):
    data = load(str(pictures), image_size=8)
    assert data.class_names == ["cat", "dog", "hen"]
    assert data.train_size + data.test_size == 60
    assert 3 <= data.test_size <= 24
    said = capsys.readouterr().err
    assert (
        f"{pictures} is not split into train/ and test/: {data.test_size} of its 60 images" in said
    )
    _, labels = data.test_arrays()
    assert set(labels) == {0, 1, 2}

    before = files(data, monkeypatch)
    assert len(before) == data.test_size
    # It stays the same when other photos come, and when the folder moves.
    Image.new("RGB", (9, 9)).save(pictures / "cat" / "new.png")
    moved = pictures.rename(pictures.with_name("moved"))
    assert files(load(str(moved), image_size=8), monkeypatch) - {"cat/new.png"} == before


def test_small_classes_are_in_both_parts(tmp_path, rng):
    for number in range(10):
        save(tmp_path / f"class{number}", 2, rng)
    data = load(str(tmp_path), image_size=8)
    assert (data.train_size, data.test_size) == (10, 10)
    assert sorted(data.test_arrays()[1]) == [*range(10)]


def test_classes_of_one_image(tmp_path, rng):
    for name in "ab":
        save(tmp_path / name, 1, rng)
    with pytest.raises(ValueError, match=r"has one image of each class .* add a second one"):
        load(str(tmp_path))


def test_a_folder_that_exists_is_never_no_data_set(tmp_path, rng, monkeypatch):
    with pytest.raises(ValueError, match="is a folder, but there are no images in it where"):
        load(str(tmp_path))
    save(tmp_path, 2, rng)  # not in folders of classes
    with pytest.raises(ValueError, match=r"a folder for each class, CLASS/, or in train/CLASS/"):
        load(str(tmp_path))
    (tmp_path / "train" / "cat").mkdir(parents=True)
    with pytest.raises(ValueError, match="is a folder, but there are no images in it where"):
        load(str(tmp_path))
    save(tmp_path / "train" / "cat", 2, rng)
    with pytest.raises(ValueError, match=r"has train/ and no test/"):
        load(str(tmp_path))
    (tmp_path / "val").mkdir()
    with pytest.raises(ValueError, match=r"no images in test/CLASS/"):
        load(str(tmp_path))
    save(tmp_path / "val" / "hen", 2, rng)
    with pytest.raises(ValueError, match=r"classes that are not in train/: hen"):
        load(str(tmp_path))
    (tmp_path / "val" / "hen").rename(tmp_path / "val" / "cat")
    assert load(str(tmp_path), image_size=8).test_size == 2
    # A folder without images may have the name of a data set.
    (tmp_path / "mnist").mkdir()
    monkeypatch.chdir(tmp_path)
    assert lr.zoo.datasets.absolute("mnist") == "mnist"


@pytest.fixture
def damaged(pictures):
    content = (pictures / "cat" / "0.jpg").read_bytes()
    (pictures / "cat" / "half.jpg").write_bytes(content[: len(content) // 2])
    (pictures / "dog" / "text.png").write_text("no image")
    (pictures / "hen" / "empty.jpg").write_bytes(b"")
    (pictures / "hen" / "notes.txt").write_text("seen in the garden")
    (pictures / "hen" / ".hidden.jpg").write_text("of another program")
    (pictures / ".cache").mkdir()
    return pictures


def test_images_of_no_class_are_said(pictures, rng, capsys):
    save(pictures, 2, rng)
    assert load(str(pictures), image_size=8).class_names == ["cat", "dog", "hen"]
    said = capsys.readouterr().err
    assert f"{pictures} has images that are in no folder of a class, and are not read: 2" in said


def test_unreadable_files_are_named_and_left_out(damaged, capsys):
    data = load(str(damaged), image_size=8)
    said = capsys.readouterr().err
    assert f"3 of the 63 images in {damaged} cannot be read, and are left out" in said
    for name in ("half.jpg is truncated or corrupt", "text.png is not a JPEG", "empty.jpg is not"):
        assert name in said
    assert "hidden" not in said
    assert "has files that are not read as images: 1 of .txt" in said
    assert data.train_size + data.test_size == 60
    assert sum(len(y) for _, y in data.train) == data.train_size
    assert len(data.test_arrays()[1]) == data.test_size
    with pytest.raises(ValueError, match=r"3 of the 63 images in .* cannot be read:\n.*half.jpg"):
        load(str(damaged), image_size=8, strict=True)
    # What was mended is read again.
    for name in ("cat/half.jpg", "dog/text.png", "hen/empty.jpg"):
        Image.new("RGB", (9, 9)).save(damaged / name)
    assert load(str(damaged), image_size=8, strict=True).train_size > data.train_size


@pytest.mark.slow
def test_the_command_trains_on_a_damaged_folder(damaged, tmp_path, monkeypatch):
    """A network for 32x32 takes these, although the photos are larger, and says so."""
    monkeypatch.chdir(tmp_path)
    arguments = ["train", "bnn_plus_dorefanet", "--dataset", "photos", "--set", "width=0.1"]
    arguments += ["--step1-epochs", 0, "--epochs", 1, "--output", "run"]
    refused = run(*arguments, "--strict")
    assert refused.exit_code == 1
    assert "3 of the 63 images" in refused.output
    assert not (tmp_path / "run").exists()
    folders.say.cache_clear()
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert "become 32x32 pixels: --image-size" in result.output
    assert "3 of the 63 images" in result.output
    content = Run(tmp_path / "run").read()
    assert content["arguments"]["dataset"] == str(tmp_path / "photos")
    assert content["arguments"]["options"]["input_shape"] == [32, 32, 3]
    assert content["class_names"] == ["cat", "dog", "hen"]
    # From another folder, too.
    monkeypatch.chdir("/")
    result = run("evaluate", tmp_path / "run")
    assert result.exit_code == 0, result.output
    other = tmp_path / "other"
    for name in ("cat", "dog", "emu"):
        (other / name).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (40, 40)).save(other / name / f"{i}.jpg")
    result = run("evaluate", tmp_path / "run", "--dataset", other)
    assert result.exit_code == 1
    assert (
        f"The classes of {other} (cat, dog, emu) are not those of {tmp_path}/run" in result.output
    )
    result = run("evaluate", tmp_path / "run", "--dataset", "digits")
    assert "(cat, dog, hen)" in result.output


def test_data_of_other_classes_are_refused(pictures, tmp_path):
    data = load(str(pictures), image_size=8)
    Known(class_names=("cat", "dog", "hen"), num_classes=3).check_classes("run", data)
    Known().check_classes("model.h5", data)
    with pytest.raises(ValueError, match=r"has 3 classes \(cat, dog, hen\), and run has 10"):
        Known(num_classes=10).check_classes("run", data)
    with pytest.raises(ValueError, match=r"\(cat, dog, hen\) are not those of run \(dog, cat, hen"):
        Known(class_names=("dog", "cat", "hen")).check_classes("run", data)
    known = known_of("bnn_plus_dorefanet_cifar10_short")
    assert known.class_names[:3] == ("airplane", "automobile", "bird")
    result = run("evaluate", "bnn_plus_dorefanet_cifar10_short", "--dataset", pictures)
    assert result.exit_code == 1
    assert "(cat, dog, hen) are not those of bnn_plus_dorefanet_cifar10_short (air" in result.output
