"""The pages of docs/ and what is generated from the code; what runs is in `test_docs_blocks`."""

import ast
import importlib.util
import inspect
import os
import re
import subprocess
import sys

import larq_reactnet as lr
from larq_reactnet_cli import main

import _figures
import _measured
import _pages
import _plots
import _tables
import larq as lq
import pytest
from doc_pages import BLOCKS, DOCS, FAMILIES, PAGES, PYTHON, README, ROOT, WITH_README, commands
from helpers import every, representatives


def needs(*modules):
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(
        bool(missing), reason=f"{', '.join(missing)} missing: pip install 'larq-reactnet[docs]'"
    )


# Pages.


def test_every_model_has_one_page():
    named = [
        name
        for text in PAGES.values()
        for kind, listing in _tables.MARKER.findall(text)
        if kind == "models" and listing != "all"
        for name in listing.split()
    ]
    assert sorted(named) == lr.zoo.list_models()
    pages = _tables.pages_of_models(PAGES)
    assert pages["quicknet"] == "zoo/larq_zoo.md"
    assert set(pages.values()) == set(FAMILIES)


def test_page_of_all_families():
    assert "<!-- models: all -->" in PAGES["zoo/index.md"]


@pytest.mark.parametrize("page", FAMILIES)
def test_page_of_a_family(page):
    text = PAGES[page]
    for heading in ("## Paper", "## What differs", "## Train", "## Reference"):
        assert heading in text
    assert re.search(r"^!\[.+\]\(\.\./figures/\w+\.svg\)$", text, re.MULTILINE)
    assert "[Results](../results.md)" in text
    assert any(block.page == page for block, _ in commands())


def test_every_public_name_is_in_the_reference():
    references = _tables.REFERENCE.findall("\n".join(PAGES.values()))
    assert len(references) == len(set(references))
    objects = [_tables.object_at(reference) for reference in references]
    public = {
        f"{module.__name__}.{name}"
        for module in (
            lr,
            lr.zoo,
            lr.converters,
            lr.training,
            lr.quantizers,
            lr.layers,
            lr.callbacks,
        )
        for name in module.__all__
        if not inspect.ismodule(getattr(module, name)) and not name.startswith("__")
    }
    missing = {name for name in public if _tables.object_at(name) not in objects}
    # Larq Zoo's constructors have the same arguments, which stand there once.
    alike = set(re.findall(r"`([A-Z]\w+)`", PAGES["zoo/larq_zoo.md"].partition("## Reference")[2]))
    missing -= {f"larq_reactnet.zoo.{name}" for name in alike}
    assert missing == {
        "larq_reactnet.callbacks.figure_of",  # for the site itself
        "larq_reactnet.training.compiled",  # for the repository's tools
        "larq_reactnet.training.network_of",
    }


def test_list_of_public_names():
    table = _tables.api(PAGES)
    assert "## Converters" in table
    assert "| [`lr.converters.export`][larq_reactnet.converters.export] | " in table
    assert "[`lr.zoo.ReActNetA`][larq_reactnet.zoo.ReActNetA]" in table
    assert "| |" not in table


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == PYTHON], ids=str)
def test_names_in_python(block):
    """Those of this package and of Larq exist, also in blocks that are not run."""
    for node in ast.walk(ast.parse(block.code)):
        if isinstance(node, ast.Attribute):
            path = ast.unparse(node)
            if re.fullmatch(r"(lr|lq)(\.\w+)+", path):
                found = {"lr": lr, "lq": lq}[path[:2]]
                for name in path.split(".")[1:]:
                    found = getattr(found, name)


def name_of(parameters):
    """The network that `train` makes."""
    return "binarized" if parameters["float_model"] else parameters["model"]


def recipe_of(parameters):
    """What `train` makes of a model and of values, whose names are known then."""
    given = {"step1_epochs": parameters["step1_epochs"], "weights": parameters["weights"]}
    recipe = lr.zoo.recipes.two_step(name_of(parameters), **given)
    return recipe.with_values(dict(parameters["values"]))


def test_arguments_of_train():
    for _, words in commands():
        if words[0] != "train":
            continue
        parameters = main.commands["train"].make_context("train", words[1:]).params
        values = dict(parameters["values"])
        if parameters["recipe"] or parameters["model"] in lr.zoo.recipes.list_recipes():
            name = parameters["recipe"] or parameters["model"]
            recipe = lr.zoo.recipes.load(name).with_values(values)
            assert recipe.options.keys() <= lr.zoo.get(recipe.model).arguments.keys()
            continue
        known = lr.zoo.get(name_of(parameters)).arguments
        assert recipe_of(parameters).options.keys() <= known.keys()
        has_step_1 = not parameters["weights"] and parameters["step1_epochs"] != 0
        assert "binary_weights" in known or not has_step_1


def test_commands_in_the_text():
    names = re.findall(r"`larq-reactnet (\w[\w-]*)", "\n".join(WITH_README.values()))
    assert names
    assert set(names) <= main.commands.keys()


def trained_models():
    """The networks of all commands that train without a recipe, each once."""
    found = []
    for _, words in commands():
        if words[0] == "train" and not {"--recipe", *lr.zoo.recipes.list_recipes()} & {*words}:
            parameters = main.commands["train"].make_context("train", words[1:]).params
            if parameters["float_model"]:
                continue  # there is no file to make it of
            size = parameters["image_size"] or 32  # of digits and CIFAR-10
            options = {"input_shape": (size, size, 3), "num_classes": 10}
            network = parameters["model"], {**options, **recipe_of(parameters).options}
            if network not in found:
                found.append(network)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param(
            name, options, marks=[] if name in representatives(lr.zoo.list_models()) else every
        )
        for name, options in trained_models()
    ],
)
def test_model_of_a_command(name, options):
    """The network can be built for the images of the data set."""
    assert lr.zoo.create(name, **options).output_shape == (None, 10)


# Tables.


def rows(table):
    """The cells of a table, line by line."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_table_of_models():
    header, _, *lines = rows(_tables.models(["reactnet_a", "quicknet"]))
    cells = [dict(zip(header, line, strict=True)) for line in lines]
    assert [row["model"] for row in cells] == ["`reactnet_a`", "`quicknet`"]
    assert cells[0]["OPs"] == "0.871e8"
    assert cells[0]["binary weights"] == "28,253,184"
    assert cells[1]["weights: top-1"] == "imagenet: 63.3 %"
    (linked,) = rows(_tables.models(["resnet18"], {"resnet18": "real.md"}))[2:]
    assert linked[:2] == [
        "[`resnet18`](real.md)",
        "[ResNet, 2016](https://arxiv.org/abs/1512.03385)",
    ]
    assert linked[2] == "none yet"
    assert "0" in linked
    assert int(cells[0]["bytes of `.tflite`"].replace(",", "")) < 6_000_000
    assert len(rows(_tables.models(_tables.names_in("all")))) == len(lr.zoo.list_models()) + 2


def test_table_of_weights():
    table = _tables.weights(["quicknet"])
    header, _, with_top, without = rows(table)
    assert header[:4] == ["model", "`weights=`", "with", "top-1"]
    assert with_top[:4] == ["`quicknet`", '`"imagenet"`', "", "63.3 %"]
    assert without[2] == "`include_top=False`"
    assert "measured by Larq" in table
    assert "no pretrained weights" in _tables.weights(["resnet18"])
    header, _, *trained = rows(_tables.weights(["bnn_plus_dorefanet", "reactnet_a"]))
    assert [row[header.index("seed")] for row in trained] == ["0", "0"]


def test_help_of_every_command():
    text = _tables.commands()
    for name, command in main.commands.items():
        assert f"## {name}\n\n```text\nUsage: larq-reactnet {name} " in text
        for parameter in command.params:
            assert all(option in text for option in parameter.opts if option.startswith("-"))
    assert max(map(len, text.splitlines())) <= 100


# What was measured.


def test_results_in_the_readme():
    """They are those of the files, as `python docs/_measured.py` writes them."""
    text = WITH_README[README]
    assert _measured.with_results(text) == text
    assert "ReActNet-A, 224x224" in text


def test_measurements():
    marked = re.findall(r"<!-- measured: (\w+) -->", "\n".join(PAGES.values()))
    assert set(marked) == _measured.MEASUREMENTS.keys()
    assert {path.stem for path in _measured.FOLDER.iterdir()} == _measured.MEASUREMENTS.keys()
    for name, measurement in _measured.MEASUREMENTS.items():
        program, script = measurement.command.split()[:2]
        assert program == "python"
        assert (ROOT / script).is_file()
        text = _measured.included(name)
        assert f"`{measurement.command}`" in text
        # Nor has it what libraries say to the one who measures.
        assert not re.search(r"/site-packages/|^[WIE]0{4} |Warning:", text, re.MULTILINE), name
    assert _measured.included("report").startswith("```text\nfile ")
    assert _measured.included("export").startswith("| network")


# Pages of other files.


def test_page_of_a_notebook():
    code = {
        "cell_type": "code",
        "source": ["print(1)\n", "figure"],
        "outputs": [
            {
                "output_type": "stream",
                "name": "stdout",
                "text": ["0 %\r100 %\n", "\x1b[1mone\x1b[0m"],
            },
            {"output_type": "stream", "name": "stderr", "text": ["a warning"]},
            {
                "output_type": "display_data",
                "data": {"image/png": "aGk=\n", "text/plain": "<Figure>"},
            },
        ],
    }
    text = _pages.from_notebook({"cells": [{"cell_type": "markdown", "source": ["# Title"]}, code]})
    assert text.startswith(
        "# Title\n\n```python\nprint(1)\nfigure\n```\n\n```text\n100 %\none\n```\n"
    )
    assert "data:image/png;base64,aGk=" in text
    assert "warning" not in text
    long = "\n".join(map(str, range(100)))
    assert _pages._shortened(long).splitlines()[19:22] == ["19", "...", "80"]


def test_pages_of_other_files():
    pages = _pages.made()
    assert pages.keys() == {"changelog.md", "runtime.md", "notebooks/digits.md"}
    assert pages["runtime.md"].startswith("# larq-reactnet-runtime")


# The site.


@needs("latex2mathml", "markdown")
def test_latex():
    from _math import LatexExtension
    from markdown import Markdown

    html = Markdown(extensions=[LatexExtension()]).convert(
        r"A \\(\beta\\) and `\(code\)`." + "\n\n"
        r"\\[ q = \begin{cases} -1 & x < 0 \\\ 1 & x \geq 0 \end{cases} \\]"
    )
    assert html.count("<math") == 2
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">' in html
    assert html.count("<mtr>") == 2
    assert r"<code>\(code\)</code>" in html


@pytest.mark.slow
@needs("mkdocs", "material", "mkdocstrings", "latex2mathml")
def test_site(tmp_path):
    before = {path for path in DOCS.rglob("*") if "__pycache__" not in path.parts}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING -" not in done.stderr
    assert {path for path in DOCS.rglob("*") if "__pycache__" not in path.parts} == before

    for page in PAGES:
        assert (tmp_path / page).with_suffix(".html").is_file()
    for folder, names in (("plots", _plots.PLOTS), ("figures", _figures.FIGURES)):
        for name in names:
            assert (tmp_path / folder / f"{name}.svg").read_bytes().startswith(b"<?xml")
    assert not list(tmp_path.rglob("*.py"))
    loaded = re.compile(
        r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?(https?:)?//"
    )
    for path in tmp_path.rglob("*.html"):
        text = path.read_text()
        assert not loaded.search(text), path
        prose = re.sub(r"<(script|code|pre)\b.*?</\1>", "", text, flags=re.DOTALL)
        assert not re.search(r"\\[(\[]|\\begin", prose), path
        assert not re.search(r"<!-- (models|weights|recipes|commands|api|measured)", prose), path
    for path in tmp_path.rglob("*.css"):
        assert not re.search(r"@import|url\([\"']?(https?:)?//", path.read_text()), path

    reactnet = (tmp_path / "zoo" / "reactnet.html").read_text()
    assert "28,253,184" in reactnet
    assert "torch_padding" in reactnet  # of the family's signature, which is known after the import
    quantizers = (tmp_path / "api" / "quantizers.html").read_text()
    assert quantizers.count("<math") > 10
    assert "trainable_beta" in quantizers
