"""What is said about a name that does not exist."""

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(name: str, names: Iterable[str], shown: Iterable[str] | None = None) -> str:
    """The names that there are, and the one that is nearest to `name`, as the end of a message.

    Args:
        name: The name that does not exist.
        names: Those that do.
        shown: What is listed instead of `names`.
    """
    names = list(names)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f": there is {', '.join(names if shown is None else shown)}.{hint}"
