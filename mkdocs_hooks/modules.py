"""What each module is for, in its own words, from the top layer down."""

import ast
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from mkdocs_hooks.docstrings import cell

ROOT: Final = Path(__file__).parent.parent


def layers() -> list[list[str]]:
    """The rows of the contract that imports are held to, the top one first, without the name of the package."""
    rows: list[str] = next(each["layers"] for each in _contracts() if each["type"] == "layers")
    return [[name.strip().removeprefix("bg_di.") for name in re.split("[:|]", row)] for row in rows]


def meets_ellar(module: str) -> bool:
    """Whether a module may import Ellar."""
    others = next(each["source_modules"] for each in _contracts() if "ellar" in each.get("forbidden_modules", ()))
    return f"bg_di.{module}" not in others


def modules() -> str:
    """A table of them."""
    rows = [
        f"| {number} | `{each}` | {_about(each)} |"
        for number, row in enumerate(layers(), 1)
        for name in row
        for each in (name, *_inside(name))
    ]
    return "\n".join(["| layer | module | what it is for |", "|---|---|---|", *rows])


def _contracts() -> list[dict[str, Any]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts: list[dict[str, Any]] = project["tool"]["importlinter"]["contracts"]
    return contracts


def _inside(module: str) -> list[str]:
    """The modules of a package, and its packages as a whole."""
    parts = sorted((ROOT / "bg_di" / module).glob("[!_]*"))
    return [f"{module}.{part.stem}" for part in parts if part.suffix == ".py" or (part / "__init__.py").exists()]


def _about(module: str) -> str:
    place = ROOT / "bg_di" / module.replace(".", "/")
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    said = ast.get_docstring(ast.parse(file.read_text())) or ""
    return cell(said.partition("\n\n")[0].replace("\n", " "))
