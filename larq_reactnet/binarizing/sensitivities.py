"""What the loss says of each layer as a binary one, as a table and as a page."""

from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from larq_reactnet._page import cards, page, short
from larq_reactnet._tables import Shown

__all__ = ["LayerSensitivity", "Sensitivity", "checked_budget"]


@dataclass(frozen=True)
class LayerSensitivity:
    """What one layer does to the loss.

    Attributes:
        name: Its name.
        kind: Its class.
        alone: The loss when it is the only binary layer.
        spared: The loss when it is the only one that stays real, of all that could be binary.
        ops: How many more OPs the binary network has if it stays real; negative for a depthwise
            convolution that would become a larger full one. None for maps of unknown size.
        seconds: How long both measurements took.
    """

    name: str
    kind: str
    alone: float
    spared: float
    ops: float | None
    seconds: float


@dataclass(frozen=True, repr=False)
class Sensitivity(Shown):
    """What `sensitivity` found.

    Attributes:
        name: Name of the model.
        style: The style.
        images: Number of images that the losses are means over.
        real: The loss of the model.
        binary: The loss when every layer is binary that can be.
        ops: OPs (BOPs / 64 + FLOPs) of that binary network; None for maps of unknown size.
        layers: Every layer that can be binary, in the order of the network.
    """

    name: str
    style: str
    images: int
    real: float
    binary: float
    ops: float | None
    layers: tuple[LayerSensitivity, ...]

    def skip(self, budget: float) -> tuple[str, ...]:
        r"""Layers that should stay real, for `skip` of `binarize_model`, within a budget.

        Each layer that stays real saves the rise of the loss that it causes alone, and costs OPs.
        Those with the largest \\((L_{alone} - L_{real}) / \Delta\text{OPs}\\) come first, as long
        as they fit.

        Args:
            budget: OPs of the binary network, as the papers count them: BOPs / 64 + FLOPs.

        Returns:
            Their names, in the order of the network.

        Raises:
            ValueError: If the network has more OPs already when every layer is binary, or images of
                unknown size.
        """
        left, chosen = budget - checked_budget(budget, self.ops, self.name), set()
        for layer in sorted(self.layers, key=self._worth, reverse=True):
            cost = layer.ops or 0.0
            if layer.alone > self.real and cost <= left:
                chosen.add(layer.name)
                left -= cost
        return tuple(layer.name for layer in self.layers if layer.name in chosen)

    def _worth(self, layer: LayerSensitivity) -> float:
        """The rise of the loss for each operation that is saved."""
        rise = layer.alone - self.real
        return rise / layer.ops if layer.ops and layer.ops > 0 else float("inf")

    def as_dict(self) -> dict[str, Any]:
        """All values by name, for JSON."""
        return asdict(self)

    def html(self) -> str:
        """A page for the browser, with a bar for each loss."""
        worst = max(layer.alone for layer in self.layers)
        numbers = [
            ("Loss, real", f"{self.real:.3g}", f"of {self.images:,} images"),
            ("Loss, all binary", f"{self.binary:.3g}", f"style {self.style}"),
            ("Worst alone", f"{worst:.3g}", f"of {len(self.layers)} layers"),
        ]
        if self.ops is not None:
            numbers.append(("OPs, all binary", short(self.ops), "BOPs / 64 + FLOPs"))
        largest = max(self.binary, *(max(layer.alone, layer.spared) for layer in self.layers))
        rows = []
        for layer in self.layers:
            bars = (_bar(layer.alone, largest, "float"), _bar(layer.spared, largest, "binary"))
            rows.append(
                f'<tr><td class="wrap"><span class="layer">{escape(layer.name)}</span> '
                f'<span class="quiet">{escape(layer.kind)}</span></td><td>{bars[0]}</td>'
                f"<td>{bars[1]}</td><td>{_signed(layer.ops)}</td></tr>"
            )
        head = "".join(
            f"<th>{name}</th>"
            for name in ("layer", "loss, it alone binary", "loss, all but it", "OPs if it is real")
        )
        intro = "Calibrated, not trained: only the statistics of batch normalization were adapted."
        table = f"<table><tr>{head}</tr>{''.join(rows)}</table>"
        return page(
            f"{self.name}: sensitivity",
            [cards(numbers), f'<h2>Layers</h2><p class="quiet">{intro}</p>', table],
        )

    def __str__(self) -> str:
        rows = [("layer", "class", "alone", "all but it", "OPs if real", "seconds")]
        rows += [
            (
                layer.name,
                layer.kind,
                f"{layer.alone:.4g}",
                f"{layer.spared:.4g}",
                _signed(layer.ops),
                f"{layer.seconds:.1f}",
            )
            for layer in self.layers
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        lines.append(
            f"Loss of {self.images:,} images: {self.real:.4g} real, {self.binary:.4g} with every "
            f"layer binary ({self.style}), calibrated and not trained."
        )
        return "\n".join(lines)


def checked_budget(budget: float, ops: float | None, name: str) -> float:
    """The OPs of a network with every layer binary, if they are known and within the budget.

    Raises:
        ValueError: If they are not.
    """
    if ops is None:
        raise ValueError(
            f"{name!r} takes images of any size, so its OPs are not known: build it with a fixed "
            "`input_shape`."
        )
    if budget < ops:
        raise ValueError(
            f"`budget` is {budget:,.0f} OPs, but with every layer binary that can be, {name!r} has "
            f"{ops:,.0f} already."
        )
    return ops


def _signed(ops: float | None) -> str:
    if ops is None:
        return "?"
    return ("-" if ops < 0 else "+") + short(abs(ops))


def _bar(loss: float, largest: float, color: str) -> str:
    """A loss and a bar, whose full width stands for `largest`."""
    share = 100 * max(0.0, loss) / largest if largest > 0 else 0.0
    return (
        f'{loss:.4g}<div class="bar"><i style="width:{share:.2f}%;background:var(--{color})"></i>'
        "</div>"
    )
