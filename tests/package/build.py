"""What is released: an archive of the sources, and a wheel, which are what they have to be."""

import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from zipfile import ZipFile

from tests.pages import ROOT

PYTHON: Final = Path(sys.executable)
# Relative, as pip takes what has a space in it for several files. Older ones know only the first.
_PIP: Final = {
    "PIP_CONSTRAINT": "constraints.txt",
    "PIP_BUILD_CONSTRAINT": "constraints.txt",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_QUIET": "1",
}


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    """Run a command that has to succeed, or show what it said; what it installs has the versions of the project."""
    print("$", *(each if isinstance(each, str) else each.name for each in command), flush=True)
    ended = subprocess.run(command, cwd=cwd, env=clean(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if ended.returncode:
        sys.exit(ended.stdout.decode())


def clean() -> Mapping[str, str]:
    """The environment without what lets Python find the checkout."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COVERAGE"))}
    return {**kept, **_PIP}


def build(dist: Path, folder: Path) -> tuple[Path, Path]:
    """Build the archive, and from it the wheel, which is the same as one from the checkout."""
    run(PYTHON, "-m", "build", "--outdir", dist)
    run(PYTHON, "-m", "build", "--wheel", "--outdir", folder)
    (archive,), (wheel,), (direct,) = dist.glob("*.tar.gz"), dist.glob("*.whl"), folder.glob("*.whl")
    assert _files(wheel) == _files(direct), "the wheel from the archive is not that from the checkout"
    return archive, wheel


def _files(wheel: Path) -> Mapping[str, bytes]:
    with ZipFile(wheel) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def check(archive: Path, wheel: Path) -> None:
    """Look at what they say of themselves, and at what is in the wheel."""
    run(PYTHON, "-m", "twine", "check", "--strict", archive, wheel)
    run(PYTHON, "-m", "check_wheel_contents", wheel)


def complete(archive: Path, folder: Path) -> None:
    """See that the archive has all that its tests need to be found, and that they are all there."""
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    unpacked = folder / archive.name.removesuffix(".tar.gz")
    there = _tests(unpacked)
    assert there == _tests(ROOT), f"the archive has other tests: {there ^ _tests(ROOT)}"
    run(PYTHON, "-m", "pytest", "-qqq", "--collect-only", cwd=unpacked)
    run(PYTHON, "-m", "pytest", "-qq", "tests/test_public_api.py", cwd=unpacked)


def _tests(root: Path) -> set[Path]:
    return {path.relative_to(root) for path in (root / "tests").glob("**/*.py")}
