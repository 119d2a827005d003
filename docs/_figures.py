"""Figures of blocks, drawn from the Keras models of the zoo.

A block is what is between two layers of a model. Its layers are boxes; a binary convolution gets a
second one in front for its input quantizer. A box is in the row below the last of those before it.
The longest way through the block is one column, and what leads around it is beside it.
"""

from dataclasses import dataclass
from itertools import pairwise

import matplotlib
from _blocks import BINARY, END, OTHER, REAL, SIGN, START, Block, block_of, small_model
from _plots import STABLE, svg
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
from matplotlib.path import Path
from matplotlib.textpath import TextPath

__all__ = ["FIGURES", "Panel", "arrange", "draw"]

_COLORS = {
    BINARY: ("#f6ad55", "binary convolution"),
    SIGN: ("#fde3c0", "its input quantizer"),
    REAL: ("#a3c9ea", "float convolution or dense layer"),
    OTHER: ("#eeeeee", "other layer"),
}


@dataclass(frozen=True)
class Panel:
    """A block in a figure: of the small version of `model`, after `first` up to `last`."""

    title: str
    model: str
    first: str
    last: str
    folded: bool = False

    def block(self) -> Block:
        """The graph."""
        model = small_model(self.model, folded=self.folded)
        return block_of(model, self.first, self.last)


FIGURES = {
    "reactnet_a": [
        Panel("same channels", "reactnet_a", "block2_1x1_rprelu", "block3_1x1_rprelu"),
        Panel("twice the channels", "reactnet_a", "block1_1x1_rprelu", "block2_1x1_rprelu"),
    ],
    "folding": [
        Panel("as trained", "reactnet_a", "block1_1x1_rprelu", "block2_1x1_rprelu"),
        Panel("folded", "reactnet_a", "block1_1x1_rprelu", "block2_1x1_rprelu", folded=True),
    ],
    "reactnet_bc": [
        Panel("B, twice the channels", "reactnet_b", "block1_1x1_rprelu", "block2_1x1_rprelu"),
        Panel("C, twice the channels", "reactnet_c", "block1_1x1_rprelu", "block2_1x1_rprelu"),
    ],
    "reactnet_resnet": [
        Panel("same size", "reactnet_18", "stage1_block1_rprelu", "stage1_block2_rprelu"),
        Panel("half the size", "reactnet_18", "stage1_block4_rprelu", "stage2_block1_rprelu"),
    ],
    "bnn_plus": [
        Panel("AlexNet, convolution 2", "bnn_plus_alexnet", "bn1", "bn2"),
        Panel("AlexNet, dense layer 6", "bnn_plus_alexnet", "bn5", "bn6"),
        Panel(
            "ResNet-18, same size", "bnn_plus_resnet18", "stage1_block1_add", "stage1_block2_add"
        ),
        Panel(
            "ResNet-18, half the size",
            "bnn_plus_resnet18",
            "stage1_block2_add",
            "stage2_block1_add",
        ),
    ],
    "binarynet": [
        Panel("first layer", "binarynet", "input_1", "conv1_bn"),
        Panel("convolution 2", "binarynet", "conv1_bn", "conv2_bn"),
        Panel("dense layer 8", "binarynet", "dense7_bn", "dense8_bn"),
    ],
    "birealnet": [
        Panel("same size", "birealnet34", "stage1_block1_add", "stage1_block2_add"),
        Panel("half the size", "birealnet34", "stage1_block6_add", "stage2_block1_add"),
    ],
    "meliusnet": [
        Panel(
            "dense block and improvement block",
            "meliusnet22",
            "section_0_block_0_improve_merge",
            "section_0_block_1_improve_merge",
        ),
        Panel(
            "transition",
            "meliusnet22",
            "section_0_block_3_improve_merge",
            "section_0_transition_pw",
        ),
    ],
    "larq_zoo": [
        Panel("QuickNet", "quicknet", "tf.__operators__.add", "tf.__operators__.add_1"),
        Panel("BinaryDenseNet-28", "binary_densenet28", "concatenate", "concatenate_1"),
        Panel(
            "Real-to-Binary",
            "real_to_binary_net",
            "r2b_bnn_block_2a_skip_add",
            "r2b_bnn_block_2b_skip_add",
        ),
    ],
    "real": [
        Panel("MobileNetV1", "mobilenet_v1", "conv_pw_2_relu", "conv_pw_3_relu"),
        Panel("ResNet, same size", "resnet18", "stage1_block1_relu", "stage1_block2_relu"),
        Panel("ResNet, half the size", "resnet18", "stage1_block2_relu", "stage2_block1_relu"),
        Panel("AlexNet, convolution 2", "alexnet", "relu1", "relu2"),
    ],
}


@dataclass(frozen=True)
class Layout:
    """Row and column of each box, and the column in which each edge runs."""

    rows: dict[str, int]
    columns: dict[str, int]
    ways: dict[tuple[str, str], int]


def arrange(block: Block) -> Layout:
    """Where boxes and edges go: no box is on a box, and no edge runs through one."""
    targets: dict[str, list[str]] = {name: [] for name in block.lines}
    rows = dict.fromkeys(block.lines, 0)
    for source, target in block.edges:  # in topological order
        targets[source].append(target)
        rows[target] = max(rows[target], rows[source] + 1)
    columns: dict[str, int] = {}
    ways: dict[tuple[str, str], int] = {}
    taken: list[tuple[int, int, int]] = []  # a column, from a row to a row

    def longest(name: str) -> list[str]:
        """The longest way from `name` over boxes without a column, up to one that has one."""
        if name in columns or not targets[name]:
            return [name]
        return [name, *max((longest(target) for target in targets[name]), key=len)]

    way = longest(START)
    while way:
        top, bottom = rows[way[0]], rows[way[-1]]
        column = 0
        if columns and bottom - top == 1:
            column = columns[way[-1]]
        elif columns:
            # Shortcuts go to the left if there is room, and branches with boxes to the right.
            is_shortcut = len(way) == 2 and columns[way[-1]] == columns[way[0]]
            side = -1 if is_shortcut else 1
            for column in (sign * n for n in range(1, 20) for sign in (side, -side)):
                if not any(c == column and top < b and a < bottom for c, a, b in taken):
                    break
        taken.append((column, top, bottom))
        for name in way:
            columns.setdefault(name, column)
        ways |= dict.fromkeys(pairwise(way), column)
        left = [(a, b) for a, b in block.edges if (a, b) not in ways and a in columns]
        found = [[source, *longest(target)] for source, target in left]
        way = max(found, key=lambda way: (len(way), rows[way[0]] - rows[way[-1]]), default=[])
    return Layout(rows, columns, ways)


# Sizes in points.
_FONT, _LINE, _MARGIN, _GAP, _SIDE, _TITLE, _ROUND = 9.0, 11.5, 5.0, 20.0, 22.0, 26.0, 6.0


def draw(name: str) -> bytes:
    """The figure called `name`, as SVG."""
    panels = FIGURES[name]
    drawings = [_Drawing(panel.block()) for panel in panels]
    titles = [_width(panel.title) for panel in panels]
    widths = [max(drawing.width, title) for drawing, title in zip(drawings, titles, strict=True)]
    legend = 22.0 + _LINE
    height = max(drawing.height for drawing in drawings) + _TITLE + legend
    kinds = {kind for drawing in drawings for kind in drawing.block.kinds.values()}
    keys = [(color, text) for kind, (color, text) in _COLORS.items() if kind in kinds]
    legend_width = sum(_width(text) + 34 for _, text in keys)
    width = max(sum(widths) + 3 * _SIDE * len(widths), legend_width + _SIDE)
    with matplotlib.rc_context(STABLE):
        figure = Figure(figsize=(width / 72, height / 72))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        left = (width - sum(widths) - 3 * _SIDE * (len(widths) - 1)) / 2
        for panel, drawing, wide in zip(panels, drawings, widths, strict=True):
            middle = left + wide / 2
            axes.text(middle, 14, panel.title, ha="center", va="center", weight="bold")
            drawing.onto(axes, middle - drawing.width / 2, _TITLE)
            left += wide + 3 * _SIDE
        left = (width - legend_width) / 2
        for color, text in keys:
            _box(axes, left + 8, height - 16, 14, 10, color)
            axes.text(left + 20, height - 16, text, va="center", fontsize=_FONT - 1)
            left += _width(text) + 34
        return svg(figure)


class _Drawing:
    """A block whose boxes and edges have coordinates, in points from its upper left corner."""

    def __init__(self, block: Block):
        self.block = block
        layout = arrange(block)
        self.layout = layout
        self.sizes = {
            name: (max(map(_width, lines)) + 2 * _MARGIN, len(lines) * _LINE + 2 * _MARGIN - 3)
            for name, lines in block.lines.items()
        }
        # Columns are as wide as their widest box.
        self.x: dict[int, float] = {}
        right = 0.0
        for column in sorted({*layout.columns.values(), *layout.ways.values()}):
            boxes = [self.sizes[name][0] for name, c in layout.columns.items() if c == column]
            wide = max(boxes, default=4.0)
            self.x[column] = right + wide / 2
            right += wide + _SIDE
        self.width = right - _SIDE
        # And rows as high.
        self.y: dict[int, float] = {}
        self.half: dict[int, float] = {}
        top = 0.0
        for row in sorted(set(layout.rows.values())):
            high = max(self.sizes[name][1] for name, r in layout.rows.items() if r == row)
            self.y[row], self.half[row] = top + high / 2, high / 2
            top += high + _GAP
        self.height = top

    def onto(self, axes: Axes, left: float, top: float) -> None:
        """Draw it."""
        rows, columns = self.layout.rows, self.layout.columns
        for (source, target), way in self.layout.ways.items():
            x1, x2, x3 = (self.x[column] for column in (columns[source], way, columns[target]))
            y1 = self.y[rows[source]] + self.sizes[source][1] / 2
            y2 = self.y[rows[source]] + self.half[rows[source]] + 0.35 * _GAP
            y3 = self.y[rows[target]] - self.half[rows[target]] - 0.55 * _GAP
            y4 = self.y[rows[target]] - self.sizes[target][1] / 2
            y2 = min(y2, y3) if rows[target] - rows[source] > 1 or x1 == x3 else (y2 + y3) / 2
            y3 = max(y2, y3) if rows[target] - rows[source] > 1 or x1 == x3 else y2
            points = [(x1, y1), (x1, y2), (x2, y2), (x2, y3), (x3, y3), (x3, y4)]
            _arrow(axes, [(left + x, top + y) for x, y in points])
        for name, lines in self.block.lines.items():
            x, y = left + self.x[columns[name]], top + self.y[rows[name]]
            kind = self.block.kinds[name]
            if kind != END:
                _box(axes, x, y, *self.sizes[name], _COLORS[kind][0])
            for index, line in enumerate(lines):
                offset = (index - (len(lines) - 1) / 2) * _LINE
                size = _FONT if index == 0 else _FONT - 1
                style = "italic" if kind == END else "normal"
                axes.text(x, y + offset, line, ha="center", va="center", fontsize=size, style=style)
        # A stub below what leaves the block.
        last = max(rows, key=lambda name: rows[name])
        x, y = left + self.x[columns[last]], top + self.y[rows[last]] + self.sizes[last][1] / 2
        _arrow(axes, [(x, y), (x, y + 0.9 * _GAP)])


def _width(text: str) -> float:
    return float(TextPath((0, 0), text, size=_FONT).get_extents().width)


def _box(axes: Axes, x: float, y: float, width: float, height: float, color: str) -> None:
    style = "round,pad=0,rounding_size=3"
    corner = (x - width / 2, y - height / 2)
    axes.add_patch(
        FancyBboxPatch(
            corner, width, height, style, facecolor=color, edgecolor="0.35", linewidth=0.7
        )
    )


def _arrow(axes: Axes, points: list[tuple[float, float]]) -> None:
    """A line with rounded corners along `points`, the last part of which goes down."""
    corners = [points[0]]
    for point in points[1:]:
        if point != corners[-1]:
            corners.append(point)
    vertices, codes = [corners[0]], [Path.MOVETO]
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        for end, other in ((before, 0), (after, 1)):
            length = abs(end[0] - corner[0]) + abs(end[1] - corner[1])
            part = min(0.5, _ROUND / length)
            near = tuple(c + part * (e - c) for c, e in zip(corner, end, strict=True))
            if other:
                vertices += [corner, near]
                codes += [Path.CURVE3, Path.CURVE3]
            else:
                vertices.append(near)
                codes.append(Path.LINETO)
    x, y = corners[-1]
    vertices.append((x, y - 2))
    codes.append(Path.LINETO)
    axes.add_patch(
        PathPatch(Path(vertices, codes), facecolor="none", edgecolor="0.35", linewidth=1, zorder=0)
    )
    head = [(x, y), (x - 3, y - 6), (x + 3, y - 6)]
    axes.add_patch(Polygon(head, facecolor="0.35", edgecolor="none", zorder=0))
