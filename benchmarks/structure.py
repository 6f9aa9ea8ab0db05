"""``python -m benchmarks.structure [FOLDER]``: how the source of a package is built, as a table; nothing of it is run.

The length of a function is that of its body: its lines without the docstring, without blank ones and without those that
are only a comment. One inside of another counts by itself, and in the other too.
"""

import argparse
import ast
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

from benchmarks.report import table

# Lines, from which on a file may hold more than one idea.
LONG: Final = 200

_ROOT: Final = Path(__file__).parents[1]
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A file of a package.

    Attributes:
        name: as it is imported.
        path: of the file, from the folder that the package is in.
        lines: all that it has.
        tree: what it says.
    """

    name: str
    path: Path
    lines: Sequence[str]
    tree: ast.Module

    @classmethod
    def read(cls, path: Path, home: Path) -> "Module":
        """A file of a package that is in the folder `home`."""
        text, inside = path.read_text(), path.relative_to(home)
        parts = inside.with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        return cls(name=name, path=inside, lines=text.splitlines(), tree=ast.parse(text))


def modules_in(package: Path) -> list[Module]:
    """All modules of a package, by their paths."""
    return [Module.read(path, package.parent) for path in sorted(package.rglob("*.py"))]


def lengths(module: Module) -> Iterator[int]:
    """How long its functions are."""
    for node in ast.walk(module.tree):
        if isinstance(node, _Function):
            body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
            first, last = (body[0].lineno, body[-1].end_lineno) if body else (1, 0)
            told = (line.strip() for line in module.lines[first - 1 : last])
            yield sum(1 for line in told if line and not line.startswith("#"))


def imports(module: Module, known: Iterable[str], *, within: bool = False) -> set[str]:
    """Which of the `known` modules it imports; only those that a function imports, if that is asked for."""
    everywhere = [node for node in ast.walk(module.tree) if isinstance(node, _Function)] if within else [module.tree]
    nodes = [node for root in everywhere for node in ast.walk(root)]
    found = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found & set(known)


def upwards(modules: Sequence[Module], layers: Sequence[str]) -> list[tuple[str, str]]:
    """The imports that run up the layers, or across a row whose layers are independent of each other.

    Args:
        modules: of a package.
        layers: as import-linter has them, the uppermost first; in a row they are set apart by colons, or by bars where
            they are independent.
    """
    rows = {name.strip(): row for row, names in enumerate(layers) for name in names.replace("|", ":").split(":")}
    known = [module.name for module in modules]
    found = []
    for module in modules:
        here = _layer(module.name, rows)
        for other in sorted(imports(module, known)):
            there = _layer(other, rows)
            if here is None or there is None or here == there or rows[here] < rows[there]:
                continue
            if rows[here] > rows[there] or "|" in layers[rows[here]]:
                found.append((module.name, other))
    return found


def _layer(name: str, layers: Iterable[str]) -> str | None:
    """The one that a module is in."""
    return next((layer for layer in layers if f"{name}.".startswith(f"{layer}.")), None)


def contracts(configuration: Path) -> list[Sequence[str]]:
    """The layers that import-linter is told in a ``pyproject.toml``; none if there is no such file."""
    if not configuration.exists():
        return []
    told: Mapping[str, Any] = tomllib.loads(configuration.read_text()).get("tool", {}).get("importlinter", {})
    return [
        [re.sub(r"[\w.]+", rf"{container}\g<0>", names) for names in contract["layers"]]
        for contract in told.get("contracts", ())
        if contract["type"] == "layers"
        for container in [f"{each}." for each in contract.get("containers", ())] or [""]
    ]


def public(module: Module) -> Sequence[str]:
    """The names in its ``__all__``."""
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and any(getattr(each, "id", "") == "__all__" for each in node.targets):
            return list(ast.literal_eval(node.value))
    return []


def described(package: Path) -> str:
    """The table."""
    modules = modules_in(package)
    known = [module.name for module in modules]
    functions = [length for module in modules for length in lengths(module)]
    long = [module for module in modules if len(module.lines) > LONG]
    folders: dict[Path, int] = {}
    for module in modules:
        folders[module.path.parent] = folders.get(module.path.parent, 0) + 1
    fullest = max(folders, key=lambda folder: folders[folder])
    climbing = [pair for layers in contracts(package.parent / "pyproject.toml") for pair in upwards(modules, layers)]
    rows = [
        ["Files", f"{len(modules)}"],
        ["Lines", f"{sum(len(module.lines) for module in modules):,}"],
        ["Folders", f"{len(folders)}"],
        ["Files in the fullest folder", f"{folders[fullest]} (`{fullest}`)"],
        ["Files at the top", f"{folders.get(Path(package.name), 0)}"],
        [f"Files of more than {LONG} lines", ", ".join(f"`{each.path}` {len(each.lines)}" for each in long) or "none"],
        ["Functions", f"{len(functions):,}"],
        ["Length of a function, median", f"{median(functions):g}"],
        ["Length of a function, p90", f"{quantiles(functions, n=10)[-1]:g}"],
        ["Imports upwards", f"{len(climbing)}"],
        ["Imports of its own inside functions", f"{sum(len(imports(each, known, within=True)) for each in modules)}"],
        ["Public names", f"{len(public(modules[0]))}"],
    ]
    return table([f"`{package.name}`", "Now"], rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.structure", description=__doc__)
    parser.add_argument("folder", nargs="?", default="bg_di", help="of a package (default: bg_di)")
    print(described((_ROOT / parser.parse_args().folder).resolve()))
