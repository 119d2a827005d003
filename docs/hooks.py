"""What MkDocs does at build time: tables, plots and figures are made from the code.

In pages,

- `<!-- models: NAME NAME -->` becomes a table of models, `all` being all of them,
- `<!-- weights: NAME NAME -->` becomes the table of their pretrained weights,
- `<!-- recipes -->` becomes what all recipes say of themselves,
- `<!-- commands -->` becomes the help of the command line,
- `<!-- api -->` becomes the list of all public names,
- `<!-- measured: NAME -->` becomes what a command printed, which is kept in `measured/`,
- `plots/NAME.svg` is a plot of `_plots`, `figures/NAME.svg` a figure of `_figures`,
- `results/NAME.svg` has the curves of `results/NAME.csv`.

Other pages are made of whole files: see `_pages`. Nothing is written into the source tree.
"""

import os
import re
import tempfile
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import _figures
import _measured
import _pages
import _plots
import _tables
from _math import LatexExtension
from _reference import lay_out
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

# What is made once and needed later: the folder of sources, the text of the pages, and which page a
# model is on.
_SOURCES: list[tempfile.TemporaryDirectory[str]] = []
_TEXTS: dict[str, str] = {}
_PAGES: dict[str, str] = {}


@event_priority(100)  # before mkdocstrings reads the configuration
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Register the rendering of LaTeX, and give mkdocstrings the sources of the package."""
    config.markdown_extensions.append(LatexExtension())
    sources = tempfile.TemporaryDirectory(prefix="larq_reactnet_docs_")
    _SOURCES.append(sources)
    lay_out(Path(sources.name))
    python = config.plugins["mkdocstrings"].config.handlers.setdefault("python", {})
    python["paths"] = [sources.name]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add plots, figures, and pages that are made of other files."""
    pictures: dict[str, Any] = {f"plots/{name}.svg": (_plots.draw, name) for name in _plots.PLOTS}
    pictures |= {f"figures/{name}.svg": (_figures.draw, name) for name in _figures.FIGURES}
    for history in sorted(Path(config.docs_dir, "results").glob("*.csv")):
        pictures[f"results/{history.stem}.svg"] = (_plots.draw_history, history)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other packages, as they are imported
        for path, (draw, name) in pictures.items():
            files.append(File.generated(config, path, content=draw(name)))
    for path, text in _pages.made().items():
        files.append(File.generated(config, path, content=text))
    _TEXTS.update({file.src_uri: file.content_string for file in files.documentation_pages()})
    _PAGES.update(_tables.pages_of_models(_TEXTS))
    return files


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files, **kwargs: Any
) -> str:
    """Replace the markers."""

    def table(match: re.Match[str]) -> str:
        kind, listing = match[1], match[2] or ""
        if kind == "commands":
            return _tables.commands()
        if kind == "recipes":
            return _tables.recipes()
        if kind == "api":
            return _tables.api(dict(sorted(_TEXTS.items())))
        if kind == "measured":
            return _measured.included(listing)
        if kind == "weights":
            return _tables.weights(_tables.names_in(listing))
        links = {}
        if listing == "all":
            folder = page.file.src_uri.rpartition("/")[0]
            links = {name: get_relative_url(uri, f"{folder}/") for name, uri in _PAGES.items()}
        return _tables.models(_tables.names_in(listing), links)

    return _tables.MARKER.sub(table, markdown)
