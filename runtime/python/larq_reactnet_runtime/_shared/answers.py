# The original is in larq_reactnet/_shared of larq-reactnet. `make copies` copies it, as it is, to
# runtime/python/larq_reactnet_runtime/_shared: change the original, and then make the copies.
"""What both commands `predict` print."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from .classifying import Classifier

__all__ = ["print_answers", "printable"]


def print_answers(
    classifier: Classifier,
    photos: Sequence[str],
    *,
    as_json: bool,
    complain: Callable[[str], None],
) -> bool:
    """Print what a network sees in each photo, and say of which photos it cannot be told.

    Args:
        classifier: The network.
        photos: Paths of photos. One that cannot be read does not hide the others.
        as_json: Whether to print JSON.
        complain: What is called with the reason, for each photo that cannot be read.

    Returns:
        Whether all could be read.
    """
    rows: list[dict[str, Any]] = []
    failed = 0
    for photo in photos:
        try:
            answer = classifier(photo)
        except (OSError, RuntimeError, ValueError) as error:
            failed += 1
            complain(str(error))
            rows.append({"photo": photo, "error": str(error)})
            continue
        if classifier.gives_a_number:
            ((name, number),) = answer
            rows.append({"photo": photo, "name": name, "value": number})
        else:
            classes = [{"label": label, "probability": p} for label, p in answer]
            rows.append({"photo": photo, "classes": classes})
        if not as_json:
            _print_table(photo, answer, ".6g" if classifier.gives_a_number else "7.2%")
    if as_json:
        print(json.dumps(rows, indent=1))
    return not failed


def printable(text: str) -> str:
    """`text` without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _print_table(photo: str, answer: list[tuple[str, float]], form: str) -> None:
    print(printable(photo))
    names = [printable(name) for name, _ in answer]
    width = max(map(len, names))
    for name, (_, number) in zip(names, answer):
        print(f"  {name:<{width}}  {number:{form}}")
