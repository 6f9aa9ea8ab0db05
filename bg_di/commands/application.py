"""An application as commands see it: what it has for background tasks. It is not started."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Self

from ellar.app import App

from bg_di.commands.outcome import WrongUsage
from bg_di.handing_over.destinations import Destinations
from bg_di.handing_over.engines import Engines
from bg_di.running.runner import Runner


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """An application, and what it has for background tasks.

    Attributes:
        app: the whole.
        engines: its live handles.
        tasks: the names of what its workers may run.
    """

    app: App
    engines: Engines
    tasks: Collection[str]

    @classmethod
    def of(cls, app: App) -> Self:
        """Look into an application.

        Raises:
            WrongUsage: it has no background tasks.
        """
        modules: list[Any] = [data.value for data in app.injector.tree_manager.modules.values()]
        own = next((module for module in modules if Runner in module.providers), None)
        if own is None:
            raise WrongUsage(
                "the application has no background tasks: declare BackgroundTasksModule in its root module"
            )
        return cls(app=app, engines=own.get(Runner).engines, tasks=own.get(Destinations).tasks)

    def chosen(self, names: Sequence[str]) -> list[str]:
        """The engines that are meant by names; by none, all of them.

        Raises:
            WrongUsage: there is no such engine, or none at all.
        """
        known = self.engines.backends
        if not known:
            raise WrongUsage(
                "the application has no backend beyond its process, whose tasks nobody else can see: configure one by "
                "BackgroundTasksModule.setup(backends={...})"
            )
        for name in names:
            if name not in known:
                raise WrongUsage(
                    f"--backend {name}: there is none of that name beyond the process; there is "
                    f"{', '.join(map(repr, known))}"
                )
        return list(dict.fromkeys(names)) or list(known)
