"""What is generated from the code, where a page says so, for who reads it in another way than by the site."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from mkdocs_hooks.commands import command_line
from mkdocs_hooks.errors import error_tree
from mkdocs_hooks.log_lines import log_lines
from mkdocs_hooks.modules import modules
from mkdocs_hooks.options import options
from mkdocs_hooks.words import capabilities

PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "capabilities": capabilities,
    "command line": command_line,
    "error tree": error_tree,
    "log lines": log_lines,
    "modules": modules,
    "options": options,
}
_HERE: Final = re.compile(r"^\*Made from the code by `make docs`: (.*?)\.\*$", re.MULTILINE)


def with_parts(markdown: str) -> str:
    """The same text with what is generated in its place."""
    return _HERE.sub(lambda found: PARTS[found[1]](), markdown)
