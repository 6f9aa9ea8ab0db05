"""Override what feature modules provide for themselves."""

from typing import TYPE_CHECKING, Any, TypeVar, cast

from ellar.core.modules import ModuleRefBase
from ellar.di import ProviderConfig
from injector import Binding, InstanceProvider, NoScope

if TYPE_CHECKING:
    from ellar.testing.module import TestingModule  # needs httpx, which whoever has one of these has installed

T = TypeVar("T")


def override_everywhere(
    test_module: "TestingModule", key: type[T], *, use_class: type | None = None, use_value: T | None = None
) -> None:
    """Override a provider in every module that has it.

    Ellar's ``override_provider`` binds at the root, which a module that provides the key for itself does not ask.
    Use this one when all other overrides are set: it builds the application.

    Args:
        test_module: what ``Test.create_test_module`` made.
        key: what is overridden.
        use_class: what it is overridden with, built by the container.
        use_value: what it is overridden with, if no class is given; it may be falsy.

    Raises:
        LookupError: no module provides it.
    """
    nodes = test_module.create_application().injector.tree_manager.modules.values()
    modules = [cast(ModuleRefBase, node.value) for node in nodes]
    providing = [module for module in modules if module.container.has_explicit_binding_for(key)]
    if not providing:
        raise LookupError(f"no module provides {key.__qualname__}: nothing to override")
    for module in providing:
        if use_class is None:
            value: Any = use_value
            module.container.register_binding(key, Binding(key, InstanceProvider(value), NoScope))
        else:
            module.add_provider(ProviderConfig(key, use_class=use_class))
