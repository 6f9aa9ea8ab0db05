"""Which injector the running code resolves from."""

from ellar.core.execution_context.injector import _injector_context_var
from ellar.di import EllarInjector


def injector_here(root: EllarInjector) -> EllarInjector:
    """The injector of the current module of the application whose root injector is `root`.

    Ellar's own `current_injector` is one lazy object for the whole process: after an await it may be that of
    another request. The context variable behind it is right, but for a function route that two applications
    list: that runs with the injector of the one which was built last.
    """
    injector = _injector_context_var.get()
    if injector.tree_manager is root.tree_manager:
        return injector
    module = root.get_module(injector.owner.module) if injector.owner else None
    return module.container.injector if module else root
