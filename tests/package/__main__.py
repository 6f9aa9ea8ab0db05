"""``python -m tests.package``: build what is released into ``dist``, look at it, and use it where nothing else is."""

import shutil
import tempfile
from pathlib import Path

from tests.package.build import build, check, complete
from tests.package.use import EXTRAS, use
from tests.pages import ROOT

DIST = ROOT / "dist"


def main() -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        archive, wheel = build(DIST, folder)
        check(archive, wheel)
        complete(archive, folder)
        for extra in (None, *EXTRAS):
            use(wheel, extra, folder)
    print(f"{archive.name} and {wheel.name} are whole")


if __name__ == "__main__":
    main()
