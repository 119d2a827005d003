"""An `Inspection` as an HTML page: one file for any browser, which loads nothing else."""

from html import escape

from larq_reactnet.converters._tflite.sizes import KINDS
from larq_reactnet.converters.inspecting import Inspection, Operator, by

__all__ = ["html"]

_STYLE = """
:root {
  color-scheme: light dark;
  --page: #fbfbfa; --card: #fff; --line: #e6e5e2; --text: #1f2328; --quiet: #6b7075;
  --track: #efeeec;
  --binary_weights: #0d8a7b; --float32_weights: #e4572e; --float16_weights: #f08c3a;
  --int8_weights: #edb93f; --biases: #6a7fdb; --other_constants: #9aa7bd; --metadata: #c9b8d8;
  --graph: #c4c2bd; --binary: var(--binary_weights); --float: var(--float32_weights);
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15171a; --card: #1d2024; --line: #2f3338; --text: #e6e7e9; --quiet: #989fa6;
    --track: #2a2e33; --binary_weights: #2fb8a6; --float32_weights: #f0714b;
    --float16_weights: #f3a35c; --int8_weights: #e8c35a; --biases: #8a9bea;
    --other_constants: #77839a; --metadata: #8f7aa5; --graph: #565a60;
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
.bar { display: flex; height: 6px; border-radius: 3px; background: var(--track); overflow: hidden; }
.bar i { min-width: 1px; }
.bar.large { height: 26px; border-radius: 6px; }
.legend { display: flex; flex-wrap: wrap; gap: .35rem 1.4rem; margin: .8rem 0 0; padding: 0;
  list-style: none; font-size: .88rem; }
.legend i { display: inline-block; width: .75em; height: .75em; margin-right: .45em;
  border-radius: 2px; }
table { width: 100%; border-collapse: collapse; table-layout: fixed; }
th { text-align: left; font-weight: 500; font-size: .82rem; color: var(--quiet); }
td, th { padding: .45rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td small { display: block; color: var(--quiet); font-size: .8rem; line-height: 1.35; }
.index { width: 3.6rem; color: var(--quiet); }
.amount { width: 21%; font-variant-numeric: tabular-nums; }
.layer { font-weight: 600; }
tr.plain .layer { font-weight: 400; }
.switch { margin-left: .3rem; font-size: .88rem; }
.switch + .legend { margin: .3rem 0 .6rem; }
#plain:not(:checked) ~ table tr.plain { display: none; }
.why { display: grid; gap: .6rem; margin: 0; padding: 0; list-style: none; }
summary { cursor: pointer; margin-top: 2.75rem; font-size: 1.1rem; font-weight: 650; }
details table { margin-top: .75rem; font-size: .86rem; }
@media (max-width: 640px) {
  body { padding: 1.5rem .9rem 3rem; }
  .index, .type { display: none; }
  td, th { padding: .45rem .3rem; }
  .amount { width: 25%; font-size: .82rem; }
}
"""


def html(inspection: Inspection, title: str) -> str:
    """The page of an `Inspection`, headed by `title`.

    Names in a file may be anything, so they are escaped, and the page forbids scripts.
    """
    total = inspection.binary_macs + inspection.float_macs
    head = f"{escape(title)}: what is in the file"
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{head}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        _shapes(inspection),
        _numbers(inspection, total),
        "<h2>Bytes by kind</h2>",
        _bytes(inspection),
        _why(inspection, total),
        "<h2>Operators</h2>",
        _operators(inspection),
        _tensors(inspection),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _shapes(inspection: Inspection) -> str:
    given, gives = (
        ", ".join(f"{by(tensor.shape)} {tensor.type}" for tensor in tensors)
        for tensors in (inspection.inputs, inspection.outputs)
    )
    return f'<p class="quiet">{escape(given)} &rarr; {escape(gives)}</p>'


def _numbers(inspection: Inspection, total: int) -> str:
    weighted = [operator for operator in inspection.operators if operator.macs]
    binary = sum(operator.binary for operator in weighted)
    bits = inspection.bytes_by_kind["binary_weights"]
    cards = [
        ("Size", _short(inspection.bytes, "B"), f"{inspection.bytes:,} bytes"),
        ("Binary weights", _short(bits, "B"), f"{bits / inspection.bytes:.1%} of the file"),
        (
            "Binary share of MACs",
            f"{inspection.binary_share:.1%}",
            f"of {_short(total)} multiply-accumulates",
        ),
        ("Binary layers", f"{binary} of {len(weighted)}", "convolutions and dense layers"),
        (
            "Operators",
            f"{len(inspection.operators):,}",
            f"of {len(inspection.counts)} kinds, {len(inspection.tensors):,} tensors",
        ),
    ]
    rows = [
        f"<div><dt>{name}</dt><dd>{number}<small>{more}</small></dd></div>"
        for name, number, more in cards
    ]
    return f'<dl class="numbers">{"".join(rows)}</dl>'


def _bytes(inspection: Inspection) -> str:
    sizes = {kind: size for kind, size in inspection.bytes_by_kind.items() if size}
    legend = "".join(
        f"<li>{_color(kind)}{_words(kind)} "
        f'<span class="quiet">{size:,} &middot; {size / inspection.bytes:.1%}</span></li>'
        for kind, size in sorted(sizes.items(), key=_order)
    )
    return f'{_bar(sizes, inspection.bytes, "large")}<ul class="legend">{legend}</ul>'


def _operators(inspection: Inspection) -> str:
    largest = max((sum(o.bytes.values()) for o in inspection.operators), default=0)
    most = max((o.macs for o in inspection.operators), default=0)
    rows = []
    for operator in inspection.operators:
        size = sum(operator.bytes.values())
        kind = "binary" if operator.binary else "float"
        details = [operator.name, operator.output, str(operator.convolution or "")]
        small = " &middot; ".join(escape(detail) for detail in details if detail)
        plain = "" if operator.macs else ' class="plain"'
        rows.append(
            f'<tr{plain}><td class="index">{operator.number}</td>'
            f'<td class="wrap"><span class="layer">{escape(operator.layer)}</span>'
            f"<small>{small}</small></td>"
            f'<td class="amount">{_amount(size, operator.bytes, largest)}</td>'
            f'<td class="amount">{_amount(operator.macs, {kind: operator.macs}, most)}</td></tr>'
        )
    return (
        '<input type="checkbox" id="plain" checked><label class="switch" for="plain">'
        "show operators without MACs</label>"
        f'<ul class="legend"><li>{_color("binary")}binary</li>'
        f"<li>{_color('float')}not binary</li></ul>"
        '<table><thead><tr><th class="index">#</th><th>Layer, operator</th>'
        '<th class="amount">Bytes</th><th class="amount">MACs</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _why(inspection: Inspection, total: int) -> str:
    if not inspection.left_in_float:
        return ""
    rows = [
        f'<li class="wrap"><span class="layer">{escape(operator.layer)}</span> '
        f'<span class="quiet">{_heading(operator, total)}</span>'
        f"<p>{escape(operator.why_float[:1].upper() + operator.why_float[1:])}.</p></li>"
        for operator in inspection.left_in_float
    ]
    return f'<h2>Not binary, and why</h2><ul class="why">{"".join(rows)}</ul>'


def _heading(operator: Operator, total: int) -> str:
    share = operator.macs / max(1, total)
    size = sum(operator.bytes.values())
    return escape(f"{operator.name}, #{operator.number}, {size:,} bytes, {share:.2%} of MACs")


def _tensors(inspection: Inspection) -> str:
    rows = [
        f'<tr><td class="index">{f"{t.graph}." if t.graph else ""}{t.index}</td>'
        f'<td class="wrap">{escape(t.name)}</td><td class="type">{escape(t.type)}</td>'
        f'<td class="amount">{by(t.shape)}</td>'
        f'<td class="amount">{f"{t.bytes:,}" if t.bytes else ""}</td></tr>'
        for t in inspection.tensors
    ]
    return (
        f"<details><summary>Tensors ({len(rows):,})</summary><table><thead><tr>"
        '<th class="index">#</th><th>Name</th><th class="type">Type</th>'
        '<th class="amount">Shape</th><th class="amount">Bytes of constants</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></details>"
    )


def _amount(amount: int, parts: dict[str, int], most: int) -> str:
    return f"{amount:,}{_bar(parts, most)}" if amount else ""


def _bar(parts: dict[str, int], most: int, size: str = "") -> str:
    """A bar of colored parts, whose full width stands for `most`."""
    colored = "".join(
        f'<i title="{_words(kind)}: {part:,}" '
        f'style="width:{100 * part / max(1, most):.3f}%;background:{_variable(kind)}"></i>'
        for kind, part in sorted(parts.items(), key=_order)
    )
    return f'<div class="bar {size}">{colored}</div>'


def _order(item: tuple[str, int]) -> int:
    return KINDS.index(item[0]) if item[0] in KINDS else 3  # weights of a rare type


def _color(kind: str) -> str:
    return f'<i style="background:{_variable(kind)}"></i>'


def _variable(kind: str) -> str:
    is_named = kind in (*KINDS, "binary", "float")
    return f"var(--{kind if is_named else 'int8_weights'})"


def _words(kind: str) -> str:
    return escape(kind.replace("_", " "))


def _short(number: float, unit: str = "") -> str:
    """A number rounded to three digits, like `7.69 MB`."""
    prefixes = ["", "k", "M", "G", "T"]
    while number >= 999.5 and len(prefixes) > 1:
        number /= 1000
        del prefixes[0]
    digits = f"{number:.3g}" if prefixes[0] else f"{number:.0f}"
    return f"{digits} {prefixes[0]}{unit}".strip()
