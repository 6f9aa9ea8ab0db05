"""Hosts for the processes: each a network namespace of its own where the machine allows it, else all one loopback.

The namespaces are in one of the driver's own, with a mount of its own for their names. So nothing outside is touched,
and whatever ends the driver takes them with it.
"""

import ctypes
import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_NAMES: Final = Path("/run/netns")
_CLONE_NEWNS: Final = 0x00020000
_CLONE_NEWNET: Final = 0x40000000
# What has to be allowed.
_TRIAL: Final = (
    "mount -t tmpfs chaos /run && mkdir /run/netns && ip link set lo up && ip link add bridge type bridge"
    " && ip netns add one && ip link add here type veth peer name there && ip link set there netns one"
    " && ip link set here master bridge && ip netns exec one ip link set lo up"
)


class Network(ABC):
    """Where processes are.

    Attributes:
        here: the address of the driver.
        is_apart: whether each has a namespace of its own.
    """

    here: str
    is_apart: bool

    @abstractmethod
    def add(self, name: str) -> str:
        """A host; return its address."""

    def within(self, name: str) -> Sequence[str]:
        """What a command begins with that is to run there."""
        return ()

    def connect(self, name: str, *, is_connected: bool) -> None:
        """Pull its plug, or put it in again: whatever is on the way is swallowed."""
        raise NotImplementedError


class Loopback(Network):
    here = "127.0.0.1"
    is_apart = False

    def add(self, name: str) -> str:
        return self.here


class Namespaces(Network):
    """One bridge in a namespace that this process enters, and from which it does not come back."""

    here = "10.87.0.1"
    is_apart = True

    def __init__(self) -> None:
        _call("unshare", _CLONE_NEWNET | _CLONE_NEWNS)
        _do("mount --make-rprivate /")
        _NAMES.mkdir(exist_ok=True)
        _do(f"mount -t tmpfs chaos {_NAMES}")
        _do("ip link set lo up", "ip link add bridge type bridge", f"ip address add {self.here}/24 dev bridge")
        _do("ip link set bridge up")
        self._hosts: list[str] = []

    def add(self, name: str) -> str:
        self._hosts.append(name)
        number = len(self._hosts)
        address = f"10.87.0.{number + 1}"
        _do(
            f"ip netns add {name}",
            f"ip link add plug{number} type veth peer name eth0 netns {name}",
            f"ip link set plug{number} master bridge up",
            f"ip -n {name} address add {address}/24 dev eth0",
            f"ip -n {name} link set eth0 up",
            f"ip -n {name} link set lo up",
        )
        return address

    def within(self, name: str) -> Sequence[str]:
        return ("ip", "netns", "exec", name)

    def connect(self, name: str, *, is_connected: bool) -> None:
        # At the other end, so that whoever is there is not told of it.
        _do(f"ip link set plug{self._hosts.index(name) + 1} {'up' if is_connected else 'down'}")


def network() -> Network:
    """The best that this machine allows. Called as long as there is one thread."""
    try:
        tried = subprocess.run(["unshare", "--net", "--mount", "sh", "-c", _TRIAL], capture_output=True, check=False)
    except FileNotFoundError:
        return Loopback()
    return Namespaces() if tried.returncode == 0 else Loopback()


def enter(name: str) -> None:
    """Have the network of a host from now on. Called as long as there is one thread."""
    namespace = os.open(_NAMES / name, os.O_RDONLY)
    _call("setns", namespace, _CLONE_NEWNET)
    os.close(namespace)


def _call(name: str, *arguments: int) -> None:
    system = ctypes.CDLL(None, use_errno=True)
    if getattr(system, name)(*arguments):
        raise OSError(ctypes.get_errno(), name)


def _do(*commands: str) -> None:
    for command in commands:
        subprocess.run(command.split(), check=True)
