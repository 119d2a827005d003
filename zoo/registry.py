"""Name -> constructor: what `create`, the command line and the tests iterate over."""

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

__all__ = ["Entry", "create", "get", "list_models", "register"]

Constructor = Callable[..., tf.keras.Model]


@dataclass(frozen=True)
class Entry:
    """A model of the zoo.

    Attributes:
        name: Name in the registry, snake_case.
        constructor: Function of keyword arguments only that returns a Keras model.
        paper: Where the architecture comes from.
        url: Address of the paper.
        small: Arguments that make a small model for 32x32 images, used in tests and the demo.
    """

    name: str
    constructor: Constructor
    paper: str
    url: str
    small: dict[str, Any]


_ENTRIES: dict[str, Entry] = {}


def register(
    name: str, *, paper: str, url: str, small: dict[str, Any]
) -> Callable[[Constructor], Constructor]:
    """Decorator that enters a constructor under `name`."""

    def enter(constructor: Constructor) -> Constructor:
        _ENTRIES[name] = Entry(name, constructor, paper, url, small)
        return constructor

    return enter


def list_models() -> list[str]:
    """The names of all models, sorted."""
    return sorted(_ENTRIES)


def get(name: str) -> Entry:
    """The entry called `name`.

    Raises:
        ValueError: If there is none; the message lists the names.
    """
    if name not in _ENTRIES:
        close = difflib.get_close_matches(name, _ENTRIES, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"No model is called {name!r}: there is {', '.join(_ENTRIES)}.{hint}")
    return _ENTRIES[name]


def create(name: str, **kwargs: Any) -> tf.keras.Model:
    """Build the model called `name`; `kwargs` go to its constructor.

    !!! example
        ```python
        lr.zoo.create("reactnet_a", input_shape=(32, 32, 3), num_classes=10, width=0.25)
        ```

    Raises:
        ValueError: If the name or an argument is unknown or has a bad value.
    """
    constructor = get(name).constructor
    arguments = inspect.signature(constructor).parameters
    unknown = kwargs.keys() - arguments.keys()
    if unknown:
        raise ValueError(
            f"{name} has no argument {', '.join(map(repr, sorted(unknown)))}: it takes "
            f"{', '.join(arguments)}."
        )
    return constructor(**kwargs)
