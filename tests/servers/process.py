"""Real servers, each started from its own command line as a process of its own."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType
from typing import Self

from tests.servers.connection import Connection
from tests.servers.stage import HOST, PATIENCE

ROOT = Path(__file__).parents[2]
_RECORD = '{"logger": '


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A server, and how it is told what to do.

    Attributes:
        command: the module and its options.
        limit: the option that limits how long it waits for what runs when it is told to end.
        ended: its exit status after SIGTERM.
        listens: whether it serves at all.
    """

    command: str
    limit: str
    ended: int
    listens: bool = True

    def arguments(self, python: str, port: int, app: str, seconds: int | None, options: tuple[str, ...]) -> list[str]:
        limit = [f"{self.limit}={seconds}"] if seconds else []
        return [python, "-m", *self.command.format(host=HOST, port=port).split(), *limit, *options, app]


def _uvicorn(http: str) -> Kind:
    # Having ended in good order, uvicorn raises the signal again, for whoever started it.
    return Kind(
        command=f"uvicorn --http={http} --host={{host}} --port={{port}}",
        limit="--timeout-graceful-shutdown",
        ended=-signal.SIGTERM,
    )


def _hypercorn(worker: str) -> Kind:
    return Kind(
        command=f"hypercorn --worker-class={worker} --bind={{host}}:{{port}}", limit="--graceful-timeout", ended=0
    )


KINDS = {
    "uvicorn-h11": _uvicorn("h11"),
    "uvicorn-httptools": _uvicorn("httptools"),
    "hypercorn": _hypercorn("asyncio"),
    "hypercorn-trio": _hypercorn("trio"),
    "granian": Kind(
        command="granian --interface=asgi --host={host} --port={port}", limit="--workers-kill-timeout", ended=0
    ),
}
# Those on which engines work.
ON_ASYNCIO = ["uvicorn-h11", "uvicorn-httptools", "hypercorn", "granian"]
WORKER = Kind(command="bg_di worker", limit="", ended=0, listens=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the application has logged."""

    logger: str
    level: str
    message: str
    traceback: str


class Server:
    """A server that runs as long as the block.

    Args:
        kind: one of `KINDS`, or ``"worker"``.
        app: as on the command line.
        *options: more of them.
        seconds: how long it waits for what runs when it is told to end; None for its default.
        environment: what its process finds there, beside what this one has.
        python: the interpreter, which decides what is installed.

    Attributes:
        port: where it listens.
        process: its process.
    """

    def __init__(
        self,
        kind: str,
        app: str = "tests.servers.application:app",
        *options: str,
        seconds: int | None = None,
        environment: Mapping[str, str] | None = None,
        python: str = sys.executable,
    ) -> None:
        self.port = _free_port()
        self._kind = WORKER if kind == "worker" else KINDS[kind]
        self._environment = {**os.environ, **(environment or {})}
        self._arguments = self._kind.arguments(python, self.port, app, seconds, options)
        self._lines: list[str] = []
        self._printed = Condition()

    def __enter__(self) -> Self:
        self._start()
        try:
            if self._kind.listens:
                self._wait_until_it_listens()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        finally:
            self._kill()

    def fails(self) -> str:
        """Start it where it cannot work, and wait until it has ended by itself; return what it has printed."""
        self._start()
        try:
            assert self.ends_within(PATIENCE), self.output
        finally:
            self._kill()
        return self.output

    def connect(self) -> Connection:
        """A new connection to it."""
        return Connection(self.port)

    def terminate(self) -> None:
        """Tell it to end, as a process manager does."""
        self.process.terminate()

    def wait(self) -> None:
        """Wait until it has ended, in good order."""
        assert self.process.wait(PATIENCE) == self._kind.ended, self.output
        self._reader.join(PATIENCE)

    def ends_within(self, seconds: float) -> bool:
        """Wait for its end, but only so long; return whether it has come."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return "".join(self._lines)

    def records(self, path: str) -> list[Record]:
        """What the application has logged so far about a request."""
        logged = [Record(**json.loads(line)) for line in list(self._lines) if line.startswith(_RECORD)]
        return [record for record in logged if path in record.message]

    def says(self, text: str) -> bool:
        """Whether anything else that it has printed so far contains that."""
        return any(text in line for line in list(self._lines) if not line.startswith(_RECORD))

    def wait_until_it_says(self, text: str, times: int = 1) -> None:
        """Wait until it has printed that so often."""
        self._wait_for(lambda: self.output.count(text) >= times, repr(text))

    def wait_for_records(self, path: str, count: int = 1) -> list[Record]:
        """Wait until so much has been logged about a request."""
        self._wait_for(lambda: len(self.records(path)) >= count, f"{count} records about {path}")
        return self.records(path)

    def _start(self) -> None:
        self.process = subprocess.Popen(
            self._arguments,
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = Thread(target=self._read)
        self._reader.start()

    def _wait_for(self, condition: Callable[[], bool], what: str) -> None:
        with self._printed:
            assert self._printed.wait_for(condition, PATIENCE), f"waited for {what} in:\n{self.output}"

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                with self._printed:
                    self._lines.append(line.decode())
                    self._printed.notify_all()

    def _wait_until_it_listens(self) -> None:
        for _ in range(1000):
            try:
                socket.create_connection((HOST, self.port)).close()
            except ConnectionRefusedError:
                assert not self.ends_within(PATIENCE / 1000), f"it has ended:\n{self.output}"
            else:
                return
        raise AssertionError(f"it does not listen:\n{self.output}")

    def _kill(self) -> None:
        """Leave nothing behind, its workers included: they are in the group that its process leads."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)


def _free_port() -> int:
    """A port that nobody has, and that the system gives to no outgoing connection."""
    while True:
        port = random.randrange(20_000, 32_000)
        try:
            socket.create_server((HOST, port)).close()
        except OSError:
            continue
        return port
