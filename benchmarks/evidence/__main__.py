"""``python -m benchmarks.evidence``: write docs/evidence.md and its figures, from what the runs have written down."""

from pathlib import Path

from benchmarks.evidence.page import ASSETS, gathered, page, pictures

DOCS = Path(__file__).parents[2] / "docs"


def main() -> None:
    evidence = gathered()
    folder = DOCS / ASSETS
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    for name, picture in pictures(evidence).items():
        (folder / name).write_text(picture)
    (DOCS / "evidence.md").write_text(page(evidence))


if __name__ == "__main__":
    main()
