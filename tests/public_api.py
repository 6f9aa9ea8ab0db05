"""The modules whose names are public."""

from typing import Final

MODULES: Final = (
    "bg_di",
    "bg_di.backends",
    "bg_di.backends.rabbitmq",
    "bg_di.backends.sqlite",
    "bg_di.errors",
    "bg_di.observers",
    "bg_di.observers.log",
    "bg_di.observers.otel",
    "bg_di.observers.sentry",
    "bg_di.options",
    "bg_di.testing",
)
