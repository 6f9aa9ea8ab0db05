"""An environment for each framework, with the versions that its requirements pin, and nothing else."""

import subprocess
import sys
import venv
from pathlib import Path

from tests.servers.process import ROOT

FOLDER = ROOT / ".venv-peers"
_REQUIREMENTS = Path(__file__).with_name("requirements")


def requirements(name: str) -> Path:
    return _REQUIREMENTS / f"{name}.txt"


def pinned(name: str) -> dict[str, str]:
    """All packages of an environment, and their versions."""
    lines = requirements(name).read_text().splitlines()
    return dict(line.split("==") for line in lines)


def interpreter(name: str) -> str:
    """That of an environment, which is made unless it is there with the same versions."""
    folder, wanted = FOLDER / name, requirements(name).read_text()
    python, installed = folder / "bin" / "python", folder / "installed.txt"
    if not installed.exists() or installed.read_text() != wanted:
        print(f"installing {name}", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True, clear=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([python, *install, "--requirement", requirements(name)], check=True)
        installed.write_text(wanted)
    return str(python)
