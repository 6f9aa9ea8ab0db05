"""What was run and counted, kept as it came out: files that a page is made from, and nobody writes by hand."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("records")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run.

    Attributes:
        command: which runs it again.
        where: day, machine and versions.
        found: what came out.
    """

    command: str
    where: dict[str, str]
    found: Any


def write(name: str, record: RunRecord, folder: Path = FOLDER) -> Path:
    """Replace what was kept under this name."""
    path = folder / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n")
    return path


def read(name: str, folder: Path = FOLDER) -> RunRecord:
    return RunRecord(**json.loads((folder / f"{name}.json").read_text()))
