"""Recipes: a file for each experiment, named after the weights that it makes.

The docstring of each says what the paper reports, what was measured here and how, and every
departure from the paper. `recipe` in it holds all values.

    larq-reactnet train bnn_plus_dorefanet_cifar10 run
"""

import importlib
import pkgutil
from types import ModuleType

from larq_reactnet._names import did_you_mean
from larq_reactnet.zoo.recipes._recipe import Recipe, Step, two_step

__all__ = ["Recipe", "Step", "list_recipes", "load", "text_of", "two_step"]


def list_recipes() -> list[str]:
    """The names of all recipes, sorted."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in names if not name.startswith("_"))


def load(name: str) -> Recipe:
    """The recipe called `name`.

    Raises:
        ValueError: If there is none; the message lists the names.
    """
    recipe: Recipe = _module(name).recipe
    return recipe


def text_of(name: str) -> str:
    """What the recipe called `name` says about itself.

    Raises:
        ValueError: If there is none; the message lists the names.
    """
    return str(_module(name).__doc__).strip()


def _module(name: str) -> ModuleType:
    names = list_recipes()
    if name not in names:
        raise ValueError(f"No recipe is called {name!r}{did_you_mean(name, names)}")
    return importlib.import_module(f"{__name__}.{name}")
