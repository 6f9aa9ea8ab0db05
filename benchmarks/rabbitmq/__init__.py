"""What durable tasks cost on RabbitMQ, beside the bare publish and other engines: ``python -m benchmarks.rabbitmq``."""
