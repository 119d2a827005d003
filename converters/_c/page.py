"""The arena of a network as a page for the browser: which bytes are used when, and by what."""

from html import escape

from larq_reactnet._page import cards, page, short
from larq_reactnet.converters._c.memory import Block
from larq_reactnet.converters._c.writer import Network

__all__ = ["html"]

_WIDTH, _HEIGHT = 1000, 420
_STYLE = """
svg { width: 100%; height: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; }
rect.float { fill: var(--float); } rect.bits { fill: var(--binary); } rect.own { fill: #9aa7bd; }
rect { stroke: var(--card); stroke-width: 1; opacity: .85; }
svg text { fill: var(--text); font: 12px system-ui, sans-serif; }
"""


def html(network: Network, ram: int | None = None) -> str:
    """The page, with a picture in which time goes to the right and addresses go up.

    Args:
        network: The network.
        ram: What the arena may take, which is drawn as a line.
    """
    blocks = network.plan.blocks
    total = network.plan.bytes
    fullest = max(
        range(len(network.stages)), key=lambda i: sum(b.bytes for b in blocks if _is_used(b, i))
    )
    rows = [
        ("Arena", short(total, "B"), f"{total:,} bytes of RAM"),
        ("Weights", short(network.constant_bytes, "B"), "of flash"),
        ("Stages", str(len(network.stages)), "each computes an image pixel by pixel"),
        ("Fullest at", escape(network.stages[fullest].layer), f"stage {fullest}"),
    ]
    legend = (
        f'<ul class="legend"><li><i style="background:var(--float)"></i>{network.arithmetic}</li>'
        '<li><i style="background:var(--binary)"></i>bits</li>'
        '<li><i style="background:#9aa7bd"></i>what one stage computes with</li></ul>'
    )
    table = "".join(
        f'<tr><td class="wrap">{escape(block.layer)}</td><td class="wrap">{escape(block.name)}</td>'
        f"<td>{block.offset:,}</td><td>{block.bytes:,}</td>"
        f"<td>{block.first} to {block.last}</td></tr>"
        for block in sorted(blocks, key=lambda b: (b.first, b.offset))
    )
    parts = [
        cards(rows),
        "<h2>The arena, stage by stage</h2>",
        _picture(network, ram),
        legend,
        "<details><summary>All of it</summary><table><thead><tr><th>Layer</th><th>Holds</th>"
        f"<th>Offset</th><th>Bytes</th><th>Stages</th></tr></thead><tbody>{table}</tbody></table>"
        "</details>",
    ]
    return page(network.name, parts, head=f"{network.name}: the arena", style=_STYLE)


def _is_used(block: Block, stage: int) -> bool:
    return block.first <= stage <= block.last


def _picture(network: Network, ram: int | None) -> str:
    count = max(1, len(network.stages))
    highest = max(network.plan.bytes, ram or 0, 1)
    across, up = _WIDTH / count, _HEIGHT / highest
    shapes = []
    for block in network.plan.blocks:
        kind = "bits" if block.name.endswith("bits") else "own"
        kind = "float" if block.name.endswith(network.arithmetic) else kind
        x, width = block.first * across, (block.last - block.first + 1) * across
        height = block.bytes * up
        y = _HEIGHT - block.offset * up - height
        title = escape(f"{block.layer}: {block.name}, {block.bytes:,} bytes at {block.offset:,}")
        shapes.append(
            f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
            f'height="{max(height, 0.5):.1f}"><title>{title}</title></rect>'
        )
    if ram is not None:
        y = _HEIGHT - ram * up
        shapes.append(f'<path d="M0 {y:.1f}H{_WIDTH}" stroke="currentColor" stroke-dasharray="4"/>')
        shapes.append(f'<text x="4" y="{y + 14:.1f}">{ram:,} bytes</text>')
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{"".join(shapes)}</svg>'
