"""Links from pages to files of the project that are no pages: in the site, they lead to pages that show them."""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Final

# Pages that are made of what stands at the top of the project.
TOP_LEVEL: Final = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md", "security.md": "SECURITY.md"}
_LINK: Final = re.compile(r"(?<!!)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^()\s]+)\)")
_FENCE: Final = re.compile(r"^ *```")


def reachable(root: Path, pages: Iterable[Path]) -> list[Path]:
    """The files outside of ``docs`` that pages lead to, themselves or by others of these; relative to the root."""
    found = {Path(file) for file in TOP_LEVEL.values() if (root / file).exists()}
    todo = [page.relative_to(root) for page in pages] + sorted(found)
    while todo:
        page = todo.pop()
        for target in _targets((root / page).read_text(), page.parent):
            if target not in found and target.parts[0] != "docs" and (root / target).is_file():
                found.add(target)
                todo += [target] if target.suffix == ".md" else []
    return sorted(found)


def page_of(path: Path) -> str:
    """Which page of the site shows a file."""
    return next((page for page, file in TOP_LEVEL.items() if file == str(path)), f"source/{path.as_posix()}.md")


def origin_of(page: str) -> Path | None:
    """Which file a page shows, if it is one of these."""
    if page in TOP_LEVEL:
        return Path(TOP_LEVEL[page])
    return Path(page.removeprefix("source/").removesuffix(".md")) if page.startswith("source/") else None


def with_links_into_the_site(markdown: str, place: Path, page: str, root: Path) -> str:
    """The same text, with links to files outside of ``docs``, or from there, led to their pages.

    Args:
        markdown: the text.
        place: the file that it stands in, relative to the root, which its links start from.
        page: the page that shows it.
        root: of the project.
    """

    def led(link: re.Match[str]) -> str:
        name, _, anchor = link["target"].partition("#")
        target = _resolved(place.parent, name) if name and ":" not in name else None
        if target is None or (target.parts[0] == "docs" and place.parts[0] == "docs"):
            return link[0]
        if (root / target).is_dir():
            return link["text"]  # no page shows a folder
        if not (root / target).exists():
            return link[0]  # mkdocs says that it leads nowhere
        into = str(PurePosixPath(target).relative_to("docs")) if target.parts[0] == "docs" else page_of(target)
        return f"[{link['text']}]({_relative(into, page)}{_anchor(link['text'], target, anchor)})"

    return _outside_of_fences(markdown, lambda line: _LINK.sub(led, line))


def _anchor(text: str, target: Path, anchor: str) -> str:
    if not anchor and target.suffix == ".py" and text.strip("`").startswith("test_"):
        anchor = text.strip("`")
    return f"#{anchor}" if anchor else ""


def _targets(markdown: str, folder: Path) -> Iterable[Path]:
    found: list[Path] = []

    def note(line: str) -> str:
        found.extend(_of(line, folder))
        return line

    _outside_of_fences(markdown, note)
    return found


def _of(line: str, folder: Path) -> list[Path]:
    names = [link["target"].partition("#")[0] for link in _LINK.finditer(line)]
    targets = [_resolved(folder, name) for name in names if name and ":" not in name]
    return [target for target in targets if target is not None]


def _resolved(folder: Path, name: str) -> Path | None:
    path = Path(os.path.normpath(folder / name))
    return None if path.parts[:1] in {(), ("..",)} else path


def _relative(target: str, page: str) -> str:
    return os.path.relpath(target, os.path.dirname(page) or ".")


def _outside_of_fences(markdown: str, change: Callable[[str], str]) -> str:
    inside, lines = False, []
    for line in markdown.splitlines():
        inside ^= _FENCE.match(line) is not None
        lines.append(line if inside else change(line))
    return "\n".join(lines) + "\n"
