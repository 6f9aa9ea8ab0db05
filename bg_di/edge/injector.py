"""Which injector the running code resolves from."""

from typing import Any

from ellar.core.execution_context.injector import _injector_context_var
from ellar.di import EllarInjector


def injector_here(root: EllarInjector) -> EllarInjector:
    """The injector of the current module of the application whose root injector is `root`.

    Ellar's own `current_injector` is one lazy object for the whole process: after an await it may be that of
    another request. The context variable behind it is right. In an application that is mounted in this one it is
    the mounted one's; then it is the root's that counts, as it does outside of any request.
    """
    injector = _injector_context_var.get()
    # Its default is a bare object.
    return injector if getattr(injector, "tree_manager", None) is root.tree_manager else root


def built(injector: EllarInjector, given: Any) -> Any:
    """An instance of what is given as a class, as it is bound, else with what its constructor asks for."""
    if not isinstance(given, type):
        return given
    bound = injector.container.has_explicit_binding_for(given)
    return injector.get(given) if bound else injector.create_object(given)
