"""``MODULE:APP``: imported as uvicorn does it, from the current folder too."""

import os
import sys
from importlib import import_module
from inspect import iscoroutinefunction, isroutine, signature
from types import ModuleType
from typing import Any

from ellar.app import App

from bg_di.commands.outcome import WrongUsage


def import_application(target: str) -> App:
    """The application that is meant.

    Args:
        target: a module, a colon, and the name of an Ellar application in it, or of a function that makes one; with
            dots if that is an attribute of something else.

    Raises:
        WrongUsage: there is no such thing, or it is something else. What the module itself raises is left as it is.
    """
    module, _, path = target.partition(":")
    if not module or not path or module.startswith("."):
        raise WrongUsage(f"{target!r} names no application: give a module and a name in it, such as shop.server:app")
    return _application(target, _attribute(_module(module), path))


def _module(name: str) -> ModuleType:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # it is there, and something that it imports is not
        raise WrongUsage(
            f"{error} (looked for {name!r}): give a module that can be imported from {here}, or set PYTHONPATH"
        ) from None


def _attribute(module: ModuleType, path: str) -> Any:
    found: Any = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise WrongUsage(f"there is no {path!r} in {module.__name__!r}: {error}") from None
    return found


def _application(target: str, found: Any) -> App:
    made = found
    if isroutine(found):
        if iscoroutinefunction(found):
            raise WrongUsage(f"{target!r} is a coroutine function: give one that is not, or an application")
        try:
            signature(found).bind()
        except TypeError as error:
            raise WrongUsage(f"{target!r} cannot be called to make an application: {error}") from None
        made = found()
    if not isinstance(made, App):
        kind = "makes" if isroutine(found) else "is"
        raise WrongUsage(
            f"{target!r} {kind} no Ellar application but {made!r}: give an ellar.app.App, or a function that makes one"
        )
    return made
