"""The lines that are logged, read from the functions that log them."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LEVELS: Final = {"exception": "ERROR", "error": "ERROR", "warning": "WARNING", "info": "INFO"}
PACKAGE: Final = Path(__file__).parent.parent / "bg_di"
_LOGS: Final = r"^from bg_di\.log import (?:.*, )?logger(?:,|$)"
_PLACE: Final = re.compile(r"%(?:s|r|\.1f)")
# What these write before what they are given, and what they add as `extra`.
_ABOUT: Final = {
    "_about": ("background task NAME of METHOD PATH ", "task_name method path", 2),
    "_on_engine": ("background task NAME (TASK_ID) of the backend BACKEND ", "task_name method path", 4),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One of them.

    Attributes:
        level: as it is called.
        text: with names in capitals where something is put in.
        extra: the names of its fields.
    """

    level: str
    text: str
    extra: str


def log_lines() -> str:
    """All of them by their levels, those first that matter most."""
    found = lines()
    parts = [
        "\n".join([f"## {level}", "", *(_item(line) for line in found if line.level == level)])
        for level in dict.fromkeys(_LEVELS.values())
    ]
    return "\n\n".join(parts)


def _item(line: Line) -> str:
    fields = ", ".join(f"`{name}`" for name in line.extra.split())
    return f"* {line.text}" + (f" ({fields})" if fields else "")


def lines() -> list[Line]:
    """All of them, in the order of the code."""
    trees = [ast.parse(text) for text in sources()]
    return [
        line
        for tree in trees
        for function in _functions(tree)
        for call in _calls(function)
        for line in _lines_of(call, function)
    ]


def sources() -> list[str]:
    """The modules that log, the one that has most of the lines first."""
    texts = [file.read_text() for file in sorted(PACKAGE.rglob("*.py")) if file != PACKAGE / "log.py"]
    return [(PACKAGE / "log.py").read_text(), *(text for text in texts if re.search(_LOGS, text, re.MULTILINE))]


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name not in _ABOUT:
            yield node


def _calls(function: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            yield node


def _lines_of(call: ast.Call, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Line]:
    called = ast.unparse(call.func)
    if called in _ABOUT:
        begins, extra, at = _ABOUT[called]
        level = ast.unparse(call.args[0]).removeprefix("logging.")
        yield Line(level=level, text=begins + _text(call.args[at:], function), extra=extra)
    elif called.startswith("logger.") and called.removeprefix("logger.") in _LEVELS:
        extra = next((_names(each.value) for each in call.keywords if each.arg == "extra"), "")
        yield Line(level=_LEVELS[called.removeprefix("logger.")], text=_text(call.args, function), extra=extra)


def _text(args: list[ast.expr], function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The line, with the names of what is put into it."""
    text, *values = args
    names = iter([_name(value) for value in values])
    return _PLACE.sub(lambda _: next(names), _said(text, function))


def _said(text: ast.expr, function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    if isinstance(text, ast.Name):  # a variable of the function
        assigned = (node for node in ast.walk(function) if isinstance(node, ast.Assign))
        text = next(node.value for node in assigned if ast.unparse(node.targets[0]) == text.id)
    if isinstance(text, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else _name(part.value)  # type: ignore[attr-defined]
            for part in text.values
        )
    assert isinstance(text, ast.Constant), ast.unparse(text)
    return str(text.value)


def _name(value: ast.expr) -> str:
    """What is put in, by its name; nothing for what is put in only sometimes."""
    if isinstance(value, ast.IfExp):
        return ""
    names = [node for node in ast.walk(value) if isinstance(node, ast.Name | ast.Attribute)]
    own = [node.attr if isinstance(node, ast.Attribute) else node.id for node in names]
    return next((name for name in own if name not in {"join", "map", "getattr", "repr"}), "TEXT").upper()


def _names(extra: ast.expr) -> str:
    if isinstance(extra, ast.Dict):
        return " ".join(str(ast.literal_eval(key)) for key in extra.keys if key is not None)
    return "task_name method path"
