"""All mutants of a file: its text with one expression or statement exchanged."""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.operators import changes
from tests.mutation.reach import lines_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change.

    Attributes:
        target: the file, from the root of the project.
        line: where the change begins.
        was, becomes: the lines that are changed, and what they are then.
        nth: of those in the file that read the same, from 0.
        source: the whole text of the file with the change. It has as many lines as before.
        lines: where tests pass that may see it; nothing: anywhere in the file.
    """

    target: str
    line: int
    was: str
    becomes: str
    nth: int
    source: str
    lines: frozenset[int]

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is called where reasons are given: it outlives that its lines move."""
        return self.target, self.was, self.becomes


def mutants_of(root: Path, target: str) -> Iterator[Mutant]:
    """Each once, in the order of the file."""
    source = (root / target).read_text()
    tree = ast.parse(source)
    seen = {source}
    same: Counter[tuple[str, str]] = Counter()
    for node, text in changes(tree, source):
        mutated = _replaced(source, node, text)
        if mutated in seen or not _is_code(mutated):
            continue
        seen.add(mutated)
        first, last = node.lineno, node.end_lineno or node.lineno
        shown = _shown(source, first, last), _shown(mutated, first, last)
        same[shown] += 1
        yield Mutant(
            target=target,
            line=first,
            was=shown[0],
            becomes=shown[1],
            nth=same[shown] - 1,
            source=mutated,
            lines=lines_of(tree, node),
        )


def control_of(root: Path, target: str) -> Mutant:
    """No change at all, which every test has to survive."""
    source = (root / target).read_text()
    return Mutant(target=target, line=0, was="", becomes="", nth=0, source=source, lines=frozenset())


def _replaced(source: str, node: ast.expr | ast.stmt, text: str) -> str:
    lines = source.splitlines(keepends=True)
    assert node.end_lineno is not None, "it comes from a parser"
    assert node.end_col_offset is not None, "it comes from a parser"
    before = lines[node.lineno - 1].encode()[: node.col_offset].decode()
    after = lines[node.end_lineno - 1].encode()[node.end_col_offset :].decode()
    # All that is behind it stays on its line.
    rest = "\n" * (node.end_lineno - node.lineno)
    is_whole = isinstance(node, ast.stmt) or text.isidentifier() or (isinstance(node, ast.Constant) and not rest)
    changed = f"{before}{text}{after}{rest}" if is_whole else f"{before}({text}{rest}){after}"
    return "".join([*lines[: node.lineno - 1], changed, *lines[node.end_lineno :]])


def _is_code(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _shown(source: str, first: int, last: int) -> str:
    return " ".join(line.strip() for line in source.splitlines()[first - 1 : last] if line.strip())
