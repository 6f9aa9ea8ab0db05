"""What an ASGI server is told to run, where no mail may be lost with the process: one declaration differs."""

import logging

from ellar.app import App, AppFactory
from ellar.common import Module
from ellar.core import ModuleBase

from bg_di import BackgroundTasksModule
from bg_di.backends.sqlite import SqliteBackend
from examples.signup.app import AccountsModule
from examples.signup.settings import tasks_file

logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")


@Module(
    modules=[
        BackgroundTasksModule.setup(
            name="signup",
            tasks=["examples.signup.mailer"],
            backends={"durable": SqliteBackend(tasks_file())},
            default_backend="durable",
        ),
        AccountsModule,
    ]
)
class DurableApplicationModule(ModuleBase):
    """The root. The feature is the same, and does not know where its tasks run."""


application: App = AppFactory.create_from_app_module(DurableApplicationModule)
