"""The README and the pages, and the Python that stands in them."""

import re
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def blocks(page: Path) -> list[str]:
    """What stands between the fences, one after another."""
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def module(page: Path, *, until: str) -> ModuleType:
    """The blocks of a page up to the one that has this text, as a module."""
    found = blocks(page)
    last = next(number for number, block in enumerate(found, 1) if until in block)
    made = ModuleType(page.stem)
    exec(compile("\n".join(found[:last]), str(page), "exec"), vars(made))
    return made
