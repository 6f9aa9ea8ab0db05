"""What an ASGI server is told to run."""

import logging

from ellar.app import App, AppFactory

from examples.signup.app import ApplicationModule

logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")

application: App = AppFactory.create_from_app_module(ApplicationModule)
