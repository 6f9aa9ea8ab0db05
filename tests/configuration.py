"""Configuration that stands on a page, and the commands in it."""

import configparser
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stderr
from io import StringIO
from typing import Any

import yaml  # type: ignore[import-untyped]

from bg_di.commands.parser import parser

_OURS = re.compile(
    r"(?:-m bg_di|\bbg_di|\bellar\b[^;&|]*? background-tasks) +((?:worker|list|show|retry|prune|check)\b[^;&|]*)"
)


def _ini(text: str) -> dict[str, dict[str, str]]:
    # Units of systemd may say a thing twice.
    read = configparser.RawConfigParser(strict=False, allow_no_value=True)
    read.read_string(text)
    return {name: dict(section) for name, section in read.items()}


PARSERS = {"toml": tomllib.loads, "ini": _ini, "yaml": yaml.safe_load, "json": json.loads}


def check(language: str, text: str) -> None:
    """It can be parsed, and so can the commands of ours in it.

    Raises:
        Exception: what the parser of that language raises.
        AssertionError: what our command line says.
    """
    for said in _strings(PARSERS[language](text)):
        for line in said.splitlines():
            _check_commands(line)


def _strings(value: Any) -> Iterator[str]:
    """All that is said, what is said word by word included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        if all(isinstance(each, str) for each in value):
            yield shlex.join(value)
        for each in value:
            yield from _strings(each)


def _check_commands(line: str) -> None:
    for found in _OURS.finditer(line):
        ellar = "background-tasks" in found[0]
        said = StringIO()
        try:
            with redirect_stderr(said):
                parser("bg_di", with_target=not ellar).parse_args(shlex.split(found[1]))
        except SystemExit:
            raise AssertionError(f"{found[0]!r}: {said.getvalue()}") from None
