"""The binding: who asks the container for background tasks gets the collection of the current request.

Ellar's own request scope cannot supply it: it keys its cache by type alone and has no lock, so threads of one
request would get several, and it raises where a singleton is built outside of a request.
"""

from ellar.core.modules import ModuleRefBase
from ellar.di import ProviderConfig, transient_scope
from injector import Injector, Provider

from bg_di.calls.protocols import Collection
from bg_di.calls.task import origin_here
from bg_di.collecting.collection import RequestBackgroundTasks
from bg_di.edge.operation import KEYS
from bg_di.running.runner import Runner


class CurrentTasks(Provider[Collection]):
    """Gives the collection of the current request; outside of one, an object that stands for any later one."""

    def __init__(self, runner: Runner) -> None:
        self._stand_in = RequestBackgroundTasks(runner, {})

    def get(self, injector: Injector) -> Collection:
        origin = origin_here()
        return self._stand_in if origin is None else origin.collection


def bind_collection(root: ModuleRefBase, runner: Runner) -> None:
    """Bind both keys at the root, where all modules see them, unless somebody has bound them there."""
    for key in KEYS:
        if key not in root.providers:
            root.add_provider(ProviderConfig(key, use_value=CurrentTasks(runner), scope=transient_scope))
