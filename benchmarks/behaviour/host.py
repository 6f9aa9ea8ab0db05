"""A framework's application on uvicorn, and the stage that hears what its tasks do."""

import json
import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import httpx

from benchmarks.behaviour.peers import Peer
from tests.servers.process import ROOT, Server
from tests.servers.stage import HOST, PATIENCE, Stage

# How long a task that may never run is waited for, in seconds. After that the server is stopped where it can be, and
# what it still runs is heard, too.
WAIT = 2.0


class Watch(Stage):
    """A stage that may wait in vain."""

    def hears(self, *names: str, within: float = WAIT) -> bool:
        """Whether all of these have been heard, in any order, by then."""
        with self._changed:
            return self._changed.wait_for(lambda: all(self.heard.count(n) >= names.count(n) for n in names), within)


class Serving(Server):
    """A server with an HTTP client."""

    @cached_property
    def client(self) -> httpx.Client:
        # Threads share it: what one of them closes, another may just be looking at.
        limits = httpx.Limits(max_keepalive_connections=None)
        return httpx.Client(base_url=f"http://{HOST}:{self.port}", timeout=PATIENCE, limits=limits)

    def get(self, path: str, stage: Stage, **more: str) -> httpx.Response:
        return self.client.get(path, params={"stage": stage.name, **more})

    def get_alone(self, path: str, stage: Stage, **more: str) -> httpx.Response:
        """Likewise, on a connection of its own, as hundreds at once lose some of a shared client's, left open."""
        with httpx.Client(base_url=self.client.base_url, timeout=PATIENCE) as client:
            return client.get(path, params={"stage": stage.name, **more})

    def stop(self) -> None:
        """End it in good order, so that it runs what it has to run and says what it has to say."""
        self.client.close()
        self.terminate()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)

    def messages(self) -> list[str]:
        """What was logged, without the tracebacks and where this folder is, each on one line."""
        return [" ".join(record.message.replace(f"{ROOT}/", "").split()) for record in self.records("")]


class Host:
    """Who is asked.

    Args:
        python: the interpreter that the framework is installed for.
    """

    def __init__(self, peer: Peer, python: str) -> None:
        self.peer = peer
        self._python = python

    @contextmanager
    def serves(
        self, *held: str, app: str | None = None, seconds: int | None = None, folder: str = ""
    ) -> Generator[tuple[Serving, Watch]]:
        """Its application in a process of its own, and a stage with cues that it is held at.

        Args:
            app: the name of another application.
            seconds: how long it waits for what runs when it is told to end.
            folder: where it may write.
        """
        target = f"benchmarks.behaviour.applications.{app or self.peer.name}:app"
        environment = {"FOLDER": folder, "PYTHONPATH": str(ROOT)}
        with (
            Serving(
                "uvicorn-httptools", target, seconds=seconds, environment=environment, python=self._python
            ) as server,
            Watch(*held) as stage,
        ):
            yield server, stage
            server.client.close()

    def fakes(self) -> Any:
        """Whom its override has reached."""
        code = f"from benchmarks.behaviour.applications.{self.peer.name} import fakes; print(fakes())"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        run = subprocess.run(
            [self._python, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
        )
        return json.loads(run.stdout.splitlines()[-1])
