"""The part of the page about binary layers: what `callbacks.BinaryInsight` saw, over time."""

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from larq_reactnet._insight.records import Record, shares
from larq_reactnet._insight.troubles import dead_channels
from larq_reactnet._pictures import heat
from larq_reactnet.training._report.charts import COLORS, Band, Line, chart, spark
from larq_reactnet.training._report.reading import Ran

import numpy as np

__all__ = ["insight_part", "overview", "troubles"]

ROWS = 40  # of a histogram over time
BINS = 20  # of the shares of +1 of channels
COLUMNS = 240  # epochs of a histogram over time; of more, some are left out
# What is shown of all layers together: title, kind of layer, its value, whether this is a share.
_TOGETHER = (
    ("Share of binary weights that change in an epoch", "kernels", "flips", True),
    ("Gradient mismatch of activations", "signs", "mismatch", False),
    ("Share of channels that are always the same", "signs", "dead", True),
)


def overview(rans: Sequence[Ran]) -> str:
    """Charts of the median layer of each run; of one run, with all layers as a band."""
    charts = []
    for title, kind, key, percent in _TOGETHER:
        lines, bands = [], []
        for ran, color in zip(rans, COLORS * len(rans), strict=False):
            low, middle, high = _over_layers(ran, kind, key)
            lines.append(Line(f"{ran.name}: median of the layers", middle, color))
            if len(rans) == 1:
                bands.append(Band(low, high, color))
        starts = list(rans[0].starts()) if len(rans) == 1 else ()
        charts.append(chart(title, lines, bands=bands, starts=starts, percent=percent))
    note = "The line is the median layer" + (
        ", the band reaches from the lowest to the highest layer." if len(rans) == 1 else "."
    )
    found = "".join(charts)
    return f'<p class="quiet">{note}</p><div class="charts">{found}</div>' if found else ""


def troubles(ran: Ran) -> str:
    """What went wrong, with its cure: each trouble once, with the epochs in which it was seen."""
    found: dict[tuple[int, str, str], list[tuple[int, dict[str, str]]]] = {}
    for record in ran.insight:
        for trouble in record.get("troubles", ()):
            key = (record["step"], trouble["kind"], trouble["where"])
            found.setdefault(key, []).append((record["epoch"] + 1, trouble))
    rows = []
    for (step, kind, where), times in found.items():
        first, last = times[0][0], times[-1][0]
        when = f"epoch {first}" if first == last else f"epochs {first} to {last}"
        rows.append(
            f'<li class="wrap"><span class="layer">{escape(where)}</span> '
            f'<span class="quiet">{escape(kind)}, step {step}, {when}</span>'
            f"<p>{escape(times[-1][1]['value'])}.</p>"
            f'<p class="quiet">{escape(times[-1][1]["cure"])}</p></li>'
        )
    return f'<ul class="why">{"".join(rows)}</ul>' if rows else ""


def insight_part(ran: Ran) -> str:
    """A card for each layer: flips, histograms of weights and channels, thresholds, slopes."""
    if not ran.insight:
        return (
            '<p class="quiet">There is no insight.jsonl in the folder: it has no binary layers, or '
            "an earlier version trained it, which did not look at them.</p>"
        )
    seen = ran.seen()
    legend = (
        '<p class="quiet">Time runs from left to right. Histograms: the denser, the more weights '
        "or channels. Bands of thresholds and slopes: all channels, and the middle half of "
        "them.</p>"
    )
    # Layers with one row each are not between those with many, which would leave holes.
    many, few = (
        dict.fromkeys(name for kind in kinds for record in ran.insight for name in record[kind])
        for kinds in (("kernels", "signs"), ("thresholds", "slopes"))
    )
    groups = ([*many], [name for name in few if name not in many])
    grids = ["".join(_layer(name, seen) for name in names) for names in groups]
    return legend + "".join(f'<div class="layers">{grid}</div>' for grid in grids if grid)


def _layer(name: str, seen: Sequence[Record | None]) -> str:
    kernels = [r and r["kernels"].get(name) for r in seen]
    signs = [r and r["signs"].get(name) for r in seen]
    parts = [
        _curve("Flips in an epoch", kernels, "flips", "{:.2%}"),
        _weights(kernels),
        _curve("Near zero", kernels, "near_zero", "{:.1%}"),
        _curve("At the clip", kernels, "at_clip", "{:.1%}"),
        _curve("Distance to alpha", kernels, "alpha_distance", "{:.2f}"),
        _channels(signs),
        _quantiles("Thresholds", [r and r["thresholds"].get(name) for r in seen]),
        _quantiles("Slopes", [r and r["slopes"].get(name) for r in seen]),
        _curve("Mismatch of the sign", signs, "mismatch", "{:.2f}"),
        _curve("Mismatch of the weights", kernels, "mismatch", "{:.2f}"),
        _curve("Gradient of the weights", kernels, "gradient", "{:.3g}"),
    ]
    return f'<section><h3 class="wrap">{escape(name)}</h3>{"".join(parts)}</section>'


def _row(title: str, value: str, picture: str) -> str:
    return f'<div class="row"><b>{title}</b><span>{value}</span>{picture}</div>'


def _curve(title: str, values: Sequence[Any], key: str, form: str) -> str:
    numbers = [_number(value and value.get(key)) for value in values]
    known = [number for number in numbers if math.isfinite(number)]
    if not known or (key in ("at_clip", "mismatch") and max(known) < 1e-3):
        return ""
    return _row(title, form.format(known[-1]), spark([Line(title, numbers)], floor=0.0))


def _weights(kernels: Sequence[Any]) -> str:
    """The latent weights over time, on one scale."""
    known = [kernel for kernel in kernels if kernel]
    if not known:
        return ""
    limit = max(_number(kernel["range"]) for kernel in known)
    edges = np.linspace(limit, -limit, 2 * ROWS + 1)[1::2]  # middles of the rows, from above

    def column(kernel: Any) -> np.ndarray:
        bins, reach = np.asarray(kernel["histogram"], float), _number(kernel["range"])
        index = np.floor((edges + reach) / (2 * reach) * len(bins)).astype(int)
        inside = (index >= 0) & (index < len(bins))
        return np.where(inside, bins[np.clip(index, 0, len(bins) - 1)], 0) / reach

    value = f"&plusmn;{limit:.3g}"
    return _row("Latent weights", value, _over_time(kernels, column, ROWS))


def _channels(signs: Sequence[Any]) -> str:
    """Histograms of the shares of +1 of channels over time."""
    if not any(signs):
        return ""

    def column(sign: Any) -> np.ndarray:
        counts, _ = np.histogram(shares(sign["channels"]), BINS, (0, 1))
        return counts[::-1].astype(float)

    last = next(sign for sign in reversed(signs) if sign)
    dead, which = dead_channels(last)
    value = f"{last['plus']:.0%} on average" + (f", {dead} dead" if dead else "")
    named = f'<p class="dead quiet wrap">Dead: {which}.</p>' if dead else ""
    return _row("Channels by their share of +1", value, _over_time(signs, column, BINS)) + named


def _over_time(values: Sequence[Any], column: Callable[[Any], np.ndarray], rows: int) -> str:
    chosen = np.unique(np.linspace(0, len(values) - 1, min(len(values), COLUMNS)).astype(int))
    nothing = np.zeros(rows)
    columns = [column(values[i]) if values[i] else nothing for i in chosen]
    return f'<img class="heat" alt="" src="{heat(np.stack(columns, axis=1))}">'


def _quantiles(title: str, values: Sequence[Any]) -> str:
    known = [value for value in values if value]
    if not known:
        return ""
    nothing = [math.nan] * len(known[0])
    rows = [[_number(v) for v in value] if value else nothing for value in values]
    lines = list(zip(*rows, strict=True))
    smallest, _, quarter, middle, three, _, largest = lines
    picture = spark([Line(title, middle)], [Band(smallest, largest), Band(quarter, three)])
    last = known[-1]
    value = f"{_number(last[0]):.3g} to {_number(last[-1]):.3g}".replace("-", "&minus;")
    return _row(title, value, picture)


def _over_layers(ran: Ran, kind: str, key: str) -> list[list[float]]:
    """The lowest, the median and the highest layer in each epoch."""
    found = []
    for record in ran.seen():
        layers = (record or {}).get(kind, {}).values()
        values = [_dead_share(v) if key == "dead" else _number(v.get(key)) for v in layers]
        values = [value for value in values if math.isfinite(value)] or [math.nan]
        found.append((min(values), float(np.median(values)), max(values)))
    return [list(values) for values in zip(*found, strict=True)] or [[], [], []]


def _dead_share(sign: dict[str, Any]) -> float:
    return dead_channels(sign)[0] / len(shares(sign["channels"]))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
