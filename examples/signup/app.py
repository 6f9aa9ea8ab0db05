"""The modules of the application."""

from ellar.common import Module
from ellar.core import ModuleBase
from ellar.di import ProviderConfig

from bg_di import BackgroundTasksModule
from examples.signup.controllers import AccountsController
from examples.signup.mailer import Mailer
from examples.signup.routers import router
from examples.signup.settings import MailSettings


@Module(
    controllers=[AccountsController],  # pyright: ignore[reportArgumentType]
    routers=[router],
    # A function as value: the environment is read when the settings are first asked for, not at import.
    providers=[Mailer, ProviderConfig(MailSettings, use_value=MailSettings.from_environment)],
)
class AccountsModule(ModuleBase):
    """The feature. It says nothing about background tasks: what the root declares is there for all modules."""


@Module(modules=[BackgroundTasksModule, AccountsModule])
class ApplicationModule(ModuleBase):
    """The root: background tasks are declared here, once."""
