"""What commands print: to read, or to be read by scripts."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from bg_di.backends import Entry

_TIMES: Final = ("since", "added_at", "due_at", "lease_until", "unique_until")
# The last second that a datetime has.
_LAST: Final = 253402300799


def as_fields(backend: str, entry: Entry) -> dict[str, Any]:
    """A task as it stands, by the names of `Entry`; times in UTC, in words that sort."""
    given = {"backend": backend, **asdict(entry)}
    return given | {key: None if given[key] is None else _time(given[key]) for key in _TIMES}


def print_json(value: Any) -> None:
    """Print something for scripts."""
    print(json.dumps(value, indent=2))


def print_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their heads."""
    lines = [list(heads), *([_cell(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_fields(fields: Mapping[str, object]) -> None:
    """Print what is known of one thing, one line each; not what is None."""
    width = max(map(len, fields)) + 1
    for key, value in fields.items():
        if value is not None:
            print(f"{f'{key}:':<{width}} {_cell(value)}")


def say(line: str) -> None:
    """Tell whoever runs the command something that is no part of its answer."""
    print(f"bg_di: {line}", file=sys.stderr)


def _cell(value: object) -> str:
    # One line, whatever an error or a name is made of.
    text = "-" if value is None else str(value)
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(min(seconds, _LAST), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
