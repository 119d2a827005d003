"""The models of the zoo by name, for `create`, the command line and the tests."""

import fnmatch
import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from larq_reactnet._names import did_you_mean
from larq_reactnet.zoo import pretrained
from larq_reactnet.zoo.pretrained import list_weights, options_of

import tensorflow as tf

__all__ = ["Entry", "create", "get", "list_models", "register", "variant_of"]

Constructor = Callable[..., tf.keras.Model]


@dataclass(frozen=True)
class Entry:
    """A model of the zoo.

    Attributes:
        name: Name in the registry, snake_case.
        constructor: Function of keyword arguments only that returns a Keras model.
        paper: Where the architecture comes from.
        year: Year of the paper.
        url: Address of the paper.
        small: Arguments that make a small model for small images, used in tests and the demo.
        small_size: Height and width of these images.
        listed: Whether it is one of `list_models`.
    """

    name: str
    constructor: Constructor
    paper: str
    year: int
    url: str
    small: dict[str, Any] = field(default_factory=dict)
    small_size: int = 32
    listed: bool = True

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the constructor, and their defaults."""
        parameters = inspect.signature(self.constructor).parameters.values()
        return {parameter.name: parameter.default for parameter in parameters}


_ENTRIES: dict[str, Entry] = {}

# What the docstrings of all constructors say about the arguments that all of them have.
_ARGUMENTS = """\
    input_shape: `(height, width, channels)`, where a size that is `None` may be any. `None` for all
        is `(224, 224, 3)`, and without the top `(None, None, 3)`.
    input_tensor: Keras tensor to use as input.
    weights: `None` for random initialization, the name of a data set of which there are pretrained
        weights, or the path of a weights file or of the folder of a run.
    include_top: Whether to end in the layers that classify. `False` takes all weights but theirs.
    num_classes: Number of classes. If it is neither that of the weights nor the default, the last
        layer is a new one with random weights, and a line on stderr says so.
    classifier_activation: `"softmax"`, or `None` for logits (distillation needs them).
"""
_RESULT = """\
Returns:
    A Keras model, not compiled.

Raises:
    ValueError: If an argument has a bad value, or the images are too small."""


def register(name: str, **about: Any) -> Callable[[Constructor], Constructor]:
    """Decorator that enters a constructor under `name`; `about` are the attributes of `Entry`.

    The docstring of the constructor need not describe the arguments that all of them have.
    """

    def enter(constructor: Constructor) -> Constructor:
        head, own, references = _sections(constructor)
        sections = [head, f"Args:\n{_ARGUMENTS}{own}", _RESULT, references]
        constructor.__doc__ = "\n\n".join(section.rstrip() for section in sections if section)
        _ENTRIES[name] = Entry(name, constructor, **about)
        return constructor

    return enter


def _sections(constructor: Callable[..., Any]) -> tuple[str, str, str]:
    """The text of a docstring, what it has under `Args:`, and its references."""
    text, mark, references = inspect.cleandoc(constructor.__doc__ or "").partition("References:\n")
    head, _, own = text.partition("Args:\n")
    return head, own, mark + references


def variant_of(family: Callable[..., Any], **defaults: Any) -> Callable[[Constructor], Constructor]:
    """Decorator of a constructor that takes the keyword arguments of `family`.

    It gets the signature of `family`, with `defaults` in place of its own, and the sections of its
    docstring from `Args:` on, so that both are written once for all models of a family.
    """
    parameters = inspect.signature(family).parameters.values()
    keywords = [
        parameter.replace(default=defaults.get(parameter.name, parameter.default))
        for parameter in parameters
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    _, own, references = _sections(family)

    def decorate(constructor: Constructor) -> Constructor:
        @functools.wraps(constructor)
        def wrapped(**kwargs: Any) -> tf.keras.Model:
            return constructor(**{**defaults, **kwargs})

        signature = inspect.Signature(keywords, return_annotation=tf.keras.Model)
        wrapped.__signature__ = signature  # type: ignore[attr-defined]
        head = inspect.cleandoc(constructor.__doc__ or "")
        sections = [head, f"Args:\n{own}" if own else "", references]
        wrapped.__doc__ = "\n\n".join(section.rstrip() for section in sections if section)
        return wrapped

    return decorate


def list_models(filter: str | Sequence[str] = "", *, pretrained: bool = False) -> list[str]:
    """The names of the models, sorted.

    !!! example
        ```python
        lr.zoo.list_models("reactnet*")
        lr.zoo.list_models(["*quicknet*", "meliusnet*"], pretrained=True)
        ```

    Args:
        filter: Only names that match this pattern, where `*` stands for any text, or one of several
            patterns. The module `fnmatch` says what else a pattern may have.
        pretrained: Only models with a row in the table of pretrained weights, which
            `zoo.pretrained.list_weights` gives. (`mobilenet_v1` has none: its `weights="imagenet"`
            are those of `tf.keras.applications`.)
    """
    patterns = [filter] if isinstance(filter, str) else filter
    listed = [name for name, entry in _ENTRIES.items() if entry.listed]
    names = {name for name in listed for p in patterns if fnmatch.fnmatchcase(name, p or "*")}
    if pretrained:
        names &= {row.model for row in list_weights()}
    return sorted(names)


def get(name: str) -> Entry:
    """The entry called `name`.

    Raises:
        ValueError: If there is none; the message lists the names.
    """
    if name not in _ENTRIES:
        raise ValueError(f"No model is called {name!r}{did_you_mean(name, list_models())}")
    return _ENTRIES[name]


def create(name: str, **kwargs: Any) -> tf.keras.Model:
    """Build the model called `name`; `kwargs` go to its constructor.

    With pretrained weights, arguments that are not given are those of the weights.

    !!! example
        ```python
        lr.zoo.create("reactnet_a", input_shape=(32, 32, 3), num_classes=10, width=0.25)
        lr.zoo.create("quicknet", weights="imagenet")
        lr.zoo.create("bnn_plus_dorefanet", weights="cifar10", num_classes=3)  # to fine-tune
        ```

    Raises:
        ValueError: If the name or an argument is unknown or has a bad value.
    """
    entry = get(name)
    for unknown in sorted(kwargs.keys() - entry.arguments.keys()):
        raise ValueError(
            f"{name} has no argument {unknown!r}{did_you_mean(unknown, entry.arguments)}"
        )
    weights, include_top = kwargs.get("weights"), kwargs.get("include_top", True)
    options = options_of(name, weights, include_top=include_top)
    if weights is None or not pretrained.exists(name, weights):
        return entry.constructor(**kwargs)  # which knows its own weights, or says what there is
    model = entry.constructor(**{**options, **kwargs, "weights": None})
    # A number of classes that somebody gave is meant; the default may just be forgotten.
    pretrained.load(model, weights, name, other_head="num_classes" in kwargs)
    return model
