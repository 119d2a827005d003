"""Blocks of Python and of commands in README and documentation run, or say why they do not."""

import importlib.util
import shutil

from larq_reactnet_cli import main

import numpy as np
import pytest
from doc_pages import (
    BLOCKS,
    COMMANDS,
    DOCS,
    FAMILIES,
    LANGUAGES,
    PYTHON,
    WITH_README,
    blocks_of,
    commands,
)
from doc_runs import run_command
from helpers import few_digits, some
from PIL import Image

PI = "guides/photos_to_a_pi.md"
RUN = [b for b in BLOCKS if b.language in (PYTHON, COMMANDS) and not b.not_run]
# Commands that train for hours are parsed, and their networks built, by `test_docs.py`.
RUN = [block for block in RUN if not (block.page in FAMILIES and block.language == COMMANDS)]
# Pages that run something which no page before them does.
PAGES = [*dict.fromkeys(block.page for block in RUN)]
CODE = {page: {block.code for block in RUN if block.page == page} for page in PAGES}
RUN_PAGES = [
    page
    for number, page in enumerate(PAGES)
    if CODE[page].difference(*map(CODE.get, PAGES[:number]))
]
# The way of a newcomer. `make every` goes all others; of these, `make test` reads the names, the
# commands and their options only.
TRODDEN = ("README.md", PI)
HAS_RUNTIME = importlib.util.find_spec("larq_reactnet_runtime") is not None


def test_marks_of_a_block():
    text = (
        "```python\nplain\n```\n\n"
        "<!-- not run: takes days -->\n```sh\nmake \\\n  days # long\n```\n"
        "<!-- in tests: epochs=5 => epochs=1; b => c -->\n\n```python\nfit(b, epochs=5)\n```\n"
    )
    plain, marked, shorter = blocks_of("page.md", text)
    assert (plain.language, plain.line, plain.not_run, plain.changes) == ("python", 2, "", ())
    assert marked.not_run == "takes days"
    assert marked.commands == [["make", "days"]]
    assert shorter.shortened == "fit(c, epochs=1)\n"
    assert str(shorter) == "page.md:13"
    (wrong,) = blocks_of("page.md", "<!-- in tests: d => e -->\n```python\nabc\n```\n")
    with pytest.raises(AssertionError, match=r"page\.md:3: there is no 'd'"):
        _ = wrong.shortened


def test_every_fence_is_a_block():
    """None is indented, left open or of a language that is not known, and no mark stands alone."""
    for page, text in WITH_README.items():
        blocks = blocks_of(page, text)
        assert text.count("```") == 2 * len(blocks), page
        assert {block.language for block in blocks} <= LANGUAGES, page
        marks = sum(bool(block.not_run or block.changes) for block in blocks)
        assert text.count("<!-- not run") + text.count("<!-- in tests") == marks, page


@pytest.mark.parametrize(("block", "words"), commands(), ids=str)
def test_command_is_known(block, words):
    name, *arguments = words
    main.commands[name].make_context(name, arguments)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """What a reader has: a trained run, its `.tflite`, photos, and a folder of them by class."""
    folder = tmp_path_factory.mktemp("docs")
    rng = np.random.default_rng(0)
    for part, count in (("train", 16), ("test", 4)):
        for name, color in (("cat", (200, 120, 40)), ("dog", (60, 90, 160))):
            (folder / "photos" / part / name).mkdir(parents=True)
            for number in range(count):
                noise = rng.integers(-40, 40, (60, 80, 3))
                pixels = np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / "photos" / part / name / f"{number}.jpg")
    shutil.copy(folder / "photos" / "test" / "cat" / "0.jpg", folder / "photo.jpg")
    for arguments in (
        "train bnn_plus_vgg_small --set width=0.1 --step1-epochs 0 --epochs 1 --output run",
        "export run model.tflite --proof 2",
    ):
        with few_digits():
            run_command(["larq-reactnet", *arguments.split()], folder)
    return folder


def needs_runtime(block):
    return "larq_reactnet_runtime" in block.code or any(
        words[0] == "larq-reactnet-runtime" or {"runtime", "examples/camera.py"} & {*words}
        for words in (block.commands if block.language == COMMANDS else [])
    )


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("few_digits")
@pytest.mark.parametrize("page", some(RUN_PAGES, *TRODDEN))
def test_page_runs(page, prepared, tmp_path, monkeypatch):
    """The blocks of a page, one after the other, in one folder and one namespace."""
    folder = tmp_path / "folder"
    shutil.copytree(prepared, folder)
    monkeypatch.chdir(folder)
    namespace = {"__name__": "__main__"}
    for block in RUN:
        if block.page != page or (needs_runtime(block) and not HAS_RUNTIME):
            continue
        if block.language == PYTHON:
            # So that a traceback has the line of the page.
            code = "\n" * (block.line - 1) + block.shortened
            exec(compile(code, str(DOCS / page), "exec"), namespace)
        else:
            for words in block.shortened_commands:
                run_command(words, folder)
