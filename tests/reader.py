"""A reader, who types what stands on a page, in a folder of their own.

* ``python``: typed one block after another, as one module. What is printed is a ``text`` block behind it; any other
  ``text`` block is a drawing.
* ``python title="shop/app.py"``, or any other language with a title: a file, which later blocks and commands find.
* ``console``: what begins with ``$`` is run by bash and has to succeed; what follows is all that it prints.
* ``console title="Terminal 1"``: its last command is a server, which runs until its terminal is used again, or the page
  ends. ``8000`` (to ``8009``) stands for a free port. Without a command it is what the terminal shows next, which is
  waited for; ``^C`` stops the server.
* ``toml``, ``ini``, ``yaml``, ``json``: parsed, and so are the commands of ours in it.

In what is shown, ``...`` is anything. A block of any other kind fails.
"""

import importlib
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Self

from tests import configuration
from tests.backends.rabbitmq.server import free_port
from tests.output import assert_shown
from tests.pages import ROOT, Block, all_blocks, ports
from tests.terminal import Terminal

_DRAWN = re.compile("[─│┌┐└┘├┤┬┴┼▼▲►◄→]| > ")
_SERVERS = re.compile(r"\b(uvicorn|hypercorn|granian|runserver)\b")
# As where somebody looks on.
_TERMINAL = {"COLUMNS": "100", "PYTHONUNBUFFERED": "1"}
# What a terminal shows if a server is stopped by hand.
CTRL_C = "^C\n"
_INSTALLING = re.compile(r"(python3? -m )?pip install .*|make\b.*|python3? -m venv .*|(source|\.) \S*/activate")


class Reader:
    """Reads one page.

    Args:
        page: which one.
        folder: theirs, and empty.
        environment: what is set in their terminals.
        free: the port to use for each that the page names.

    Attributes:
        home: where what they type is run, and what they write is.
        environment: all that is set in their terminals.
    """

    def __init__(self, page: Path, folder: Path, environment: Mapping[str, str], free: Mapping[str, str]) -> None:
        self._blocks = all_blocks(page, free)
        self.home = folder / "home"
        self._states = folder / "states"
        self._ports = free
        self.environment = _on_a_path(environment, free)
        self._typed = ModuleType(page.stem)
        self._typed.__file__ = str(self.home / f"{page.stem}.py")
        self._printed = ""
        self._terminals: dict[str, Terminal] = {}

    def __enter__(self) -> Self:
        self.home.mkdir()
        self._states.mkdir()
        sys.modules[self._typed.__name__] = self._typed
        sys.path.insert(0, str(self.home))
        # What is compiled of a file would be taken for that of another version, written within the same second.
        self._wrote_no_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            for terminal in self._terminals.values():
                terminal.kill() if error else terminal.stop()
        finally:
            for terminal in self._terminals.values():
                terminal.kill()
            sys.path.remove(str(self.home))
            sys.dont_write_bytecode = self._wrote_no_bytecode
            self._forget_modules()
            del sys.modules[self._typed.__name__]

    def read(self) -> None:
        """Type all of it."""
        for block in self._blocks:
            self._read(block)

    def _read(self, block: Block) -> None:
        printed, self._printed = self._printed, ""
        if block.language == "console":
            self._console(block)
        elif block.title:
            self._write(block)
        elif block.language == "python":
            self._run(block)
        elif block.language == "text":
            self._compare(block, printed)
        else:
            assert block.language in configuration.PARSERS, f"{block} is {block.language!r}, which nobody can check"
        if block.language in configuration.PARSERS:
            configuration.check(block.language, block.text)

    def _run(self, block: Block) -> None:
        """With the page's own lines, for whoever reads a traceback."""
        code = compile("\n" * block.line + block.text, str(block.page), "exec", dont_inherit=True)
        with redirect_stdout(StringIO()) as printed:
            exec(code, vars(self._typed))
        self._printed = printed.getvalue()

    def _compare(self, block: Block, printed: str) -> None:
        if printed or not _DRAWN.search(block.text):
            assert_shown(block, block.text, printed)

    def _write(self, block: Block) -> None:
        file = self.home / block.title
        assert file.resolve().is_relative_to(self.home.resolve()), f"{block} is a file elsewhere"
        if block.language == "python":
            compile(block.text, str(block.page), "exec", dont_inherit=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text)
        self._forget_modules()

    def _forget_modules(self) -> None:
        """What was imported from their folder would be in the way of what stands there now."""
        for name, module in [*sys.modules.items()]:
            if module is not self._typed and self._has(module):
                del sys.modules[name]
        importlib.invalidate_caches()

    def _has(self, module: ModuleType) -> bool:
        """Whether a module is theirs; a folder without an ``__init__.py`` is one that has no file."""
        file = getattr(module, "__file__", None)
        places = [file] if file else getattr(module, "__path__", ())
        return any(str(place).startswith(f"{self.home}{os.sep}") for place in places)

    def _console(self, block: Block) -> None:
        terminal = self._terminals.get(block.title) or self._open(block.title)
        if block.title.startswith("Terminal") and not block.text.startswith("$ "):
            terminal.stop() if block.text == CTRL_C else terminal.show(block, block.text)
            return
        *first, (last, shown) = commands(block)
        for command, output in first:
            self._type(terminal, block, command, output)
        if block.title.startswith("Terminal"):
            terminal.start(block, last, shown, self._port_of(last))
        else:
            self._type(terminal, block, last, shown)

    def _open(self, title: str) -> Terminal:
        state = self._states / f"{len(self._terminals)}"
        return self._terminals.setdefault(title, Terminal(self.home, self.environment, state))

    def _type(self, terminal: Terminal, block: Block, command: str, shown: str) -> None:
        if _INSTALLING.fullmatch(command):
            assert_can_be_installed(block, command)
        else:
            assert_shown(block, shown, terminal.run(command))

    def _port_of(self, command: str) -> str | None:
        named = [port for port in self._ports.values() if port in command]
        if named:
            return named[0]
        return self._ports.get("8000") if _SERVERS.search(command) else None


def commands(block: Block) -> list[tuple[str, str]]:
    r"""What is typed, and what is shown of what it prints. A line that ends in ``\`` goes on in the next one."""
    text = re.sub(r"\\\n", "", block.text)
    assert text.startswith("$ "), f"{block} begins with no command"
    typed = [each.partition("\n") for each in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]]
    return [(command.strip(), shown) for command, _, shown in typed]


def assert_can_be_installed(block: Block, command: str) -> None:
    """What is named there exists. It is not done again: who runs this has done it."""
    words = shlex.split(command)
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {word for word in words[1:] if "=" not in word} <= set(targets), f"{block}: there is no such target"
    elif "install" in words:
        for word in words[words.index("install") + 1 :]:
            if not word.startswith("-"):
                _assert_is_a_package(block, word)


def _assert_is_a_package(block: Block, requirement: str) -> None:
    found = re.match(r"(?:[\w./-]*/)?([\w.-]+)(?:\[([\w,-]+)\])?", requirement)
    assert found is not None, f"{block}: {requirement!r} is no package"
    name = found[1].lower().replace("_", "-")
    if name in {"bg-di", "."}:  # also from a clone
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        extras = set(found[2].split(",")) if found[2] else set()
        assert extras <= set(project["optional-dependencies"]), f"{block}: {requirement!r} has no such extra"
    else:
        pinned = (ROOT / "constraints.txt").read_text().lower().replace("_", "-")
        assert f"\n{name}==" in f"\n{pinned}", f"{block}: {name} is not pinned in constraints.txt"


def free_ports(page: Path) -> dict[str, str]:
    """A free port for each that the page names; for the first one also if it names none."""
    return {name: str(free_port()) for name in sorted(ports(page) | {"8000"})}


def _on_a_path(environment: Mapping[str, str], free: Mapping[str, str]) -> dict[str, str]:
    """The programs that are installed here are found first, as in a virtual environment that is active."""
    path = [str(Path(sys.executable).parent), environment.get("PATH", os.environ["PATH"])]
    found = {**os.environ, **environment, "PATH": os.pathsep.join(path), "PYTHONPATH": str(ROOT)}
    return found | {"PYTHONDONTWRITEBYTECODE": "1", **_TERMINAL, "UVICORN_PORT": free["8000"]}
