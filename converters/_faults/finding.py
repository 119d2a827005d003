"""What `check` finds, and where in the model it is."""

from dataclasses import asdict, dataclass
from typing import Any

from larq_reactnet._graph.calls import Call

import tensorflow as tf

__all__ = ["Fault", "Finding"]


@dataclass(frozen=True)
class Finding:
    """A layer that LCE would not convert as it is meant, and what to do about it.

    Attributes:
        layer: Name of the layer, or of the model if it is about all of it.
        problem: What would happen.
        cure: What to do about it.
        kind: `"wrong"`: LCE computes something else. `"float"`: it stays in float. `"refused"`: LCE
            converts it, but its kernel refuses to run it. `"hidden"`: it has layers whose calls are
            not known. `"unsupported"`: `export` does not take the model as it is, for a reason that
            is not LCE's. `"cost"`: it is right and binary, but slower or larger than need be.
        applied: Whether `export` applies the cure itself.
    """

    layer: str
    problem: str
    cure: str
    kind: str = "float"
    applied: bool = False

    @property
    def blocks(self) -> bool:
        """Whether `export` refuses the model because of it."""
        return self.kind != "cost" and not self.applied

    def as_dict(self) -> dict[str, Any]:
        """All attributes by their names."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.layer}: {self.problem}; {self.cure}."


@dataclass(frozen=True, eq=False)
class Fault:
    """A finding with its place in the graph, and the cure for it.

    Attributes:
        finding: The finding.
        layer: The layer that it is about.
        call: The call that a cure replaces.
        cured_by: Name of the cure in `curing.CURES`, or an empty string if there is none.
    """

    finding: Finding
    layer: tf.keras.layers.Layer
    call: Call
    cured_by: str = ""
