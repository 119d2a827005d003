"""What is said about a name that does not exist."""

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]


def did_you_mean(name: str, names: Iterable[str], shown: Iterable[str] | None = None) -> str:
    """The names that there are, and the one that is nearest to `name`, as the end of a message.

    Args:
        name: The name that does not exist.
        names: Those that do.
        shown: What is listed instead of `names`.
    """
    names = list(names)
    return f": there is {', '.join(names if shown is None else shown)}.{nearest(name, names)}"


def nearest(name: str, names: Iterable[str], kind: str = "") -> str:
    """A question about the one of `names` that is nearest to `name`; empty if none is near.

    `kind` is what stands before the name, such as "the weights ".
    """
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" Did you mean {kind}{close[0]!r}?" if close else ""
