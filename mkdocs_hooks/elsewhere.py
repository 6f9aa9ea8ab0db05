"""What a site would load from another host: nothing is allowed to be."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

_LOADS: Final = {"src", "srcset", "poster", "data", "href", "xlink:href"}
# These name another place, and load nothing from there.
_LEADS: Final = {"a", "area", "base"}
_RELATIONS: Final = {"canonical", "next", "prev", "edit", "license", "author"}
_FOREIGN: Final = re.compile(r"^\s*(https?:)?//", re.IGNORECASE)
_IN_CSS: Final = re.compile(r"""(?:url\(\s*|@import\s+)["']?\s*((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)
# What the theme's own script goes elsewhere for, where a page has it: a library that draws, the stars of a repository.
_ASKS: Final = re.compile(r'class="mermaid"|data-md-component="source"|data-md-component="consent"')


def loaded_from_elsewhere(site: Path) -> list[str]:
    """What would be, each by its page and address."""
    pages = ((file, in_page(file.read_text())) for file in sorted(site.rglob("*.html")))
    sheets = ((file, in_css(file.read_text())) for file in sorted(site.rglob("*.css")))
    return [f"{file.relative_to(site)}: {each}" for found in (pages, sheets) for file, all_ in found for each in all_]


def in_page(html: str) -> Iterator[str]:
    parser = _Loads()
    parser.feed(html)
    yield from parser.found
    yield from (found[0] for found in _ASKS.finditer(html))


def in_css(css: str) -> Iterator[str]:
    yield from _IN_CSS.findall(css)


class _Loads(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._is_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_style = tag == "style"
        given = {key: value or "" for key, value in attrs}
        self.found += in_css(given.get("style", ""))
        if tag in _LEADS or set(given.get("rel", "").split()) & _RELATIONS:
            return
        self.found += [given[key] for key in _LOADS & given.keys() if _FOREIGN.match(given[key])]

    def handle_data(self, data: str) -> None:
        if self._is_style:
            self.found += in_css(data)
