"""What `dir()` of a module shows, and so what notebooks complete."""

import functools
from types import ModuleType

__all__ = ["show_public"]


def show_public(*modules: ModuleType) -> None:
    """Let `dir()` of modules show what is in their `__all__`, and not what they import."""
    for module in modules:
        vars(module)["__dir__"] = functools.partial(sorted, module.__all__)
