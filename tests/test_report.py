"""The page about runs: of whole and of partial ones, of one and of several, in a browser too."""

import json
import math
import re
import shutil
from html import escape

import larq_reactnet as lr
from larq_reactnet.training import Run
from larq_reactnet.training._report.answers import answers_of
from larq_reactnet.training._report.answers_part import answers_part
from larq_reactnet.training._report.charts import Line, _ticks, chart, spark
from larq_reactnet.training._report.insight_part import _channels
from larq_reactnet.training._report.reading import read_run
from larq_reactnet.zoo.recipes import two_step
from larq_reactnet_cli import main

import numpy as np
import pytest
from browser import SCHEMES, assert_fits, measured, needs_browser
from click.testing import CliRunner


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of two steps."""
    folder = tmp_path_factory.mktemp("report") / "run"
    values = {"options": {"width": 0.05}, "step1_epochs": 1, "epochs": 2, "batch_size": 512}
    lr.training.train(two_step("bnn_plus_alexnet", **values), folder, verbose=0)
    return folder


@pytest.fixture(scope="module")
def page(folder, digits):
    """Its page."""
    path = lr.training.report(folder, data=lambda folder: digits)
    assert path == folder / "report.html"
    return path.read_text(encoding="utf-8")


@pytest.fixture
def copied(folder, tmp_path):
    """A function that gives a copy of the run under another name."""

    def copy(name="other", **changes):
        target = tmp_path / name
        shutil.copytree(folder, target)
        content = json.loads((target / "run.json").read_text())
        content["arguments"].update(changes)
        (target / "run.json").write_text(json.dumps(content))
        return target

    return copy


@pytest.mark.slow
def test_page_is_one_file_that_runs_nothing(page):
    assert page.startswith("<!doctype html>")
    assert page.endswith("</body></html>\n")
    assert "default-src 'none'" in page
    assert "<script" not in page
    addresses = re.findall(r'(?:src|href)="([^"]{0,30})|url\(([^)]{0,30})', page)
    assert addresses
    assert all(first.startswith("data:image/png;base64,") for first, _ in addresses)
    assert "http:" not in page
    assert "https:" not in page
    assert len(page) < 1_000_000


def test_page_has_what_the_run_has(page, folder):
    results = Run(folder).read()["results"]
    assert f"{results['accuracy']:.2%}" in page
    for heading in ("Training", "Binary layers", "Layer by layer", "Test images", "The surest mis"):
        assert heading in page
    # Six layers have binary weights in step 2, and binary inputs in both.
    assert len(re.findall("<section>", page)) == 6
    assert page.count("<b>Flips in an epoch") == page.count("<b>Latent weights") == 6
    assert page.count("<figcaption>loss</figcaption>") == 1
    assert page.count('class="start"') == 5  # in each chart, step 2 begins once
    ran = read_run(folder, "run")
    assert f"{ran.ops.bops:,}" in page
    assert f"{(folder / 'weights.h5').stat().st_size:,} bytes" in page
    assert [record and record["step"] for record in ran.seen()] == [1, 2, 2]
    assert not ran.insight[0]["kernels"]
    assert len(ran.insight[0]["signs"]) == len(ran.insight[2]["kernels"]) == 6


@pytest.mark.slow
def test_confusion_and_mistakes(folder, digits):
    ran = read_run(folder, "run")
    answers = answers_of(ran, digits)
    images, labels = digits.test_arrays()
    scores = ran.run.load_model().predict(images, verbose=0)
    wanted = np.zeros((10, 10), int)
    for label, answer in zip(labels, scores.argmax(-1), strict=True):
        wanted[label, answer] += 1
    np.testing.assert_array_equal(answers.confusion, wanted)
    assert answers.accuracy == pytest.approx(ran.results["accuracy"])
    wrong = scores.argmax(-1) != labels
    best = np.sort(scores[wrong].max(-1))[::-1][:12]
    np.testing.assert_allclose([m.score for m in answers.mistakes], best, rtol=1e-5)
    assert all(m.label != m.answer for m in answers.mistakes)
    index = np.flatnonzero(wrong)[np.argmax(scores[wrong].max(-1))]
    pixels = answers.mistakes[0].pixels
    np.testing.assert_allclose(pixels, images[index] * 127.5 + 127.5, atol=0.51)
    assert answers_of(ran, digits, 50).images == 50
    part = answers_part(answers)
    assert part.count("<td") == 110
    # Of many classes, what is confused most.
    many = type(answers)([*map(str, range(30))], np.eye(30, dtype=int) * 5, [])
    many.confusion[3, 4] = 7
    assert "<td>7</td>" in answers_part(many)
    assert "matrix" not in answers_part(many)


# What may be missing.


def without(page, *headings):
    return [heading for heading in headings if heading in page]


def test_run_of_an_earlier_version(copied):
    """It has no insight.jsonl, and no names of classes."""
    folder = copied()
    (folder / "insight.jsonl").unlink()
    page = lr.training.report(folder).read_text()
    assert "There is no insight.jsonl in the folder" in page
    assert "Left out: no data set was given." in page
    assert without(page, "Binary layers", "The surest", "went wrong") == []
    assert "<figcaption>accuracy</figcaption>" in page


def test_run_that_is_not_finished(copied, digits):
    folder = copied()
    content = json.loads((folder / "run.json").read_text())
    del content["results"], content["finished"]
    (folder / "run.json").write_text(json.dumps(content))
    (folder / "weights.h5").unlink()
    page = lr.training.report(folder, data=lambda folder: digits).read_text()
    assert "Left out: the training is not finished." in page
    assert "&ndash;<small>the training is not finished" in page
    (folder / "history.csv").unlink()
    (folder / "insight.jsonl").unlink()
    assert "No epoch is complete yet." in lr.training.report(folder).read_text()


def test_troubles_are_on_the_page_once(copied):
    folder = copied()
    lines = [json.loads(line) for line in (folder / "insight.jsonl").read_text().splitlines()]
    trouble = {"kind": "dead layer", "where": "conv<3>", "value": "3 & 4", "cure": "Norm <it>"}
    for line in lines:
        line["troubles"] = [trouble] if line["step"] == 2 else []
    (folder / "insight.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = lr.training.report(folder).read_text()
    assert page.count("What went wrong, and what to do") == 1
    assert page.count("conv&lt;3&gt;") == 1
    assert "dead layer, step 2, epochs 1 to 2" in page
    assert "Norm &lt;it&gt;" in page


def test_dead_signs_are_named():
    """Of the last epoch that was seen, also where they are too few for a warning."""
    epochs = [{"channels": text, "plus": 0.5} for text in ("80808080", "80ff0080")]
    part = _channels([*epochs, None])
    assert "50% on average, 2 dead" in part
    assert "Dead: channel 1 always +1 and channel 2 always -1." in part
    assert "dead" not in _channels(epochs[:1])


def test_several_runs(folder, copied, digits, tmp_path):
    other = copied("run", seed=7)  # of the same name, in another folder
    path = tmp_path / "both.html"
    assert lr.training.report([folder, other], path, data=lambda folder: digits, limit=20) == path
    page = path.read_text()
    names = [f"{parent.parent.name}/run" for parent in (folder, other)]
    assert all(name in page for name in names)
    assert page.count("<h2>Test images of") == 2
    table = page.partition("What differs")[2].partition("</table>")[0]
    assert re.findall(r"<tr><td>(.*?)</td>", table) == ["seed"]
    assert page.count("var(--c1)") > 0


def test_hostile_names(copied, digits):
    name = "<img src=x onerror=alert(1)>"
    folder = copied(name)
    page = lr.training.report(folder).read_text()
    assert name not in page
    assert escape(name) in page
    answers = answers_of(read_run(folder, name), digits, 40)
    named = type(answers)([name] * 10, answers.confusion, answers.mistakes)
    assert name not in answers_part(named)


def test_refusals(copied, tmp_path, folder):
    with pytest.raises(ValueError, match="is not the folder of a run"):
        lr.training.report([folder, tmp_path])
    with pytest.raises(ValueError, match="at least one run"):
        lr.training.report([])
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        lr.training.report(folder, tmp_path / "missing" / "page.html")
    other = copied()
    (other / "report.html").unlink(missing_ok=True)
    (other / "history.csv").write_text("step,epoch\n1,first\n")
    with pytest.raises(ValueError, match=r"history\.csv is corrupt"):
        lr.training.report(other)
    assert not (other / "report.html").exists()


def test_data_of_other_images_are_a_reason(folder):
    data = lr.zoo.datasets.load("digits", image_size=16, augmentation=None)
    page = lr.training.report(folder, data=lambda folder: data).read_text()
    assert "Left out: The network takes images of (32, 32, 3)" in page


@pytest.mark.slow
def test_command(folder, tmp_path):
    def run(*arguments):
        return CliRunner().invoke(main, ["report", *map(str, arguments)])

    path = tmp_path / "page.html"
    done = run(folder, "--output", path, "--limit", 30)
    assert done.output == f"The page is in {path}.\n"
    assert "of 30 test images" in path.read_text()
    assert run(folder, "--output", path, "--limit", 0).exit_code == 0
    assert "no data set was given" in path.read_text()
    assert run().exit_code == 2
    done = run(tmp_path)
    assert (done.exit_code, done.output.count("\n")) == (1, 1)
    assert "is not the folder of a run" in done.output


# Charts.


def test_ticks():
    assert _ticks(0.13, 0.96) == pytest.approx([0, 0.5, 1])
    assert _ticks(0, 100) == [0, 50, 100]
    assert _ticks(3, 3) == [0, 3]
    assert _ticks(0, 0) == [0, 1]
    for low, high in ((1e-9, 1.1e-9), (-5, 1e6), (0.999, 1)):
        ticks = _ticks(low, high)
        assert ticks[0] <= low < high <= ticks[-1] + 1e-9 * high
        assert 2 <= len(ticks) <= 7


def test_lines_have_gaps_where_there_is_no_number():
    figure = chart("<loss>", [Line("a & b", [1, 2, math.nan, 3])], starts=[1])
    assert "<figcaption>&lt;loss&gt;</figcaption>" in figure
    assert figure.count('class="line"') == 2
    assert "nan" not in figure
    assert chart("loss", [Line("a", [math.nan])]) == ""
    one = spark([Line("a", [0.0])], floor=0.0)
    assert re.search(r'd="M100\.0 37\.0L100\.0 37\.0"', one)  # a point at the lower edge


# In a browser.


@needs_browser
@pytest.mark.parametrize(("scheme", "background"), SCHEMES)
def test_browser(page, tmp_path, scheme, background):
    """At the width of a phone, light and dark: nothing is cut off, all pictures are shown."""
    found = measured(page, tmp_path, scheme)
    assert_fits(found, background)
    assert len(found["images"]) > 12
    assert found["curves"] > 12
