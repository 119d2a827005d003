"""What mkdocstrings needs to see the whole package: its modules in one folder, and real signatures.

`zoo` and `converters` are beside `larq_reactnet` in the checkout, and the constructors of the zoo
get signature and docstring from a decorator when they are imported.
"""

import ast
import configparser
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import griffe

__all__ = ["AsImported", "lay_out"]

_SETUP = Path(__file__).resolve().parents[1] / "setup.cfg"


def _packages() -> list[str]:
    """The packages of the distribution, of which `setup.cfg` has the only list."""
    setup = configparser.ConfigParser()
    setup.read(_SETUP)
    return setup["options"]["packages"].split()


def lay_out(folder: Path) -> None:
    """Link the modules in `folder` as they are imported, however the package is installed."""
    for name in _packages():
        package = folder / name.replace(".", "/")
        package.mkdir()
        for source in importlib.import_module(name).__path__:
            for path in Path(source).glob("*.py"):
                (package / path.name).symlink_to(path.resolve())


class AsImported(griffe.Extension):
    """Shows functions and classes as Python sees them after the import."""

    def on_function_instance(self, *, func: griffe.Function, **kwargs: Any) -> None:
        """Give a constructor that is a `variant_of` a family the family's arguments."""
        variants = [
            str(decorator.value)
            for decorator in func.decorators
            if str(decorator.value).startswith("variant_of(")
        ]
        if not variants:
            return
        module = importlib.import_module(func.module.path)
        function = getattr(module, func.name)
        family = re.match(r"variant_of\((\w+)", variants[0])
        assert family is not None
        source = ast.parse(inspect.getsource(getattr(module, family[1]))).body[0]
        assert isinstance(source, ast.FunctionDef)
        annotations = {
            arg.arg: ast.unparse(arg.annotation) for arg in source.args.kwonlyargs if arg.annotation
        }
        func.parameters = griffe.Parameters(
            *(
                griffe.Parameter(
                    name,
                    annotation=annotations.get(name),
                    kind=griffe.ParameterKind.keyword_only,
                    default=repr(parameter.default),
                )
                for name, parameter in inspect.signature(function).parameters.items()
            )
        )
        assert func.docstring is not None
        func.docstring.value = inspect.getdoc(function) or ""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Show classes and functions by their public names, if they are defined by others."""
        module = pkg["quantizers"]
        for attribute in [*module.attributes.values()]:
            target = module.members.get(str(attribute.value))
            if isinstance(target, griffe.Class):
                _rename(module, target.name, attribute.name)


def _rename(module: griffe.Module, old: str, new: str) -> None:
    target = module[old]
    module.del_member(old)
    target.name = new
    module.set_member(new, target)
