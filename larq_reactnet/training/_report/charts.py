"""Charts as SVG in the page. Colors are variables of its style, so they fit light and dark."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["COLORS", "Band", "Line", "chart", "spark"]

COLORS = tuple(f"var(--c{number})" for number in range(6))
WIDTH, HEIGHT = 340, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 6, 8, 22  # margins
SPARK = (200, 40)  # width and height


@dataclass(frozen=True)
class Line:
    """A line of a chart: a number for each epoch, NaN where there is none.

    Attributes:
        label: What a pointer over it shows.
        values: The numbers.
        color: A color of CSS.
        dashed: Whether it is dashed.
    """

    label: str
    values: Sequence[float]
    color: str = COLORS[0]
    dashed: bool = False


@dataclass(frozen=True)
class Band:
    """The space between two lines."""

    low: Sequence[float]
    high: Sequence[float]
    color: str = COLORS[0]


def chart(
    title: str,
    lines: Sequence[Line],
    *,
    bands: Sequence[Band] = (),
    starts: Iterable[int] = (),
    percent: bool = False,
) -> str:
    """A figure of lines over epochs.

    Args:
        title: What stands above it.
        lines: The lines.
        bands: Bands behind them.
        starts: Indices of epochs with which a step begins: a dotted line is before each.
        percent: Whether the numbers are shares.
    """
    numbers = [v for line in lines for v in line.values if math.isfinite(v)]
    numbers += [v for b in bands for v in (*b.low, *b.high) if math.isfinite(v)]
    count = max((len(line.values) for line in lines), default=0)
    if not numbers:
        return ""
    ticks = _ticks(min(numbers), max(numbers))
    low, high = min(ticks[0], min(numbers)), max(ticks[-1], max(numbers))

    def x(index: float) -> float:
        share = index / (count - 1) if count > 1 else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - value) / ((high - low) or 1) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for tick in ticks:
        text = _number(100 * tick, "&thinsp;%") if percent else _number(tick)
        parts.append(f'<path class="grid" d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y(tick) + 4:.1f}" text-anchor="end">{text}</text>')
    for index in _epochs(count):
        middle = f'x="{x(index):.1f}" y="{HEIGHT - 5}" text-anchor="middle"'
        parts.append(f"<text {middle}>{index + 1}</text>")
    for start in starts:
        at = f"{x(start - 0.5):.1f}"
        parts.append(f'<path class="start" d="M{at} {TOP}V{HEIGHT - BOTTOM}"/>')
    parts += _drawn(lines, bands, x, y)
    name = escape(title)
    return (
        f'<figure><figcaption>{name}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{name} over epochs">{"".join(parts)}</svg></figure>'
    )


def spark(lines: Sequence[Line], bands: Sequence[Band] = (), floor: float | None = None) -> str:
    """A small chart without axes.

    Args:
        lines: The lines.
        bands: Bands behind them.
        floor: What the lower edge stands for; by default the smallest number.
    """
    numbers = [v for line in lines for v in line.values if math.isfinite(v)]
    numbers += [v for b in bands for v in (*b.low, *b.high) if math.isfinite(v)]
    if not numbers:
        return ""
    width, height = SPARK
    low = min(numbers) if floor is None else floor
    high = max(max(numbers), low + 1e-9)  # a line of zeros is at the lower edge
    count = max(len(line.values) for line in lines)

    def x(index: float) -> float:
        return 2 + (index / (count - 1) if count > 1 else 0.5) * (width - 4)

    def y(value: float) -> float:
        return 3 + (high - value) / ((high - low) or 1) * (height - 6)

    drawn = "".join(_drawn(lines, bands, x, y))
    box = f'viewBox="0 0 {width} {height}" preserveAspectRatio="none"'
    return f'<svg class="spark" {box} aria-hidden="true">{drawn}</svg>'


def _drawn(
    lines: Sequence[Line],
    bands: Sequence[Band],
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> list[str]:
    """The elements of lines and bands, of which `x` and `y` give the places."""
    parts = []
    for band in bands:
        pairs = enumerate(zip(band.low, band.high, strict=True))
        whole = [i for i, pair in pairs if all(map(math.isfinite, pair))]
        for run in _runs(whole):
            there = [f"{x(i):.1f} {y(band.high[i]):.1f}" for i in run]
            back = [f"{x(i):.1f} {y(band.low[i]):.1f}" for i in reversed(run)]
            path = "L".join([*there, *back])
            parts.append(f'<path class="band" style="fill:{band.color}" d="M{path}Z"/>')
    for line in lines:
        whole = [i for i, v in enumerate(line.values) if math.isfinite(v)]
        dash = ' stroke-dasharray="4 3"' if line.dashed else ""
        name = f"<title>{escape(line.label)}</title>"
        for run in _runs(whole):
            points = [f"{x(i):.1f} {y(line.values[i]):.1f}" for i in run]
            # A line of no length has round ends, so one epoch is a point.
            path = "L".join(points if len(points) > 1 else points * 2)
            style = f'style="stroke:{line.color}"{dash}'
            parts.append(f'<path class="line" {style} d="M{path}">{name}</path>')
    return parts


def _runs(indices: Sequence[int]) -> list[list[int]]:
    """Neighbouring numbers together."""
    found: list[list[int]] = []
    for index in indices:
        if found and found[-1][-1] == index - 1:
            found[-1].append(index)
        else:
            found.append([index])
    return found


def _ticks(low: float, high: float) -> list[float]:
    """Some round numbers from `low` to `high`."""
    if high <= low:  # all numbers are the same: they are seen from zero on
        return sorted({0.0, low or 1.0})
    rough = (high - low) / 4
    power = 10 ** math.floor(math.log10(rough))
    size = next(step * power for step in (1, 2, 5, 10) if step * power >= rough)
    first, last = math.floor(low / size + 1e-9), math.ceil(high / size - 1e-9)
    return [number * size for number in range(first, last + 1)]


def _epochs(count: int) -> list[int]:
    """Indices of the epochs that are written below a chart."""
    if count < 2:
        return list(range(count))
    step = next(s * 10**p for p in range(9) for s in (1, 2, 5) if count / (s * 10**p) <= 6)
    return [index for index in range(count) if (index + 1) % step == 0] or [count - 1]


def _number(value: float, unit: str = "") -> str:
    return f"{value:.4g}{unit}".replace("-", "&minus;")
