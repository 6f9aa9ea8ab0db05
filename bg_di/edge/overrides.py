"""What users bind instead of the collection: fakes in tests, and collections of their own.

Who overrides is found once, when the application is ready; without any override none of this is on the path of
a request.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast
from weakref import WeakKeyDictionary

from ellar.app import App
from ellar.core.modules import ModuleRefBase
from ellar.di import EllarInjector
from injector import Binding, CallableProvider, Injector, InstanceProvider, NoScope, Provider, SingletonScope
from starlette.background import BackgroundTasks as StarletteBackgroundTasks

from bg_di.calls.protocols import Collection
from bg_di.calls.task import Origin, calls_in, origin_here, within
from bg_di.collecting.collection import RequestBackgroundTasks
from bg_di.edge.injector import injector_here
from bg_di.edge.operation import KEYS
from bg_di.edge.scope import CurrentTasks


class Overrides:
    """The overriding bindings of one application, and the collections that they gave to whom."""

    def __init__(self, app: App) -> None:
        self._root: EllarInjector = app.injector
        self._shared: list[StarletteBackgroundTasks] = []
        self._given: WeakKeyDictionary[Collection, list[StarletteBackgroundTasks]] = WeakKeyDictionary()

    def substitute(self, key: type[StarletteBackgroundTasks]) -> StarletteBackgroundTasks:
        """What the container of the current module gives for the collection."""
        return cast(StarletteBackgroundTasks, injector_here(self._root).get(key))

    def give(self, tasks: object, *, shared: bool) -> None:
        """Remember a collection of the user's own that somebody got, so that its tasks run."""
        if not issubclass(type(tasks), StarletteBackgroundTasks) or isinstance(tasks, RequestBackgroundTasks):
            return
        origin = origin_here()
        if shared:
            _append_once(self._shared, tasks)
        elif origin is not None:
            _append_once(self._given.setdefault(origin.collection, []), tasks)

    def adopt(self, origin: Origin, collection: RequestBackgroundTasks) -> None:
        """Take over what was added to the user's collections, as if it had been added in `origin`."""
        for tasks in (*self._given.get(collection, ()), *self._shared):
            for call in _new(tasks):
                within(origin, partial(collection.add_here, call))


def find_overrides(app: App, modules: list[ModuleRefBase]) -> Overrides | None:
    """Make overrides work by either key, and also if the fake is falsy; None if nobody overrides."""
    overrides = Overrides(app)
    found = [_override(module, overrides) for module in modules]
    return overrides if any(found) else None


def restore_falsy_value(module: ModuleRefBase, key: type) -> None:
    """Bind the value that a user gave for `key`, if Ellar dropped it because it is falsy."""
    value = getattr(module.providers.get(key), "use_value", None)
    if value is not None and not value:
        module.container.register_binding(key, Binding(key, InstanceProvider(value), NoScope))


def _override(module: ModuleRefBase, overrides: Overrides) -> bool:
    bound = {key: binding for key in KEYS if (binding := _binding(module, key)) is not None}
    for key, binding in bound.items():
        module.container.register_binding(key, Binding(key, _Watched(module, binding, overrides), NoScope))
    if len(bound) == 1:
        [key] = bound
        other = next(other for other in KEYS if other is not key)
        alias = CallableProvider(lambda: module.container.injector.get(key))
        module.container.register_binding(other, Binding(other, alias, NoScope))
    return bool(bound)


def _binding(module: ModuleRefBase, key: type) -> Binding | None:
    """The module's own binding of `key`, unless it is ours."""
    restore_falsy_value(module, key)
    if not module.container.has_explicit_binding_for(key):
        return None
    binding: Binding = module.container.get_binding(key)[0]
    return None if isinstance(binding.provider, CurrentTasks) else binding


class _Watched(Provider[Any]):
    """Provides what an overriding binding does, in its scope, and tells who got it."""

    def __init__(self, module: ModuleRefBase, binding: Binding, overrides: Overrides) -> None:
        self._container = module.container
        self._binding = binding
        self._overrides = overrides
        self._shared = isinstance(binding.provider, InstanceProvider) or binding.scope is SingletonScope

    def get(self, injector: Injector) -> Any:
        binding = self._binding
        scope = self._container.get_binding(binding.scope)[0].provider.get(injector)
        tasks = scope.get(binding.interface, binding.provider).get(injector)
        self._overrides.give(tasks, shared=self._shared)
        return tasks


def _new(tasks: StarletteBackgroundTasks) -> Sequence[Callable[[], Any]]:
    """What was added since the last look. Kept on the object: a fake need not be hashable."""
    taken = tasks.__dict__.get("_taken_by_bg_di", 0)
    tasks.__dict__["_taken_by_bg_di"] = added = len(getattr(tasks, "tasks", ()))
    return calls_in(tasks, taken) if added > taken else ()


def _append_once(collections: list[Any], tasks: object) -> None:
    if not any(known is tasks for known in collections):
        collections.append(tasks)
