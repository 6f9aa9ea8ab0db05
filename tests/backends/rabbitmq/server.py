"""A real RabbitMQ, started by the tests: ports, data, log, cookie and session are its own, and go with it."""

import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Final, Self

HOST: Final = "127.0.0.1"
USER: Final = "guest"
PASSWORD: Final = "guest"

# The wrappers that Debian puts into the path are for its own service and user.
_PLACES: Final = (Path("/usr/lib/rabbitmq/bin"),)
_PATIENCE: Final = 60.0
_CONFIGURATION: Final = "listeners.tcp.default = {host}:{port}\nloopback_users = none\n"
_JOINING: Final = """
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.classic_config.nodes.1 = {first}
cluster_formation.classic_config.nodes.2 = {own}
"""
# Erlang is not to be met from elsewhere, and what a dead-letter queue did not take is soon offered to it again.
_ERLANG: Final = "-kernel inet_dist_use_interface {127,0,0,1} -rabbit dead_letter_worker_publisher_confirm_timeout 1000"


class Broker:
    """A node, which runs as long as the block.

    Args:
        joins: the node that it is to make a cluster with, which runs already and for longer; None for one of its own.
        within: what its commands begin with, if it is to run elsewhere than this process.
        configuration: lines of its configuration, after ours.
        erlang: what it is told besides.
        place: where its folder is to be; None: where temporary files are.

    Attributes:
        name: as the others of its cluster call it.
        address, port: where it listens, also after a restart.
        folder: everything that it writes.
    """

    def __init__(
        self,
        *,
        joins: "Broker | None" = None,
        address: str = HOST,
        within: Sequence[str] = (),
        configuration: str = "",
        erlang: str = "",
        place: Path | None = None,
    ) -> None:
        self.address = address
        self._within = within
        self.folder = Path(mkdtemp(prefix="rabbitmq-", dir=place))
        # Erlang's names have to be found by their host's.
        self.name = f"node{secrets.token_hex(4)}@localhost"
        self._joins = joins
        with ExitStack() as held:
            self.port, distribution, names_port = (_held_port(held) for _ in range(3))
        self._names_port: int = joins._names_port if joins else names_port
        if joins:
            configuration += _JOINING.format(first=joins.name, own=self.name)
        (self.folder / "plugins").write_text("[].")
        (self.folder / "rabbitmq.conf").write_text(_CONFIGURATION.format(host=address, port=self.port) + configuration)
        self._environment = os.environ | {
            # The cookie is there, which those of a cluster share.
            "HOME": str(joins.folder if joins else self.folder),
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": str(self._names_port),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_IP_ADDRESS": address,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{_ERLANG} {erlang}",
        }

    @property
    def url(self) -> str:
        return url(self.port, host=self.address)

    @property
    def for_a_shell(self) -> dict[str, str]:
        """Where it is, and what finds it when somebody types ``rabbitmqctl``."""
        path = os.pathsep.join([*map(str, _PLACES), os.environ["PATH"]])
        return self._environment | {"RABBITMQ_URL": self.url, "PATH": path}

    def __enter__(self) -> Self:
        try:
            if self._joins is None:
                self._keep_names()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        if self._joins is None:
            self._names.kill()
            self._names.wait(_PATIENCE)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _keep_names(self) -> None:
        """Erlang would start a process for it that stays for ever, if it found none."""
        command = [*self._within, shutil.which("epmd") or "epmd", "-port", str(self._names_port), "-address", HOST]
        self._names = subprocess.Popen(command, env=self._environment, stdout=subprocess.DEVNULL)
        while subprocess.run([*command, "-names"], capture_output=True).returncode:
            assert self._names.poll() is None, "the names of Erlang's nodes cannot be kept"
            time.sleep(0.02)

    def start(self) -> None:
        """Start it, and wait until it can be used."""
        with (self.folder / "output").open("a") as output:
            self._process = subprocess.Popen(
                [*self._within, _tool("rabbitmq-server")],
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _PATIENCE
        while not self._listens():
            assert self._process.poll() is None, f"it has ended:\n{self.output}"
            assert time.monotonic() < deadline, f"it does not listen:\n{self.output}"
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once. Its script is a shell, which leaves the node behind if only that is told."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order."""
        self._signal(signal.SIGTERM)

    def control(self, *arguments: str) -> str:
        """Say something to its command line; return what that prints."""
        told = subprocess.run(
            [*self._within, _tool("rabbitmqctl"), "--quiet", "--node", self.name, *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
        )
        assert told.returncode == 0, told.stdout
        return told.stdout

    @contextmanager
    def host(self) -> Generator[str]:
        """A virtual host, which is empty at first; by its URL."""
        name = secrets.token_hex(4)
        self.control("add_vhost", name)
        self.control("set_permissions", "--vhost", name, USER, ".*", ".*", ".*")
        yield self.url + name
        self.control("delete_vhost", name)

    @property
    def is_running(self) -> bool:
        """Whether it has neither been killed nor stopped."""
        return self._process.poll() is None

    @property
    def output(self) -> str:
        """What it has printed."""
        return (self.folder / "output").read_text()

    @property
    def log(self) -> str:
        """What it has logged."""
        return "".join(path.read_text(errors="replace") for path in (self.folder / "log").glob("*.log"))

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        self._process.wait(_PATIENCE)
        self._wait_for_the_group()

    def _wait_for_the_group(self) -> None:
        """What is left of it may still have its port for a moment."""
        deadline = time.monotonic() + _PATIENCE
        with suppress(ProcessLookupError):
            while time.monotonic() < deadline:
                os.killpg(self._process.pid, 0)
                time.sleep(0.02)

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection((self.address, self.port), timeout=1):
            return True
        return False


def url(port: int, user: str = USER, password: str = PASSWORD, *, host: str = HOST) -> str:
    return f"amqp://{user}:{password}@{host}:{port}/"


def _tool(name: str) -> str:
    found = next((str(place / name) for place in _PLACES if (place / name).exists()), shutil.which(name))
    assert found is not None, f"{name} is not installed: run `make rabbitmq`"
    return found


def _held_port(held: ExitStack) -> int:
    """A port that nobody has, nor gets while these are `held`, and that the system gives to no outgoing connection."""
    while True:
        port = random.randrange(20_000, 32_000)
        with suppress(OSError):
            held.enter_context(socket.create_server((HOST, port)))
            return port


def free_port() -> int:
    """A port that nobody has."""
    with ExitStack() as held:
        return _held_port(held)
