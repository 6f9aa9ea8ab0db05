"""Where and when something was measured."""

import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def measured_on(*also: tuple[str, str], packages: Iterable[str] = ()) -> dict[str, str]:
    """The day, the machine and the versions, as every report and record names them.

    Args:
        also: what else was there, and its version.
    """
    return {
        "Measured": datetime.now(UTC).date().isoformat(),
        "CPU": f"{cpu_model()}, {os.cpu_count()} cores",
        "System": f"{platform.system()} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}, {platform.python_compiler()}",
        **dict(also),
        **{package: installed_version(package) for package in packages},
    }


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def installed_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
