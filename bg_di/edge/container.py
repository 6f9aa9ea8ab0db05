"""Ellar's container, as a task sees it: a request scope of its own for each attempt."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from functools import cached_property
from itertools import chain, count
from typing import Any, cast

import anyio
import injector
from ellar.common.params.resolvers.system_parameters import SystemParameterResolver
from ellar.core.execution_context.injector import _injector_context_var
from ellar.core.modules import ModuleRefBase
from ellar.di import EllarInjector, ProviderConfig, RequestScopeContext, request_context_var, request_scope
from injector import Injector, Provider

from bg_di import log
from bg_di.calls.context import TaskContext
from bg_di.edge.chain import refuse_unsatisfied
from bg_di.edge.injector import injector_here
from bg_di.edge.sessions import close_session, sessions_in
from bg_di.errors import ModuleUnknown

# What an attempt supplies by itself.
ATTEMPT_KEYS: tuple[type, ...] = (TaskContext, AsyncExitStack)

# Seconds that what a task has to clean up may take, when the task has ended or was cancelled.
CLEAN_UP_TIMEOUT = 10.0

# The marker of injector's own ``Inject[...]``: one object for all.
_INJECTORS_MARKER = injector.Inject[int].__metadata__[0]  # type: ignore[attr-defined]


def key_of(annotation: Any) -> Any:
    """What ``Inject[...]`` of injector or of Ellar asks for; None for any other annotation."""
    for marker in getattr(annotation, "__metadata__", ()):
        if marker is _INJECTORS_MARKER:
            return annotation.__origin__
        if isinstance(marker, SystemParameterResolver):
            return getattr(marker, "data", None) or annotation.__origin__
    return None


class EllarContainer:
    """The container of one application.

    Args:
        root: its root injector.
    """

    def __init__(self, root: EllarInjector) -> None:
        self._root = root
        self._satisfied: set[tuple[int, Any]] = set()

    def key_of(self, annotation: Any) -> Any:
        """What ``Inject[...]`` of injector or of Ellar asks for; None for any other annotation."""
        return key_of(annotation)

    def injector_here(self) -> EllarInjector:
        """The injector of the current module, else the root's."""
        return injector_here(self._root)

    def module_of(self, injector: EllarInjector) -> str | None:
        """The name of the module whose injector that is, the same in every process; None for the root."""
        return next((name for name, known in self._modules.items() if known is injector), None)

    def injector_of(self, module: str | None) -> EllarInjector:
        """The injector of a module by its name; the root's for None.

        Raises:
            ModuleUnknown: there is none of that name here.
        """
        if module is None:
            return self._root
        if module not in self._modules:
            raise ModuleUnknown(f"it was added in the module {module}, which this application does not have")
        return self._modules[module]

    @cached_property
    def _modules(self) -> Mapping[str, EllarInjector]:
        """The injectors of all modules but the root; classes of one name are told apart by their order."""
        named: dict[str, EllarInjector] = {}
        for module in (cast(ModuleRefBase, node.value) for node in self._root.tree_manager.modules.values()):
            injector: EllarInjector = module.container.injector
            name = f"{module.module.__module__}:{module.module.__qualname__}"
            if injector is not self._root:
                named[next(each for each in _numbered(name) if each not in named)] = injector
        return named

    def enter(self, injector: EllarInjector) -> None:
        """Make an injector that which the running code resolves from."""
        _injector_context_var.set(injector)

    def sessions_here(self) -> list[Any]:
        """The database sessions that were built for the request, or the attempt, that the running code belongs to."""
        scope = request_context_var.get(None)
        return [] if scope is None else sessions_in(scope)

    def refuse_unsatisfied(self, injector: EllarInjector, key: Any, needed_by: str) -> None:
        """Raise a `TypeError` that shows the chain, if `key` cannot be supplied to an attempt."""
        if (id(injector), key) not in self._satisfied:
            refuse_unsatisfied(injector, key, needed_by, ATTEMPT_KEYS)
            self._satisfied.add((id(injector), key))

    def open(self, injector: EllarInjector, context: Callable[[], TaskContext]) -> "AttemptScope":
        """Open the scope of one attempt in the current context."""
        return AttemptScope(injector, context)


def _numbered(name: str) -> Iterator[str]:
    return chain([name], (f"{name} {number}" for number in count(2)))


class AttemptScope:
    """The request scope of one attempt, with what it supplies by itself.

    Args:
        injector: that keys are resolved from.
        context: makes the `TaskContext`, if that is asked for.
    """

    def __init__(self, injector: EllarInjector, context: Callable[[], TaskContext]) -> None:
        self.get = injector.get
        self._context = context
        self._stack = _Made(AsyncExitStack)
        self._scope = RequestScopeContext()
        self._scope.context.update({AsyncExitStack: self._stack, TaskContext: _Made(context)})
        request_context_var.set(self._scope)
        _injector_context_var.set(injector)

    def has_to_close(self) -> bool:
        """Whether an `AsyncExitStack` was injected, or database sessions were built."""
        return self._stack.made is not None or bool(sessions_in(self._scope))

    async def close(self, why: Any) -> None:
        """Close the stack, then the sessions: whatever happened, shielded, for at most `CLEAN_UP_TIMEOUT` seconds."""
        with anyio.move_on_after(CLEAN_UP_TIMEOUT, shield=True) as limit:
            try:
                await _close(self._stack.made, sessions_in(self._scope), why)
            except asyncio.CancelledError:
                # The shield is anyio's: what asyncio itself cancels once more gets through.
                if not limit.cancel_called:
                    log.clean_up_broken(self._context().name)
                raise
        if limit.cancelled_caught:
            log.clean_up_took_too_long(self._context().name, CLEAN_UP_TIMEOUT)


async def _close(stack: AsyncExitStack | None, sessions: list[Any], why: Any) -> None:
    # As they were built, the last one first; what one raises keeps no other from being closed.
    async with AsyncExitStack() as built:
        for session in sessions:
            built.push_async_callback(close_session, session)
        if stack is not None:
            await stack.__aexit__(*why)


class _Made(Provider[Any]):
    """Provides what is made when it is first asked for."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self.made: Any = None

    def get(self, injector: Injector) -> Any:
        if self.made is None:
            self.made = self._make()
        return self.made


class _OnlyInAttempts(Provider[Any]):
    """Refuses: the scope of an attempt has what is asked for, and nothing else has."""

    def __init__(self, key: type) -> None:
        self._key = key

    def get(self, injector: Injector) -> Any:
        raise RuntimeError(f"{self._key.__name__} can be injected only while a declared task runs")


def bind_attempt_keys(root: ModuleRefBase) -> None:
    """Bind at the root what the scope of an attempt has: without a binding nobody looks there."""
    for key in ATTEMPT_KEYS:
        if key not in root.providers:
            root.add_provider(ProviderConfig(key, use_value=_OnlyInAttempts(key), scope=request_scope))
