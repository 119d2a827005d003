"""Tables of models, weights, commands and public names, as Markdown."""

import importlib
import inspect
import re
import textwrap
from collections.abc import Iterable
from typing import Any

import larq_reactnet as lr
from larq_reactnet.zoo import pretrained, sizes
from larq_reactnet_cli import main

import click

__all__ = [
    "MARKER",
    "REFERENCE",
    "api",
    "commands",
    "models",
    "names_in",
    "object_at",
    "pages_of_models",
    "recipes",
    "weights",
]


# What stands in a page for a table.
MARKER = re.compile(
    r"^<!-- (models|weights|recipes|commands|api|measured)(?:: ([\w ]+))? -->$", re.MULTILINE
)
# What stands in a page for the docstring of something public.
REFERENCE = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)
# What has another name in the reference: see `_reference`.
_SHOWN_AS = {"larq_reactnet.zoo.larq_zoo.create": "larq_reactnet.zoo.larq_zoo._larq_zoo"}


def names_in(listing: str) -> list[str]:
    """The models that a marker lists."""
    return lr.zoo.list_models() if listing == "all" else listing.split()


def pages_of_models(pages: dict[str, str]) -> dict[str, str]:
    """On which page each model is, by the markers in the text of the pages."""
    return {
        name: page
        for page, text in pages.items()
        for kind, listing in MARKER.findall(text)
        if kind == "models" and listing != "all"
        for name in names_in(listing)
    }


def _table(headers: list[str], rows: Iterable[Iterable[str]]) -> str:
    """A table, of which all columns but the first are aligned to the right if they are numbers."""
    rows = [list(row) for row in rows]
    numbers = [
        all(not row[column] or row[column][0].isdigit() for row in rows)
        for column in range(len(headers))
    ]
    marks = ["---:" if is_number else "---" for is_number in numbers]
    return "\n".join(f"| {' | '.join(row)} |" for row in (headers, marks, *rows))


def models(names: Iterable[str], links: dict[str, str] | None = None) -> str:
    """Size, operations and weights of models at their default arguments.

    Args:
        names: Names in the registry.
        links: Addresses of their pages. With them, the table has their papers too.
    """
    rows = []
    for name in names:
        entry, size = lr.zoo.get(name), sizes.read()[name]
        paper = {"model": f"`{name}`"}
        if links:
            paper = {
                "model": f"[`{name}`]({links[name]})",
                "paper": f"[{entry.paper}, {entry.year}]({entry.url})",
            }
        rows.append(
            {
                **paper,
                "weights: top-1": _pretrained(name),
                "bytes of `.tflite`": f"{size.tflite_bytes:,}",
                "OPs": f"{size.ops / 1e8:.3f}e8",
                "BOPs": f"{size.bops / 1e9:.3f}e9" if size.bops else "0",
                "FLOPs": f"{size.flops / 1e8:.3f}e8",
                "parameters": f"{size.parameters:,}",
                "binary weights": f"{size.binary_weights:,}",
                "images": f"{size.image}x{size.image}",
            }
        )
    return _table(list(rows[0]), [row.values() for row in rows])


def _pretrained(name: str) -> str:
    """What `weights=` can be, and the accuracy."""
    rows = [row for row in pretrained.list_weights(name) if row.include_top]
    return "<br>".join(f"{_name(row)}: {_percent(row.top1)}" for row in rows) or "none yet"


def _name(row: pretrained.Weights) -> str:
    """What `weights=` must be to get these and no others."""
    return row.recipe or row.dataset


def _percent(top1: float | None) -> str:
    return "" if top1 is None else f"{top1} %"


def weights(names: Iterable[str]) -> str:
    """The table of pretrained weights of models."""
    rows = [
        [
            f"`{row.model}`",
            f'`"{_name(row)}"`',
            ", ".join(f"`{name}={value!r}`" for name, value in row.options.items()),
            _percent(row.top1),
            row.date,
            "" if row.seed is None else str(row.seed),
            f"{row.bytes:,}" if row.bytes else "",
            row.licence,
            row.source,
        ]
        for name in names
        for row in pretrained.list_weights(name)
    ]
    if not rows:
        return "There are no pretrained weights of these models yet."
    headers = ["model", "`weights=`", "with", "top-1", "trained", "seed", "bytes"]
    headers += ["licence", "source"]
    empty = [i for i in range(len(headers)) if not any(row[i] for row in rows)]
    keep = [i for i in range(len(headers)) if i not in empty]
    return _table([headers[i] for i in keep], [[row[i] for i in keep] for row in rows])


def recipes() -> str:
    """What every recipe says of itself, and whether it was run."""
    sections = []
    for name in lr.zoo.recipes.list_recipes():
        title, _, text = lr.zoo.recipes.text_of(name).partition("\n\n")
        # A line break is one, so that Paper, Expected and Measured begin lines of their own.
        text = re.sub(r"\n(?=(?:Expected|Measured|Departures[^:]*):)", "\n\n", text)
        sections.append(f"### {name}\n\n{title}\n\n{text}")
    return "\n\n".join(sections)


def commands() -> str:
    """The help of every command, as click prints it."""
    sections = [_help(main, "larq-reactnet")]
    for name, command in sorted(main.commands.items()):
        sections.append(f"## {name}\n\n{_help(command, f'larq-reactnet {name}')}")
    return "\n\n".join(sections)


def _help(command: click.Command, name: str) -> str:
    settings: dict[str, Any] = {**command.context_settings, "help_option_names": ["-h", "--help"]}
    context = click.Context(command, info_name=name, **{**settings, "terminal_width": 92})
    return f"```text\n{textwrap.dedent(command.get_help(context))}\n```"


def api(pages: dict[str, str]) -> str:
    """Every public name with the first sentence of its docstring, by the pages that they are on.

    Args:
        pages: The text of every page, by its path from the folder of docs.
    """
    sections = []
    for text in pages.values():
        names = [name for name in REFERENCE.findall(text) if not inspect.ismodule(object_at(name))]
        if not names:
            continue
        title = re.search(r"^# (.+)$", text, re.MULTILINE)
        assert title is not None
        rows = [
            [f"[`{name.replace('larq_reactnet', 'lr')}`][{name}]", _summary(object_at(name))]
            for name in names
        ]
        sections.append(f"## {title[1]}\n\n{_table(['name', 'what it is'], rows)}")
    return "\n\n".join(sections)


def object_at(path: str) -> Any:
    """What is at a dotted path such as `larq_reactnet.zoo.create`."""
    found = importlib.import_module("larq_reactnet")
    for name in _SHOWN_AS.get(path, path).split(".")[1:]:
        if not hasattr(found, name):
            importlib.import_module(f"{found.__name__}.{name}")
        found = getattr(found, name)
    return found


def _summary(found: Any) -> str:
    """The first paragraph of a docstring, as one line of a table."""
    paragraph = (inspect.getdoc(found) or "").partition("\n\n")[0]
    return " ".join(paragraph.split()).replace("|", "\\|")
