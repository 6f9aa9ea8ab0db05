"""Pages that show files of the project as they are."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# What stands in code is found by the page that speaks of it.
_UNSEARCHED: Final = "---\nsearch:\n  exclude: true\n---\n"
_FENCE: Final = "``````"


def shown(file: Path, name: Path) -> str:
    """The Markdown of the page: a file in Markdown is it itself.

    Args:
        file: where it is.
        name: what it goes by.
    """
    text = file.read_text()
    if file.suffix == ".md":
        return text
    parts = _parts_of_python(text) if file.suffix == ".py" else _whole(text, "text")
    return f"{_UNSEARCHED}# `{name}`\n\n" + "\n\n".join(parts) + "\n"


def _whole(text: str, language: str, line: int = 1) -> Iterator[str]:
    if text.strip():
        yield f'{_FENCE}{language} linenums="{line}"\n{text.rstrip()}\n{_FENCE}'


def _parts_of_python(text: str) -> Iterator[str]:
    """Each test under a heading, to which links lead."""
    lines, done = text.splitlines(), 0
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)]) - 1
            yield from _code(lines, done, first)
            yield f"## {node.name.replace('_', chr(92) + '_')} {{#{node.name}}}"
            yield from _code(lines, first, node.end_lineno or first)
            done = node.end_lineno or first
    yield from _code(lines, done, len(lines))


def _code(lines: list[str], first: int, end: int) -> Iterator[str]:
    while first < end and not lines[first].strip():
        first += 1
    yield from _whole("\n".join(lines[first:end]), "python", first + 1)
