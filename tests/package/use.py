"""The wheel as a user has it: alone in a new environment, or with one extra, outside of the checkout."""

import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.package.build import PYTHON, clean, run
from tests.pages import ROOT, file
from tests.public_api import MODULES

# What needs each extra.
EXTRAS: Final[Mapping[str, str]] = {
    "retry": "import bg_di; bg_di.Retry(on=OSError)",
    "rabbitmq": "from bg_di.backends.rabbitmq import RabbitBackend; RabbitBackend('amqp://localhost')",
    "otel": "from bg_di.observers.otel import OpenTelemetryObserver; OpenTelemetryObserver()",
    "sentry": "from bg_di.observers.sentry import SentryObserver; SentryObserver()",
}
# Those of the project's own work.
_OURS: Final = {"bench", "check", "demo", "docs", "package", "test"}

_FROM_THE_WHEEL: Final = """
import pathlib, sys, bg_di
assert pathlib.Path(bg_di.__file__).is_relative_to(sys.prefix), bg_di.__file__
"""
# As a server calls it: a test client would be one more thing to install.
_SIGN_UP: Final = """
import asyncio

async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}

async def send(message):
    statuses.append(message.get("status"))

statuses = []
scope = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "method": "POST",
    "scheme": "http",
    "path": "/accounts/",
    "raw_path": b"/accounts/",
    "query_string": b"address=ada@example.org",
    "root_path": "",
    "headers": [(b"host", b"localhost")],
    "client": ("127.0.0.1", 1),
    "server": ("127.0.0.1", 80),
}
asyncio.run(app(scope, receive, send))
assert statuses == [201, None], statuses
assert mailbox == ["ada@example.org"], mailbox
"""


def use(wheel: Path, extra: str | None, folder: Path) -> None:
    """Install it into a new environment, and see there that what is promised works, and nothing else.

    Args:
        wheel: that is installed.
        extra: with it; None: without any.
        folder: in which the environment is made.
    """
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].keys()
    assert known - _OURS == EXTRAS.keys(), "somebody has to say what needs each extra"
    home = folder / f"with-{extra or 'nothing'}"
    python = home / "bin" / "python"
    run(PYTHON, "-m", "venv", "--without-pip", home)
    _install(python, f"{wheel}[{extra}]" if extra else str(wheel))
    run(PYTHON, "-m", "pip", "--python", python, "check")
    _does(python, _FROM_THE_WHEEL)
    for each, code in EXTRAS.items():
        if each == extra:
            _does(python, code)
        else:
            _refuses(python, code, each)
    if extra is None:
        _works_alone(python)


def _install(python: Path, what: str) -> None:
    run(PYTHON, "-m", "pip", "--python", python, "install", what)


def _works_alone(python: Path) -> None:
    """All that needs no extra, the application that a reader meets first, and the command line."""
    _does(python, "".join(f"from {module} import *\n" for module in MODULES if not _needs_more(module)))
    _does(python, file(ROOT / "README.md", "shop.py") + _SIGN_UP)
    run(python, "-m", "bg_di", "check", "--help", cwd=python.parent)
    # What pytest finds of ours must not be in the way of tests that have nothing to do with us.
    _install(python, "pytest")
    run(python, "-m", "pytest", "--version", "--version", cwd=python.parent)


def _needs_more(module: str) -> bool:
    return any(f"from {module} import " in code for code in EXTRAS.values())


def _does(python: Path, code: str) -> None:
    told = _told(python, code)
    assert told is None, f"{code}\n\n{told}"


def _refuses(python: Path, code: str, extra: str) -> None:
    told = _told(python, code)
    assert told is not None, f"{code!r} works without the extra {extra!r}"
    assert f"pip install 'bg_di[{extra}]'" in told.splitlines()[-1], told


def _told(python: Path, code: str) -> str | None:
    """What it says when it fails; None if it does not."""
    script = python.parent / "script.py"
    script.write_text(code)
    ended = subprocess.run(
        [python, "-I", script], cwd=script.parent, env=clean(), capture_output=True, text=True, check=False
    )
    return ended.stderr if ended.returncode else None
