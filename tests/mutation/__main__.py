"""``python -m tests.mutation``: all mutants, within an hour; ``--help`` says what can be changed."""

import argparse
import os
import sys
import tempfile
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--target", action="append", help="a file, from the root of the project; may be repeated")
    parser.add_argument("--line", type=int, action="append", help="only mutants there")
    parser.add_argument("--tests", action="append", help="a file or folder whose tests are asked; may be repeated")
    parser.add_argument("--jobs", type=int, default=3, help="at a time")
    parser.add_argument("--minutes", type=float, default=55.0, help="after which no other mutant is tried")
    parser.add_argument("--longest", type=float, default=20.0, help="seconds of tests that one mutant is worth")
    parser.add_argument("--seed", type=int, default=7, help="of the order in which they are tried")
    parser.add_argument("--folder", type=Path, help="which keeps the record; a second run there tries the survivors")
    parser.add_argument("--report", type=Path, help="is written when it is over")
    parser.add_argument("--note", default="", help="what the report is to say of the run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        # Examples that failed with a mutant are nobody's afterwards.
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(Path(temporary) / "hypothesis")
        from tests.mutation.work import work  # which reads it

        return work(options, folder)


if __name__ == "__main__":
    sys.exit(main())
