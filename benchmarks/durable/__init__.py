"""What durable tasks cost, beside the bare commit and other engines on SQLite: ``python -m benchmarks.durable``."""
