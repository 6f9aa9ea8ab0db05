"""What is public says what it does, what it takes, in which units, and what it raises; pages are made of it."""

import ast
import inspect
import logging
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import griffe
import pytest

import bg_di.errors
from bg_di.options import Options
from tests.public_api import public_api

PUBLIC = {
    each.canonical_path: each
    for names in (*public_api().modules.values(), public_api().made_of)
    for each in names.values()
}
CLASSES = [each for each in PUBLIC.values() if isinstance(each, griffe.Class)]
OURS = {name for name, each in vars(bg_di.errors).items() if inspect.isclass(each) and issubclass(each, Exception)}


def _said(each: griffe.Object) -> str:
    return "" if each.docstring is None else each.docstring.value


def _sections(each: griffe.Object, *kinds: str) -> Mapping[str, str]:
    """What sections of a docstring say, by the name that they say it of."""
    parsed = [] if each.docstring is None else each.docstring.parsed
    items: list[Any] = [item for section in parsed if section.kind.value in kinds for item in section.value]
    return {str(getattr(item, "name", item.annotation)): item.description for item in items}


def _of_class(each: griffe.Class) -> Mapping[str, str]:
    """What a class says of its attributes and arguments, with what those say that it derives from."""
    said: dict[str, str] = {}
    for base in (*reversed([base for base in each.mro() if base.canonical_path in PUBLIC]), each):
        said |= _sections(base, "attributes", "parameters")
    return said


def _is_inherited(holder: griffe.Class, name: str) -> bool:
    """Whether a public base of ours, or somebody else's, already says what it does."""
    return any(name in base.members for base in holder.mro() if base.canonical_path in PUBLIC) or name in {
        "__call__",
        "__enter__",
        "__exit__",
        "__get__",
    }


def _functions() -> Iterator[tuple[str, griffe.Function]]:
    """What users call, but what a base says already, and the tests of a contract."""
    for each in PUBLIC.values():
        if isinstance(each, griffe.Function):
            yield each.canonical_path, each
        elif isinstance(each, griffe.Class):
            for name, member in public_api().members(each).items():
                is_told = name == "__init__" or name.startswith("test_") or _is_inherited(each, name)
                if isinstance(member, griffe.Function) and not (is_told and member.docstring is None):
                    yield f"{each.canonical_path}.{name}", member


def test_everything_public_says_what_it_is() -> None:
    """In its docstring, whose first line is a sentence; properties, too, and names of types."""
    members = {
        f"{each.canonical_path}.{name}": member
        for each in CLASSES
        for name, member in public_api().members(each).items()
        if "property" in member.labels and not _is_inherited(each, name)
    }
    everything = {**PUBLIC, **members, **dict(_functions())}
    assert not [path for path, each in everything.items() if not _said(each).split("\n")[0].endswith((".", ":"))]


def test_every_parameter_is_described() -> None:
    """Under Args, or in the sentences before, by its name."""
    missing = {
        path: names
        for path, each in _functions()
        if not each.name.startswith("test_")
        and (names := [one.name for one in each.parameters if one.name not in {"self", "cls"} | _words(each)])
    }
    assert not missing


def _words(each: griffe.Object) -> set[str]:
    return set(re.findall(r"\w+", _said(each)))


def test_every_attribute_and_option_is_described() -> None:
    """Under Attributes or Args of its class."""
    undescribed = {
        each.name: missing
        for each in CLASSES
        if (missing := [name for name in _fields(each) if name not in _of_class(each)])
    }
    assert not undescribed


def _fields(each: griffe.Class) -> Mapping[str, griffe.Attribute | griffe.Parameter]:
    """Attributes that are no properties, and what it is called with."""
    members = public_api().members(each)
    found: dict[str, Any] = {
        name: member
        for name, member in members.items()
        if isinstance(member, griffe.Attribute) and "property" not in member.labels and name != "model_config"
    }
    if "__init__" in members:
        found |= {one.name: one for one in each.parameters if one.name != "self"}
    return found


def test_every_duration_says_its_unit() -> None:
    """Whatever may be a timedelta, and each number of seconds of an option."""
    durations = [(each, name) for each in CLASSES for name, field in _fields(each).items() if _is_duration(each, field)]
    assert len(durations) >= 15
    assert not [(each.name, name) for each, name in durations if "second" not in _of_class(each)[name]]
    for path, function in _functions():
        said = _sections(function, "parameters")
        for one in function.parameters:
            is_told = "second" in said.get(one.name, "") or "as for" in said.get(one.name, "")
            assert is_told or "Seconds" not in str(one.annotation), f"{path}({one.name})"


def _is_duration(each: griffe.Class, field: griffe.Attribute | griffe.Parameter) -> bool:
    return "Seconds" in str(field.annotation) or (each.name == "Options" and "float" in str(field.annotation))


def test_every_option_of_the_module_says_its_default() -> None:
    """Which no signature shows."""
    said = _of_class(next(each for each in CLASSES if each.name == "Options"))
    for name, field in Options.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = f'``"{default}"``' if isinstance(default, str) else f"``{default}``"
        assert f"Default: {shown if default or default is False else 'none'}." in said[name], name


def test_every_error_that_is_raised_is_named() -> None:
    """Under Raises, where a function raises it itself."""
    for path, each in _functions():
        assert _raised(each) <= _sections(each, "raises").keys(), path
    for made in CLASSES:
        for name in ("__init__", "__post_init__"):
            if isinstance(member := made.members.get(name), griffe.Function):
                assert _raised(member) <= _sections(made, "raises").keys(), made.name


def _raised(function: griffe.Function) -> set[str]:
    tree = ast.parse(textwrap.dedent(function.source))
    calls = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    return {call.func.id for call in calls if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)} & OURS


def test_pages_can_be_made_of_it(caplog: pytest.LogCaptureFixture) -> None:
    """What reads the sections has nothing to warn of."""
    with caplog.at_level(logging.WARNING, logger="griffe"):
        for public in PUBLIC.values():
            for each in (public, *public_api().members(public).values()):
                if each.docstring is not None:
                    each.docstring.parse("google")
    assert not caplog.messages
