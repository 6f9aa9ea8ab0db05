"""Commands that stand on a page, typed into a terminal."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from tests.output import assert_shown, is_shown

# Only a test that fails waits so long.
_PATIENCE = 120.0
# A server may have been killed by what stands on the page; its shell says so, too.
_GOES_ON = (None, -signal.SIGKILL, 128 + signal.SIGKILL)
# What is exported stays so, as does the folder that one has gone to.
_ONE = """
test ! -e "$0" || . "$0"
eval "$1"
code=$?
{ export -p; printf 'cd %q\\n' "$PWD"; } > "$0"
exit $code
"""


class Terminal:
    """One terminal, in which one command follows another; the last one may go on.

    Args:
        folder: where it is opened.
        environment: what commands find there.
        state: a file that keeps what is exported.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], state: Path) -> None:
        self._folder = folder
        self._environment = environment
        self._state = state
        self._server: _Server | None = None

    def run(self, command: str) -> str:
        """Run a command to its end, which has to be a good one; return what it prints."""
        self.stop()
        with self._popen(command, subprocess.PIPE) as process:
            try:
                printed, _ = process.communicate(timeout=_PATIENCE)
            finally:
                _leave_nothing(process)
        text: str = printed.decode()
        assert process.returncode == 0, f"`{command}` ends with {process.returncode}:\n{text}"
        return text

    def start(self, where: object, command: str, shown: str, port: str | None) -> None:
        """Start a server, and wait until its port accepts, or until it has printed what is shown.

        Args:
            where: on which page.
            command: what starts it.
            shown: how what it prints begins.
            port: where it listens, if it does.
        """
        self.stop()
        output = self._state.with_suffix(".output")
        with output.open("wb") as file:
            process = self._popen(command, file)
        self._server = _Server(where, process, output, shown)
        self._server.wait_until(lambda: _accepts(int(port)) if port else self._server_shows(shown))

    def show(self, where: object, shown: str) -> None:
        """Wait until the server that runs here has printed this, too, behind what was shown of it before.

        Args:
            where: on which page.
            shown: line by line.
        """
        assert self._server is not None, f"{where} shows what nobody prints"
        self._server.goes_on(where, shown)

    def stop(self) -> None:
        """Press Ctrl-C, if something runs; what was shown of it is what it has printed."""
        if self._server:
            server, self._server = self._server, None
            server.stop()

    def kill(self) -> None:
        """Leave nothing behind."""
        if self._server:
            _leave_nothing(self._server.process)

    def _server_shows(self, shown: str) -> bool:
        return self._server is not None and is_shown(shown, self._server.printed, to_the_end=False)

    def _popen(self, command: str, output: int | IO[bytes]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            ["bash", "-c", _ONE, str(self._state), command],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


class _Server:
    def __init__(self, where: object, process: "subprocess.Popen[bytes]", output: Path, shown: str) -> None:
        self.process = process
        self._where = where
        self._output = output
        self._shown = shown

    @property
    def printed(self) -> str:
        return self._output.read_text()

    def goes_on(self, where: object, shown: str) -> None:
        self._where, self._shown = where, f"{self._shown.strip()}\n...\n{shown}".lstrip()
        self.wait_until(lambda: is_shown(self._shown, self.printed, to_the_end=False))

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not is_so():
            assert self.process.poll() is None, f"{self._where}: it has ended:\n{self.printed}"
            assert time.monotonic() < deadline, f"{self._where}: it does not come to this:\n{self.printed}"
            time.sleep(0.02)

    def stop(self) -> None:
        assert self.process.poll() in _GOES_ON, f"{self._where}: it has ended:\n{self.printed}"
        try:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGINT)
            self.process.wait(_PATIENCE)
        finally:
            _leave_nothing(self.process)
        assert_shown(self._where, self._shown, self.printed, to_the_end=False)


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _leave_nothing(process: "subprocess.Popen[bytes]") -> None:
    """What it has started is in the group that it leads."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(_PATIENCE)
