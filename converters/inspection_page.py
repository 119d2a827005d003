"""An `Inspection` as an HTML page: one file for any browser, which loads nothing else."""

from html import escape

from larq_reactnet._page import cards, page, short
from larq_reactnet.converters._tflite.sizes import KINDS
from larq_reactnet.converters.inspecting import Inspection, Operator, by

__all__ = ["html"]

_STYLE = """
:root {
  --binary_weights: var(--binary); --float32_weights: var(--float); --float16_weights: #f08c3a;
  --int8_weights: #edb93f; --biases: #6a7fdb; --other_constants: #9aa7bd; --metadata: #c9b8d8;
  --graph: #c4c2bd;
}
@media (prefers-color-scheme: dark) {
  :root {
    --float16_weights: #f3a35c; --int8_weights: #e8c35a; --biases: #8a9bea;
    --other_constants: #77839a; --metadata: #8f7aa5; --graph: #565a60;
  }
}
.bar.large { height: 26px; border-radius: 6px; }
td small { display: block; color: var(--quiet); font-size: .8rem; line-height: 1.35; }
.index { width: 3.6rem; color: var(--quiet); }
.amount { width: 21%; font-variant-numeric: tabular-nums; }
tr.plain .layer { font-weight: 400; }
.switch { margin-left: .3rem; font-size: .88rem; }
.switch + .legend { margin: .3rem 0 .6rem; }
#plain:not(:checked) ~ table tr.plain { display: none; }
details table { margin-top: .75rem; font-size: .86rem; }
@media (max-width: 640px) {
  .index, .type { display: none; }
  .amount { width: 25%; font-size: .82rem; }
}
"""


def html(inspection: Inspection, title: str) -> str:
    """The page of an `Inspection`, headed by `title`.

    Names in a file may be anything, so they are escaped, and the page forbids scripts.
    """
    total = inspection.binary_macs + inspection.float_macs
    parts = [
        _shapes(inspection),
        _numbers(inspection, total),
        "<h2>Bytes by kind</h2>",
        _bytes(inspection),
        _why(inspection, total),
        "<h2>Operators</h2>",
        _operators(inspection),
        _tensors(inspection),
    ]
    return page(title, parts, head=f"{title}: what is in the file", style=_STYLE)


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
    rows = [
        ("Size", short(inspection.bytes, "B"), f"{inspection.bytes:,} bytes"),
        ("Binary weights", short(bits, "B"), f"{bits / inspection.bytes:.1%} of the file"),
        (
            "Binary share of MACs",
            f"{inspection.binary_share:.1%}",
            f"of {short(total)} multiply-accumulates",
        ),
        ("Binary layers", f"{binary} of {len(weighted)}", "convolutions and dense layers"),
        (
            "Operators",
            f"{len(inspection.operators):,}",
            f"of {len(inspection.counts)} kinds, {len(inspection.tensors):,} tensors",
        ),
    ]
    return cards(rows)


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
