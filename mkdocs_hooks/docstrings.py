"""What docstrings say, where no tool is asked for it."""

import inspect
import re
from typing import Any


def attributes(owner: Any) -> dict[str, str]:
    """What stands under ``Attributes:``, by name."""
    section = re.search(r"^Attributes:\n((?:    .*\n|\n)+)", f"{inspect.getdoc(owner)}\n", re.MULTILINE)
    assert section is not None, f"{owner} has no attributes"
    entries = re.split(r"^    (?=\S)", section[1], flags=re.MULTILINE)[1:]
    named = [entry.partition(": ") for entry in entries]
    return {name: " ".join(about.split()) for names, _, about in named for name in names.split(", ")}


def cell(text: str) -> str:
    """The same, as a cell of a table."""
    return text.replace("|", "\\|").replace("``", "`")
