"""Durable tasks on RabbitMQ: many machines, and one broker that they share."""

try:
    import aio_pika  # noqa: F401  # what speaks to the broker
except ImportError as error:
    raise ImportError("bg_di.backends.rabbitmq needs aio-pika: pip install 'bg_di[rabbitmq]'") from error

from bg_di.backends.rabbitmq.backend import RabbitBackend

__all__ = ["RabbitBackend"]
