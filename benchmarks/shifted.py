"""``python -m benchmarks.shifted TYPES ...``: `benchmarks.repeat` after so many types have been made, which do nothing.

CPython keeps what was looked up on types in a table of a fixed size, by numbers that types get one after another. Which
of them are in each other's way there is chance, and moves with whatever is imported before.
"""

import runpy
import sys


def _numbered() -> type:
    made = type("Numbered", (), {"anything": None})
    assert made.anything is None  # type: ignore[attr-defined]  # it gets its number when something is looked up
    return made


if __name__ == "__main__":
    made = [_numbered() for _ in range(int(sys.argv.pop(1)))]
    runpy.run_module("benchmarks.repeat", run_name="__main__", alter_sys=True)
