"""Results that show themselves as a table, also in a notebook."""

import html
from collections.abc import Iterable

__all__ = ["Shown", "table"]


class Shown:
    """A result whose `str` is a table: that is what Python and a notebook show of it, too.

    It is for data classes that are made with `repr=False`.
    """

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Pairs of a name and a value, one in a line, with the values below each other."""
    return "\n".join(f"{name:<21} {value}" for name, value in rows)
