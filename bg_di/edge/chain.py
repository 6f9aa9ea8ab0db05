"""What the container could not supply to an attempt, found from bindings alone: nothing is built, nothing bound."""

import inspect
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, replace
from typing import Any, cast

from ellar.core.modules import ModuleRefBase
from ellar.di import EllarInjector
from injector import (
    CallableProvider,
    ClassProvider,
    NoScope,
    Provider,
    SingletonScope,
    UnsatisfiedRequirement,
    get_bindings,
)

from bg_di.declaring.binding import signature_of


def refuse_unsatisfied(injector: EllarInjector, key: Any, needed_by: str, attempt_keys: Container[Any]) -> None:
    """Walk what `key` needs.

    Args:
        injector: that the task resolves from.
        key: what it needs.
        needed_by: the name of the task.
        attempt_keys: what the scope of an attempt has.

    Raises:
        TypeError: something is missing, or a singleton would keep what belongs to one attempt. It shows the chain.
            What factories and values hide is not seen.
    """
    _Walk(needed_by, attempt_keys).visit(injector, key)


@dataclass(frozen=True, slots=True)
class _Walk:
    """One way down.

    Attributes:
        needed_by: the name of the task.
        attempt_keys: what the scope of an attempt has.
        chain: what was passed, from the task's own need on.
        keeper: the singleton that would keep what comes below it.
    """

    needed_by: str
    attempt_keys: Container[Any]
    chain: tuple[Any, ...] = ()
    keeper: Any = None

    def visit(self, injector: EllarInjector, key: Any) -> None:
        if key in self.chain:
            raise self._refused(key, "they need each other")
        if key in self.attempt_keys:
            self._refuse_to_keep(key)
            return
        binding, binder = self._binding(injector, key)
        self._refuse_to_keep(key, scoped=binding.scope not in {NoScope, SingletonScope})
        down = replace(self, chain=(*self.chain, key), keeper=key if binding.scope is SingletonScope else self.keeper)
        # What is transient is built in the injector that asks, what is scoped in its owner's.
        where = injector if binding.scope is NoScope else binder.injector
        for need in down.needs(binding.provider, key):
            down.visit(where, need)

    def _binding(self, injector: EllarInjector, key: Any) -> Any:
        try:
            return injector.container.get_binding(key)
        except UnsatisfiedRequirement:
            raise self._refused(key, _why_missing(injector, key)) from None

    def _refuse_to_keep(self, key: Any, *, scoped: bool = True) -> None:
        if scoped and self.keeper is not None:
            raise self._refused(
                key,
                f"the singleton {_name(self.keeper)} would keep the {_name(key)} of one attempt; make it "
                "request-scoped, too",
            )

    def needs(self, provider: Provider[Any], key: Any) -> Iterable[Any]:
        target = _target(provider)
        if target is None or target is object.__init__:
            return ()
        needs = get_bindings(target)
        lost = sorted(_required(target, skip=isinstance(provider, ClassProvider)) - needs.keys())
        if lost:
            raise self._refused(None, f"parameter {lost[0]!r} of {_name(key)} is not injected: is @injectable missing?")
        return needs.values()

    def _refused(self, key: Any, why: str) -> TypeError:
        chain = " -> ".join(map(_name, (*self.chain, *(() if key is None else (key,)))))
        return TypeError(f"add_task() cannot run {self.needed_by}, which needs {chain}: {why}")


def _why_missing(injector: EllarInjector, key: Any) -> str:
    modules = [cast(ModuleRefBase, node.value) for node in injector.tree_manager.modules.values()]
    owner = next((module.module.__name__ for module in modules if key in module.providers), None)
    if owner is None:
        return f"nothing provides {_name(key)}; add it to the providers of a module"
    return (
        f"only {owner} itself has {_name(key)}; export it there, by exports=[{_name(key)}], and list {owner} among the "
        "modules of the one that adds the task (outside of any: of the root)"
    )


def _target(provider: Provider[Any]) -> Callable[..., Any] | None:
    """What the provider calls with injection; None where nobody can look inside."""
    if isinstance(provider, ClassProvider):
        return provider._cls.__init__  # type: ignore[no-any-return]  # noqa: SLF001
    return provider._callable if isinstance(provider, CallableProvider) else None  # noqa: SLF001


def _required(target: Callable[..., Any], *, skip: bool) -> set[str]:
    """The names of parameters that have no default."""
    signature = signature_of(target)
    if signature is None:
        return set()
    parameters = list(signature.parameters.values())[skip:]
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {each.name for each in parameters if each.default is each.empty and each.kind in named}


def _name(key: Any) -> str:
    return getattr(key, "__qualname__", None) or str(key)
