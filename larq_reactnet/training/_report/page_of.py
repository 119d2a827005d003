"""The page: its sections, in their order."""

from collections.abc import Sequence
from html import escape
from typing import Any

from larq_reactnet._page import cards, page, short
from larq_reactnet.profiling import Ops
from larq_reactnet.training._report.answers import Answers
from larq_reactnet.training._report.answers_part import answers_part
from larq_reactnet.training._report.charts import COLORS, Line, chart
from larq_reactnet.training._report.insight_part import insight_part, overview, troubles
from larq_reactnet.training._report.reading import Ran

__all__ = ["page_of"]

_STYLE = """
:root { --c0: var(--binary); --c1: var(--float); --c2: #5c6fd6; --c3: #b8860b; --c4: #b0468f;
  --c5: #6b7075; }
@media (prefers-color-scheme: dark) {
  :root { --c2: #8a9bea; --c3: #e8c35a; --c4: #dd85c2; --c5: #a6adb4; }
}
h3 { margin: 1.5rem 0 .25rem; font-size: 1rem; font-weight: 650; }
figure { margin: 0; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19.5rem), 1fr));
  gap: .75rem; margin-top: .75rem; }
.charts figure, .layers section { background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; padding: .7rem .9rem; }
.charts figcaption { font-size: .88rem; font-weight: 600; margin-bottom: .35rem; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font-size: 11px; fill: var(--quiet); font-variant-numeric: tabular-nums; }
.grid { stroke: var(--line); fill: none; }
.start { stroke: var(--quiet); stroke-dasharray: 1 4; stroke-linecap: round; fill: none; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round;
  vector-effect: non-scaling-stroke; }
.band { opacity: .18; }
.layers { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 16rem), 1fr));
  gap: .75rem; margin-top: .75rem; align-items: start; }
.layers h3 { margin: 0; font-size: .92rem; }
.row { display: grid; grid-template-columns: 1fr auto; gap: 0 .6rem; margin-top: .55rem;
  font-size: .8rem; }
.row b { font-weight: 400; color: var(--quiet); }
.row span { font-variant-numeric: tabular-nums; }
.row > svg, .row > img { grid-column: 1 / -1; margin-top: .15rem; background: var(--track);
  border-radius: 3px; }
.dead { margin: .15rem 0 0; font-size: .8rem; }
.spark { height: 2rem; overflow: hidden; }
.heat { display: block; width: 100%; height: 3.6rem; image-rendering: pixelated; }
.scroll { overflow-x: auto; }
.matrix { width: auto; table-layout: auto; font-size: .8rem; font-variant-numeric: tabular-nums; }
.matrix td { border: 0; padding: .3rem .35rem; text-align: center; min-width: 2.3rem; }
.matrix th { border: 0; padding: .3rem .5rem .3rem 0; white-space: nowrap; }
.matrix thead th { padding: .3rem 0; text-align: center; vertical-align: bottom; }
.upright { display: inline-block; writing-mode: vertical-rl; rotate: 180deg; }
.photos { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.5rem, 1fr)); gap: .75rem;
  margin-top: .75rem; }
.photos img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain;
  image-rendering: pixelated; border-radius: 6px; background: var(--track); }
.photos figcaption { font-size: .8rem; line-height: 1.35; margin-top: .3rem; }
.compared { table-layout: auto; font-size: .88rem; }
.compared td:not(.wrap), .compared th { white-space: nowrap; }
.compared td { font-variant-numeric: tabular-nums; }
.dot { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .45em; }
details > summary { margin-top: 1.5rem; font-size: 1rem; }
@media (max-width: 640px) {
  .matrix td { min-width: 1.55rem; padding: .3rem .1rem; font-size: .72rem; }
  .photos { grid-template-columns: repeat(3, 1fr); }
}
"""


def page_of(rans: Sequence[Ran], answers: Sequence[Answers | str]) -> str:
    """The page of one run, or of several side by side.

    Names of files and classes may be anything, so they are escaped, and the page forbids scripts.

    Args:
        rans: The runs.
        answers: What the network of each answers to the test images, or why that is left out.
    """
    names = [ran.name for ran in rans]
    title = names[0] if len(names) == 1 else f"{len(names)} runs: {', '.join(names)}"
    parts = [_about(rans[0].content) if len(rans) == 1 else "", _summary(rans)]
    if len(rans) > 1:
        parts += [_differing(rans)]
    parts += ["<h2>Training</h2>", _curves(rans)]
    for ran in rans:
        found = troubles(ran)
        if found:
            where = f" in {escape(ran.name)}" if len(rans) > 1 else ""
            parts += [f"<h2>What went wrong{where}, and what to do</h2>", found]
    together = overview(rans)
    if together:
        parts += ["<h2>Binary layers</h2>", together]
    for ran in rans:
        heading = f"Layer by layer{_of(ran, rans)}"
        opened = " open" if len(rans) == 1 else ""
        parts.append(f"<details{opened}><summary>{heading}</summary>{insight_part(ran)}</details>")
    for ran, found_answers in zip(rans, answers, strict=True):
        parts += [f"<h2>Test images{_of(ran, rans)}</h2>", answers_part(found_answers)]
    for ran in rans:
        parts += [f"<h2>Size and operations{_of(ran, rans)}</h2>", _sizes(ran)]
    for ran in rans:
        parts.append(_values(ran, _of(ran, rans)))
    return page(title, parts, head=f"{title}: report", style=_STYLE)


def _of(ran: Ran, rans: Sequence[Ran]) -> str:
    return f" of {escape(ran.name)}" if len(rans) > 1 else ""


def _about(content: dict[str, Any]) -> str:
    arguments = content["arguments"]
    days = " to ".join(
        dict.fromkeys(content[k][:10] for k in ("started", "finished") if k in content)
    )
    words = [arguments["model"], f"on {arguments['dataset']}", days, content.get("hardware", "")]
    text = ", ".join(str(word) for word in words if word)
    return f'<p class="quiet wrap">{escape(text)}</p>'


def _numbers(ran: Ran) -> list[tuple[str, str, str]]:
    """The most important numbers of a run: name, number, and what is said below it."""
    results, epochs = ran.results, len(ran.epochs)
    steps = ran.content["arguments"].get("steps", [])
    planned = sum(step["epochs"] for step in steps)
    hours = sum(row.get("seconds", 0.0) for row in ran.epochs) / 3600
    found = [
        (
            "Test accuracy",
            f"{results['accuracy']:.2%}" if results else "&ndash;",
            f"loss {results['loss']:.4g}" if results else "the training is not finished",
        ),
        ("Epochs", f"{epochs}", f"of {planned}, in {len(steps)} step{'s' * (len(steps) > 1)}"),
        ("Time", _time(hours), "of training"),
    ]
    if isinstance(ran.ops, Ops):
        found += [
            ("OPs", short(ran.ops.ops), f"{ran.ops.binary_share:.1%} of MACs are binary"),
            ("Packed weights", short(ran.ops.packed_bytes, "B"), "one bit for each binary weight"),
        ]
    if "model.tflite" in ran.sizes:
        found.append((".tflite", short(ran.sizes["model.tflite"], "B"), "the exported network"))
    return found


def _time(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.2f} h"
    return f"{60 * hours:.1f} min" if hours >= 1 / 60 else f"{3600 * hours:.0f} s"


def _summary(rans: Sequence[Ran]) -> str:
    if len(rans) == 1:
        return cards(_numbers(rans[0]))
    numbers = [{name: number for name, number, _ in _numbers(ran)} for ran in rans]
    names = [*dict.fromkeys(name for found in numbers for name in found)]
    head = "".join(f"<th>{name}</th>" for name in names)
    rows = "".join(
        f"<tr><td>{_dot(index)}{escape(ran.name)}</td>"
        + "".join(f"<td>{found.get(name, '&ndash;')}</td>" for name in names)
        + "</tr>"
        for index, (ran, found) in enumerate(zip(rans, numbers, strict=True))
    )
    return (
        f'<div class="scroll"><table class="compared"><thead><tr><th>Run</th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _dot(index: int) -> str:
    return f'<i class="dot" style="background:{COLORS[index % len(COLORS)]}"></i>'


def _flat(ran: Ran) -> dict[str, Any]:
    """The values of a run, with those of its steps by names such as `step1.epochs`."""
    arguments = dict(ran.content["arguments"])
    steps, options = arguments.pop("steps", []), arguments.pop("options")
    for number, step in enumerate(steps, 1):
        arguments.update({f"step{number}.{key}": value for key, value in step.items()})
    about = {"larq_reactnet": ran.content.get("larq_reactnet"), "commit": ran.content.get("commit")}
    return {**arguments, **options, **about}


def _differing(rans: Sequence[Ran]) -> str:
    values = [_flat(ran) for ran in rans]
    names = dict.fromkeys(name for found in values for name in found)
    differing = [n for n in names if any(v.get(n) != values[0].get(n) for v in values)]
    if not differing:
        return '<p class="quiet">All values of the recipes are the same.</p>'
    head = "".join(f"<th>{_dot(index)}{escape(ran.name)}</th>" for index, ran in enumerate(rans))
    rows = "".join(
        f"<tr><td>{escape(name)}</td>"
        + "".join(f'<td class="wrap">{escape(str(v.get(name, "")))}</td>' for v in values)
        + "</tr>"
        for name in differing
    )
    return (
        '<h2>What differs</h2><div class="scroll"><table class="compared"><thead><tr><th></th>'
        f"{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _curves(rans: Sequence[Ran]) -> str:
    if not any(ran.epochs for ran in rans):
        return '<p class="quiet">No epoch is complete yet.</p>'
    charts = []
    for name in dict.fromkeys(name for ran in rans for name in ran.metrics):
        lines = []
        for index, ran in enumerate(rans):
            color = COLORS[index % len(COLORS)]
            training = COLORS[5] if len(rans) == 1 else color
            lines += [
                Line(f"{ran.name}: training", ran.values(name), training, dashed=True),
                Line(f"{ran.name}: validation", ran.values(f"val_{name}"), color),
            ]
        starts = list(rans[0].starts()) if len(rans) == 1 else ()
        charts.append(chart(name, lines, starts=starts, percent="acc" in name))
    legend = '<p class="quiet">Solid: validation. Dashed: training.'
    if any(True for ran in rans for _ in ran.starts()) and len(rans) == 1:
        legend += " The dotted line is where step 2 begins."
    return f'{legend}</p><div class="charts">{"".join(charts)}</div>'


def _sizes(ran: Ran) -> str:
    if isinstance(ran.ops, str):
        rows = [("Operations", escape(ran.ops))]
    else:
        rows = [
            ("BOPs", f"{ran.ops.bops:,}"),
            ("FLOPs", f"{ran.ops.flops:,}"),
            ("OPs = BOPs / 64 + FLOPs", f"{ran.ops.ops:,.0f}"),
            ("Binary weights", f"{ran.ops.binary_weights:,}"),
            ("Other weights", f"{ran.ops.float_weights:,}"),
            ("Packed weights", f"{ran.ops.packed_bytes:,} bytes"),
        ]
    rows += [(escape(name), f"{size:,} bytes") for name, size in ran.sizes.items()]
    return _table(rows)


def _values(ran: Ran, of: str) -> str:
    about = {key: ran.content.get(key) for key in ("started", "finished", "hardware", "machine")}
    found = {**_flat(ran), **about, **ran.content.get("packages", {})}
    rows = [(escape(name), escape(str(value))) for name, value in found.items()]
    return f"<details><summary>All values{of}</summary>{_table(rows)}</details>"


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(
        f'<tr><td class="quiet wrap">{name}</td><td class="wrap">{value}</td></tr>'
        for name, value in rows
    )
    return f"<table><tbody>{cells}</tbody></table>"
