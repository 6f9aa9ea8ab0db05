"""What is mutated, and by which tests it is to be found out."""

from pathlib import Path

ROOT = Path(__file__).parents[2]

TARGETS = (
    "bg_di/collecting/collection.py",
    "bg_di/collecting/drain.py",
    "bg_di/collecting/pending.py",
    "bg_di/running/runner.py",
    "bg_di/declaring/policy.py",
    "bg_di/declaring/retry.py",
    "bg_di/wire/annotation.py",
    "bg_di/wire/arguments.py",
    "bg_di/wire/difference.py",
    "bg_di/wire/envelope.py",
    "bg_di/wire/reader.py",
    "bg_di/wire/remedies.py",
    "bg_di/wire/text.py",
    "bg_di/wire/writer.py",
    "bg_di/backends/sqlite/store.py",
    "bg_di/working/worker.py",
    "bg_di/working/arrival.py",
    "bg_di/working/delivery.py",
)

# Tests that run their application in other processes, where no mutant is; that try so much that they would take hours;
# and that are about another part.
LEFT_OUT = (
    "tests/backends/rabbitmq",
    "tests/backends/sqlite/test_processes.py",
    "tests/backends/sqlite/test_session_killed.py",
    "tests/backends/sqlite/test_session_migrations.py",
    "tests/chaos",
    "tests/commands",
    "tests/mutation",
    "tests/pytest_plugin/test_fails.py",
    "tests/pytest_plugin/test_shapes.py",
    "tests/test_site.py",
    "tests/properties/test_leaks.py",
    "tests/properties/test_programs.py",
    "tests/servers",
    "tests/test_benchmarks.py",
    "tests/test_13_coexist_stress.py",
    "tests/test_docs.py",
    "tests/test_example_signup.py",
    "tests/test_example_signup_durable.py",
    "tests/test_observers_otel.py",
    "tests/test_observers_sentry.py",
    "tests/test_public_api.py",
    "tests/typing",
)

# What these tests find out on trio. What others do holds there as well as on asyncio.
ON_TRIO = ("tests/test_05_", "tests/test_06_", "tests/test_15_")


def is_asked(test: str) -> bool:
    """Whether a test is worth its time, by its id: on one event loop, where they do not differ."""
    return "uvloop" not in test and ("trio" not in test.partition("::")[2] or test.startswith(ON_TRIO))


def module_of(target: str) -> str:
    return target.removesuffix(".py").replace("/", ".")
