"""Commands as they are typed, each a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType
from typing import Self

from tests.servers.stage import PATIENCE

ROOT = Path(__file__).parents[2]
# What others warn of while they are imported is not ours.
PYTHON = (sys.executable, "-W", "ignore")


def run(*arguments: str, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Run Python with arguments until it ends."""
    return subprocess.run(
        [*PYTHON, *arguments], cwd=cwd, env=_with(env), capture_output=True, text=True, check=False, timeout=PATIENCE
    )


class Command:
    """A command that runs as long as the block."""

    def __init__(self, *arguments: str, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> None:
        self._lines: list[str] = []
        self._printed = Condition()
        self._reader = Thread(target=self._read)
        self._command = [*PYTHON, *arguments]
        self._env = _with(env)
        self._cwd = cwd

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._command, cwd=self._cwd, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)

    def tell(self, given: signal.Signals) -> None:
        """Send it a signal, and wait until it has heard it."""
        self.process.send_signal(given)
        self.says(f"it got {given.name}")

    def ends(self) -> int:
        """How it ends by itself."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def says(self, text: str) -> None:
        """Wait until it has printed something."""
        with self._printed:
            assert self._printed.wait_for(lambda: text in self.output, PATIENCE), f"{text!r} is not in:\n{self.output}"

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return "".join(self._lines)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                with self._printed:
                    self._lines.append(line)
                    self._printed.notify_all()


def _with(env: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
