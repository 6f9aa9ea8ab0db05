"""The README and the pages, and what stands in them."""

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("**/*.md"))]

_FENCED = re.compile(r"^(?P<indent> *)```(?P<info>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_PORT = re.compile(r"\b800\d\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What stands between two fences.

    Attributes:
        page: where.
        line: of the first fence.
        language: as the fence says; empty if it does not.
        title: likewise.
        text: what stands there.
    """

    page: Path
    line: int
    language: str
    title: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def all_blocks(page: Path, ports: Mapping[str, str] | None = None) -> list[Block]:
    """All that stands between fences, one after another.

    Args:
        page: where.
        ports: what stands for each port of the page, such as 8000.
    """
    text = with_ports(page.read_text(), ports or {})
    return [
        Block(
            page=page,
            line=text.count("\n", 0, found.start()) + 1,
            language=found["info"].partition(" ")[0],
            title=_title(found["info"]),
            text=textwrap.dedent(found["text"]),
        )
        for found in _FENCED.finditer(text)
    ]


def blocks(page: Path) -> list[str]:
    """The Python that is to be typed, one block after another."""
    return [block.text for block in all_blocks(page) if block.language == "python" and not block.title]


def file(page: Path, title: str) -> str:
    """What the reader of a page writes to a file of that name, first."""
    return next(block.text for block in all_blocks(page) if block.title == title)


def module(page: Path, *, until: str) -> ModuleType:
    """The blocks of a page up to the one that has this text, as a module."""
    found = blocks(page)
    last = next(number for number, block in enumerate(found, 1) if until in block)
    made = ModuleType(page.stem)
    exec(compile("\n".join(found[:last]), str(page), "exec"), vars(made))
    return made


def ports(page: Path) -> set[str]:
    """What the page calls its servers' ports: 8000, 8001 and so on."""
    return set(_PORT.findall(page.read_text()))


def with_ports(text: str, given: Mapping[str, str]) -> str:
    """With free ports in their places."""
    return _PORT.sub(lambda found: given.get(found[0], found[0]), text)


def _title(info: str) -> str:
    found = re.search(r'title="([^"]*)"', info)
    return found[1] if found else ""
