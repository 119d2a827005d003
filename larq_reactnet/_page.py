"""Pages for the browser: one HTML file that loads nothing else and runs no script.

It is light or dark as the browser wants it, and fits a phone.
"""

from collections.abc import Iterable
from html import escape

__all__ = ["cards", "page", "short"]

_STYLE = """
:root {
  color-scheme: light dark;
  --page: #fbfbfa; --card: #fff; --line: #e6e5e2; --text: #1f2328; --quiet: #6b7075;
  --track: #efeeec; --binary: #0d8a7b; --float: #e4572e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15171a; --card: #1d2024; --line: #2f3338; --text: #e6e7e9; --quiet: #989fa6;
    --track: #2a2e33; --binary: #2fb8a6; --float: #f0714b;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 1080px; padding: 2.5rem 1.25rem 4rem; background: var(--page);
  color: var(--text); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
h1 { margin: 0; font-size: 1.6rem; font-weight: 650; overflow-wrap: anywhere; }
h2 { margin: 2.75rem 0 .75rem; font-size: 1.1rem; font-weight: 650; }
p { margin: .25rem 0 0; }
.quiet { color: var(--quiet); }
.wrap { overflow-wrap: anywhere; }
.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem;
  margin: 1.5rem 0 0; }
.numbers div, .why li { background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; padding: .7rem .9rem; }
.numbers dt { color: var(--quiet); font-size: .82rem; }
.numbers dd { margin: 0; font-size: 1.4rem; font-weight: 600; line-height: 1.3; }
.numbers small { display: block; color: var(--quiet); font-size: .78rem; font-weight: 400; }
.legend { display: flex; flex-wrap: wrap; gap: .35rem 1.4rem; margin: .8rem 0 0; padding: 0;
  list-style: none; font-size: .88rem; }
.legend i { display: inline-block; width: .75em; height: .75em; margin-right: .45em;
  border-radius: 2px; }
table { width: 100%; border-collapse: collapse; table-layout: fixed; }
th { text-align: left; font-weight: 500; font-size: .82rem; color: var(--quiet); }
td, th { padding: .45rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
.bar { display: flex; height: 6px; border-radius: 3px; background: var(--track); overflow: hidden; }
.bar i { min-width: 1px; }
.why { display: grid; gap: .6rem; margin: 0; padding: 0; list-style: none; }
.layer { font-weight: 600; }
summary { cursor: pointer; margin-top: 2.75rem; font-size: 1.1rem; font-weight: 650; }
@media (max-width: 640px) {
  body { padding: 1.5rem .9rem 3rem; }
  td, th { padding: .45rem .3rem; }
}
"""


def page(title: str, parts: Iterable[str], *, head: str | None = None, style: str = "") -> str:
    """A page.

    Args:
        title: Its heading, which is escaped.
        parts: HTML below the heading.
        head: What the browser shows as the name of the page; by default `title`.
        style: More CSS.
    """
    lines = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">",
        f"<title>{escape(head or title)}</title><style>{_STYLE}{style}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        *parts,
        "</body></html>\n",
    ]
    return "\n".join(lines)


def cards(rows: Iterable[tuple[str, str, str]]) -> str:
    """Numbers side by side: a name, the number, and what is said below it, all of them HTML."""
    found = [
        f"<div><dt>{name}</dt><dd>{number}<small>{more}</small></dd></div>"
        for name, number, more in rows
    ]
    return f'<dl class="numbers">{"".join(found)}</dl>'


def short(number: float, unit: str = "") -> str:
    """A number rounded to three digits, like `7.69 MB`."""
    prefixes = ["", "k", "M", "G", "T"]
    while number >= 999.5 and len(prefixes) > 1:
        number /= 1000
        del prefixes[0]
    digits = f"{number:.3g}" if prefixes[0] else f"{number:.0f}"
    return f"{digits} {prefixes[0]}{unit}".strip()
