"""What is in a data set: the table, the warnings, and the page, in a browser too."""

import json
import re

import larq_reactnet as lr
from larq_reactnet.zoo.datasets import folders
from larq_reactnet.zoo.recipes import two_step
from larq_reactnet_cli import main

import numpy as np
import pytest
from browser import SCHEMES, assert_fits, measured, needs_browser
from click.testing import CliRunner
from PIL import Image

COUNTS = {"<b>cat": (30, 4), "dog": (12, 2), "emu": (2, 0)}


@pytest.fixture(autouse=True)
def _says_it_again():
    folders.say.cache_clear()


@pytest.fixture
def photos(tmp_path, rng):
    """Photos of three classes, one of which is nearly empty, and one file that is no image."""
    for name, counts in COUNTS.items():
        for split, count in zip(("train", "test"), counts, strict=True):
            (tmp_path / "photos" / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (31 + number, 40, 3), dtype=np.uint8)
                path = tmp_path / "photos" / split / name / f"{number}.jpg"
                Image.fromarray(pixels).save(path)
    (tmp_path / "photos" / "train" / "dog" / "bad.jpg").write_text("no image")
    return tmp_path / "photos"


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_table(photos):
    result = run("data", photos, "--image-size", 24, "--set", "augmentation=crop")
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    for text in (
        f"{photos} Training images 44 Test images 6 Classes 3",
        "Sizes in the files 31x40 to 60x40, median 40x40 (height x width, of 44 training images)",
        "Images of the network 24x24x3",
        "Test images are fit, crop=0.875",
        "Training images are augmentation=crop, flip=True",
        "Normalization (pixels - 127.5) / 127.5",
        "class train test ------- ------- ------ <b>cat 30 4 dog 12 2 emu 2 0",
        f"cannot be read: {photos}/train/dog/bad.jpg is not a JPEG",
        "Warning: 1 of 3 classes have fewer than 10 training images: emu",
        "Warning: 1 of 3 classes have no test images: emu",
        "Warning: classes are uneven: <b>cat has 30 training images, emu 2.",
    ):
        assert text in said
    assert run("data", photos, "--strict").exit_code == 1


def test_json(photos):
    result = run("data", photos, "--image-size", 24, "--json")
    found = json.loads(result.stdout)
    assert found["counts"] == {"train": [30, 12, 2], "test": [4, 2, 0]}
    assert found["class_names"] == [*COUNTS]
    assert len(found["sizes_in_files"]) == 44
    assert len(found["left_out"]) == 1
    assert len(found["warnings"]) == 3


def test_bad_options(photos, tmp_path):
    result = run("data", photos, "--set", "augmentatoin=crop")
    assert result.exit_code == 1
    assert "Did you mean 'augmentation'?" in result.output
    result = run("data", photos, "--html", tmp_path / "missing" / "page.html")
    assert result.exit_code == 1
    assert "there is no folder" in result.output


def test_counts_of_held_out_and_of_decoded_images(digits):
    found = lr.zoo.datasets.overview(digits)
    assert found.counts["train"].sum() == digits.train_size
    np.testing.assert_array_equal(found.counts["test"], np.bincount(digits.test_arrays()[1]))
    held = lr.zoo.datasets.load("digits", holdout=100)
    found = lr.zoo.datasets.overview(held)
    np.testing.assert_array_equal(
        found.counts["test"], np.bincount(held.test_arrays()[1], minlength=10)
    )
    assert found.counts["train"].sum() == held.train_size
    assert found.warnings == ["9 of 10 classes have no test images: 1, 2, 3, 4, 5, 6, 7, 8, 9"]


def test_one_class_is_warned_of(tmp_path, rng):
    (tmp_path / "cat").mkdir()
    for number in range(20):
        Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).save(
            tmp_path / "cat" / f"{number}.png"
        )
    found = lr.zoo.datasets.overview(lr.zoo.datasets.load(str(tmp_path), image_size=8))
    assert (
        found.warnings[0]
        == "there is only one class, so that every answer is right: add a second one"
    )


def test_a_large_set_is_not_read_to_be_counted(photos):
    data = lr.zoo.datasets.load(str(photos), image_size=8)
    found = lr.zoo.datasets.overview(data)
    uncounted = type(found)(data, None, found.sizes)
    assert "are not counted: all images would have to be read" in str(uncounted)
    assert "of a class" not in uncounted.short()
    assert uncounted.warnings == []


def test_training_says_it_first(photos, tmp_path, capsys, monkeypatch):
    class StopError(Exception):
        pass

    def stop(*arguments, **options):
        raise StopError

    monkeypatch.setattr("larq_reactnet.training.loop.fit", stop)
    recipe = two_step("bnn_plus_dorefanet", dataset=str(photos), options={"width": 0.1})
    with pytest.raises(StopError):
        lr.training.train(recipe, tmp_path / "run")
    said = capsys.readouterr().out
    assert "3 classes: <b>cat, dog, emu" in said
    assert "44 training images, 2 to 30 of a class; 6 test images" in said
    assert "Warning: 1 of 3 classes have fewer than 10 training images: emu" in said


@pytest.fixture
def page(photos, tmp_path, monkeypatch):
    """That of `--html` without a path."""
    monkeypatch.chdir(tmp_path)
    arguments = ("--set", "augmentation=crop", "--set", "mixup=0.2", "--image-size", 24)
    result = run("data", photos, *arguments, "--html")
    assert result.exit_code == 0, result.output
    assert "The page is in data.html" in result.output
    return (tmp_path / "data.html").read_text(encoding="utf-8")


def test_page(page):
    assert "<script" not in page
    assert "<b>cat" not in page
    assert "&lt;b&gt;cat" in page
    assert "They are not mixed here" in page
    addresses = re.findall(r'<img src="([^"]*)" alt="([^"]*)"', page)
    assert all(address.startswith("data:image/png;base64,") for address, _ in addresses)
    counts = [sum(alt == f"{name}, test" for _, alt in addresses) for name in ("dog", "emu")]
    assert counts == [2, 0]
    assert sum(alt == "&lt;b&gt;cat, training, augmented" for _, alt in addresses) == 4
    assert len(addresses) == 4 + 4 + 2 + 4 + 2


def test_pictures_are_those_of_the_pipeline(photos):
    data = lr.zoo.datasets.load(str(photos), image_size=24)
    found = lr.zoo.datasets.overview(data)
    images = data.test_arrays()[0] * 127.5 + 127.5
    shown = [pixels for _, pixels in found.samples("test", [0, 1], 3)]
    assert len(shown) == 5
    for pixels, wanted in zip(shown, images[[0, 1, 2, 4, 5]], strict=True):
        assert np.abs(pixels - wanted).max() <= 0.5 + 1e-3


def test_only_some_of_many_classes_are_shown(digits):
    from larq_reactnet.zoo.datasets.sheet import sheet

    page = sheet(lr.zoo.datasets.overview(digits), 3)
    assert "3 of 10 classes." in page
    assert re.findall("<h3>(.)</h3>", page) == ["0", "4", "9"]


@needs_browser
@pytest.mark.parametrize(("scheme", "background"), SCHEMES)
def test_browser(page, tmp_path, scheme, background):
    found = measured(page, tmp_path, scheme)
    assert_fits(found, background)
    assert len(found["images"]) == 16
