"""The DI module that users declare."""

from typing import Any, cast

from ellar.app import App
from ellar.common import IApplicationReady, Module
from ellar.common.constants import MIDDLEWARE_HANDLERS_KEY, MODULE_METADATA
from ellar.core import Config, DynamicModule, ModuleBase, ModuleSetup
from ellar.core.middleware import Middleware
from ellar.core.modules import ModuleRefBase
from ellar.di import ProviderConfig
from ellar.reflect import reflect

from bg_di import log
from bg_di.backends.capabilities import IN_PROCESS
from bg_di.backends.in_process import InProcessBackend
from bg_di.commands.ellar import EllarCommands
from bg_di.edge.container import EllarContainer, bind_attempt_keys
from bg_di.edge.injector import built, injector_here
from bg_di.edge.interceptor import wrap_interceptors_consumer
from bg_di.edge.middleware import BackgroundTasksMiddleware
from bg_di.edge.migrations import leave_tables_alone
from bg_di.edge.overrides import find_overrides, restore_falsy_value
from bg_di.edge.routes import own_routes
from bg_di.edge.scope import bind_collection
from bg_di.handing_over.destinations import Destinations
from bg_di.handing_over.engines import Engines
from bg_di.handing_over.listed import list_tasks
from bg_di.monitor import BackgroundTasksMonitor
from bg_di.observing.failure import LoggingTaskErrorHandler, TaskErrorHandler
from bg_di.observing.ledger import Ledger
from bg_di.observing.observer import Observers
from bg_di.options import Options
from bg_di.running.attempts import Attempts
from bg_di.running.planner import Planner
from bg_di.running.runner import Runner
from bg_di.running.threads import Threads


@Module()
class BackgroundTasksModule(ModuleBase, IApplicationReady):
    """Background tasks for an Ellar application. Declare it once, at the root; feature modules need nothing.

    ``@Module(modules=[BackgroundTasksModule])`` takes the defaults, `setup` options in code, `register_setup`
    options from the application's config. Declared twice in one application it is Ellar's own `ValueError`.

    Options stay with the application they were declared for: nothing is written on this class, which Ellar
    shares between all applications of a process.
    """

    @classmethod
    def setup(cls, /, **options: Any) -> ModuleSetup:
        """Declare the module with options in code.

        Args:
            **options: the fields of `bg_di.options.Options`.

        Raises:
            InvalidOptions: an option is unknown or has a wrong value.
        """
        Options.of(options)
        return ModuleSetup(cls, factory=lambda module_ref: cls.set_options(module_ref, **options))

    @classmethod
    def register_setup(cls, /, **override: Any) -> ModuleSetup:
        """Declare the module with the options in the application's config, a dict under ``BACKGROUND_TASKS``.

        Args:
            **override: options that win over those of the config.

        Raises:
            InvalidOptions: at start-up, if the section is not a dict, or an option is unknown or has a wrong value.
        """

        def configure(module_ref: ModuleRefBase, config: Config) -> DynamicModule:
            return cls._keep(module_ref, Options.configured(config.get("BACKGROUND_TASKS"), override))

        return ModuleSetup(cls, inject=[Config], factory=configure)

    @classmethod
    def set_options(cls, module_ref: ModuleRefBase, /, **options: Any) -> DynamicModule:
        """Set options from the factory of your own ``ModuleSetup(BackgroundTasksModule, inject=…, factory=…)``.

        Args:
            module_ref: what Ellar gives to the factory.
            **options: as for `setup`.

        Raises:
            InvalidOptions: an option is unknown or has a wrong value.
        """
        return cls._keep(module_ref, Options.of(options))

    @classmethod
    def _keep(cls, module_ref: ModuleRefBase, options: Options) -> DynamicModule:
        module_ref.add_provider(ProviderConfig(Options, use_value=options))
        return DynamicModule(cls)

    @classmethod
    def post_build(cls, module_ref: ModuleRefBase) -> None:
        """Bind the collection at the root of the application, where every module sees it. Called by Ellar.

        Args:
            module_ref: of this module.
        """
        if Options not in module_ref.providers:
            cls._keep(module_ref, Options())
        options: Options = module_ref.get(Options)
        root = cast(ModuleRefBase, module_ref.tree_manager.get_app_module())
        threads = Threads(options.max_threads)
        observers = Observers()
        application = options.name or ""
        destinations = Destinations(
            {IN_PROCESS: InProcessBackend(), **options.backends},
            default=options.default_backend,
            application=application,
            carried=options.carry,
        )
        container = EllarContainer(root.container.injector)
        runner = Runner(
            threads=threads,
            planner=Planner(container, observers, destinations),
            attempts=Attempts(threads, container, observers),
            engines=Engines(destinations.engines, application, container.sessions_here),
            ledger=Ledger(options.history),
            observers=observers,
            error_handler=lambda: injector_here(root.container.injector).get(TaskErrorHandler),
            stop_on_error=options.on_error == "stop",
            accept_timeout=options.accept_timeout,
        )
        module_ref.add_provider(ProviderConfig(Destinations, use_value=destinations))
        module_ref.add_provider(ProviderConfig(Runner, use_value=runner))
        bind_collection(root, runner)
        if BackgroundTasksMonitor not in root.providers:
            monitor = BackgroundTasksMonitor(runner.ledger, runner.engines)
            root.add_provider(ProviderConfig(BackgroundTasksMonitor, use_value=monitor))
        bind_attempt_keys(root)
        if TaskErrorHandler not in root.providers:
            handler = LoggingTaskErrorHandler(log_arguments=options.log_arguments)
            root.add_provider(ProviderConfig(TaskErrorHandler, use_value=handler))

    def on_ready(self, app: App) -> None:
        """Put the outermost frame and the interceptor around the application, once everything else is in place.

        Called by Ellar.

        Args:
            app: the application.

        Raises:
            InvalidOptions: the option ``tasks`` names what is none, or a task that its backend cannot keep.
        """
        own = app.injector.get_module(type(self))
        assert own is not None, "Ellar calls this for modules of the application"
        options, runner, destinations = own.get(Options), own.get(Runner), own.get(Destinations)
        destinations.list(list_tasks(options.tasks, runner.planner.needs_of))
        run_inside = options.run_after == "response"
        runner.observers.watch(built(app.injector, observer) for observer in options.observers)
        modules = [cast(ModuleRefBase, data.value) for data in app.injector.tree_manager.modules.values()]
        for module in modules:
            restore_falsy_value(module, TaskErrorHandler)
        overrides = find_overrides(app, modules)
        leave_tables_alone(modules)
        own_routes(app)
        frame = Middleware(
            BackgroundTasksMiddleware,
            application=app,
            runner=runner,
            run_inside=run_inside,
            overrides=overrides,
            destinations=destinations,
            retry_after=options.retry_after,
            grace_period=options.grace_period,
        )
        app.config.MIDDLEWARE = [frame, *app.config.MIDDLEWARE]
        wrap_interceptors_consumer(app)
        if run_inside:
            _warn_of_module_middleware(modules)


def _warn_of_module_middleware(modules: list[ModuleRefBase]) -> None:
    costly = [
        module.module.__name__ for module in modules if reflect.get_metadata(MIDDLEWARE_HANDLERS_KEY, module.module)
    ]
    if costly:
        log.module_middleware(costly)


# `@Module(commands=...)` would make a list of them now.
reflect.delete_metadata(MODULE_METADATA.COMMANDS, BackgroundTasksModule)
reflect.define_metadata(MODULE_METADATA.COMMANDS, EllarCommands(), BackgroundTasksModule)
