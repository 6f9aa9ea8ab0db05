"""What is mutated, and by which tests it is to be found out."""

from pathlib import Path

ROOT = Path(__file__).parents[2]

TARGETS = (
    "bg_di/collection.py",
    "bg_di/drain.py",
    "bg_di/runner.py",
    "bg_di/policy.py",
    "bg_di/wire/annotation.py",
    "bg_di/wire/arguments.py",
    "bg_di/wire/difference.py",
    "bg_di/wire/envelope.py",
    "bg_di/wire/reader.py",
    "bg_di/wire/remedies.py",
    "bg_di/wire/text.py",
    "bg_di/wire/writer.py",
    "bg_di/backends/sqlite/store.py",
    "bg_di/backends/worker.py",
    "bg_di/backends/delivery.py",
)

# Tests that run their application in other processes, or none: they would take hours, or see no mutant.
LEFT_OUT = (
    "tests/backends/rabbitmq",
    "tests/backends/sqlite/test_processes.py",
    "tests/backends/sqlite/test_session_killed.py",
    "tests/backends/sqlite/test_session_migrations.py",
    "tests/chaos",
    "tests/commands",
    "tests/mutation",
    "tests/servers",
    "tests/test_benchmarks.py",
    "tests/test_docs.py",
    "tests/test_example_signup_durable.py",
    "tests/typing",
)


def module_of(target: str) -> str:
    return target.removesuffix(".py").replace("/", ".")
