"""What became of each layer, as a table and as a page."""

from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from larq_reactnet._page import cards, page, short
from larq_reactnet._tables import Shown
from larq_reactnet.binarizing.network import Network
from larq_reactnet.binarizing.units import Plan
from larq_reactnet.binarizing.writing import Writer
from larq_reactnet.profiling import KERNELS, Ops, ops

import numpy as np
import tensorflow as tf

__all__ = ["Binarization", "BinarizedLayer", "described"]


@dataclass(frozen=True)
class BinarizedLayer:
    """What one layer became.

    Attributes:
        name: Its name.
        kind: Its class.
        became: Names of the binary convolutions in its place; empty if it stays real.
        why: Why it stays real, or what else was changed.
        shortcut: The shortcut around it; empty for none.
        why_no_shortcut: Why it has none.
        macs_before: Real multiply-accumulates before; None for maps of unknown size.
        macs_after: Those of what it became, which are binary if it did.
        weights_before: Number of weights of its kernel before.
        weights_after: Number of weights of the kernels that it became.
    """

    name: str
    kind: str
    became: tuple[str, ...]
    why: str
    shortcut: str
    why_no_shortcut: str
    macs_before: int | None
    macs_after: int | None
    weights_before: int
    weights_after: int

    @property
    def bytes_after(self) -> int:
        """Of its kernels when deployed with binary weights: a bit for each, or four bytes."""
        return -(-self.weights_after // 8) if self.became else 4 * self.weights_after


@dataclass(frozen=True, repr=False)
class Binarization(Shown):
    """What `binarize_model` did.

    Attributes:
        name: Name of the model.
        style: The style.
        layers: Every layer with a kernel, in the order of the network.
        before: Operations of the model before; None for maps of unknown size.
        after: Operations of the binary model.
    """

    name: str
    style: str
    layers: tuple[BinarizedLayer, ...]
    before: Ops | None
    after: Ops | None

    def as_dict(self) -> dict[str, Any]:
        """All values by name, for JSON."""
        return {
            "name": self.name,
            "style": self.style,
            "layers": [
                {**asdict(layer), "bytes_after": layer.bytes_after} for layer in self.layers
            ],
            "before": self.before and self.before.as_dict(),
            "after": self.after and self.after.as_dict(),
        }

    def html(self) -> str:
        """A page for the browser."""
        numbers = [
            (name, short(after, unit), f"{short(before, unit)} before")
            for name, before, after, unit in self._totals()
        ]
        head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
        lines = []
        for layer, row in zip(self.layers, self._rows(), strict=True):
            color = "binary" if layer.became else "float"
            mark = f'<i style="background:var(--{color})"></i>'
            cells = "".join(f'<td class="wrap">{escape(cell)}</td>' for cell in row[1:])
            lines.append(
                f'<tr><td class="layer wrap"><span class="legend">{mark}</span>'
                f"{escape(row[0])}</td>{cells}</tr>"
            )
        binary = sum(bool(layer.became) for layer in self.layers)
        intro = f"Style {self.style}: {binary} of {len(self.layers)} layers became binary."
        style = ".legend i { margin: 0 .45em 0 0; } .legend { display: inline; }"
        table = f"<table><tr>{head}</tr>{''.join(lines)}</table>"
        return page(
            self.name, [f'<p class="quiet">{intro}</p>', cards(numbers), table], style=style
        )

    def __str__(self) -> str:
        rows = [_COLUMNS, *self._rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        binary = sum(bool(layer.became) for layer in self.layers)
        lines.append(f"{binary} of {len(self.layers)} layers became binary ({self.style}).")
        lines += [
            f"{name:<15} {short(before, unit)} -> {short(after, unit)}"
            for name, before, after, unit in self._totals()
        ]
        return "\n".join(lines)

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                layer.name,
                layer.kind,
                "binary" if layer.became else "real",
                _arrow(layer.macs_before, layer.macs_after),
                _arrow(layer.weights_before, layer.weights_after),
                short(layer.bytes_after, "B"),
                layer.shortcut or (f"none: {layer.why_no_shortcut}" if layer.became else ""),
                layer.why,
            )
            for layer in self.layers
        ]

    def _totals(self) -> list[tuple[str, float, float, str]]:
        if self.before is None or self.after is None:
            return []
        return [
            ("BOPs", self.before.bops, self.after.bops, ""),
            ("FLOPs", self.before.flops, self.after.flops, ""),
            ("OPs", self.before.ops, self.after.ops, ""),
            ("bytes packed", self.before.packed_bytes, self.after.packed_bytes, "B"),
        ]


_COLUMNS = ("layer", "class", "now", "MACs", "weights", "bytes", "shortcut", "why")


def described(
    network: Network, plan: Plan, writer: Writer, binary: tf.keras.Model, style: str
) -> Binarization:
    """What became of the layers of `network` in the model `binary`."""
    reasons = dict(plan.reasons)
    rows = []
    for call in network.calls:
        if call in plan.units:
            unit, made = plan.units[call], writer.written[call]
            new = [binary.get_layer(name) for name in made.layers]
            rows.append(
                BinarizedLayer(
                    call.layer.name,
                    type(call.layer).__name__,
                    made.layers,
                    ", ".join(made.notes),
                    made.shortcut,
                    made.why,
                    _macs(call.layer, unit.call.outputs[0].shape),
                    _sum(_macs(layer, layer.output_shape) for layer in new),
                    _weights(call.layer),
                    sum(map(_weights, new)),
                )
            )
        elif call in reasons:
            macs = _macs(call.layer, call.outputs[0].shape)
            weights = _weights(call.layer)
            rows.append(
                BinarizedLayer(
                    call.layer.name,
                    type(call.layer).__name__,
                    (),
                    reasons[call],
                    "",
                    "",
                    macs,
                    macs,
                    weights,
                    weights,
                )
            )
    return Binarization(binary.name, style, tuple(rows), _ops(network.model), _ops(binary))


def _ops(model: tf.keras.Model) -> Ops | None:
    try:
        return ops(model)
    except ValueError:  # of maps of unknown size, or layers that cannot be counted
        return None


def _weights(layer: tf.keras.layers.Layer) -> int:
    """The number of weights with which inputs are multiplied."""
    return sum(int(np.prod(w.shape)) for w in layer.trainable_weights if w.shape.rank > 1)


def _macs(layer: tf.keras.layers.Layer, shape: Any) -> int | None:
    """The multiply-accumulates of a layer with an output of `shape`."""
    kernels = [getattr(layer, name, None) for name in KERNELS]
    if not any(isinstance(kernel, tf.Variable) for kernel in kernels) or None in shape[1:-1]:
        return None
    return _weights(layer) * int(np.prod(shape[1:-1], dtype=np.int64))


def _sum(numbers: Any) -> int | None:
    found = list(numbers)
    return None if None in found else sum(found)


def _arrow(before: int | None, after: int | None) -> str:
    if before is None or after is None:
        return "?"
    return short(before) if before == after else f"{short(before)} -> {short(after)}"
