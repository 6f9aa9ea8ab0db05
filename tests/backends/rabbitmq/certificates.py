"""Certificates for a broker and its clients, made for a test."""

import subprocess
from pathlib import Path
from typing import Final

from tests.backends.rabbitmq.server import HOST

_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


class Authority:
    """Signs certificates, all of which are in one folder.

    Attributes:
        file: its own certificate.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.file, self._key = folder / "ca.pem", folder / "ca.key"
        # Since 3.13, Python's default context is strict.
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        _openssl("req", "-x509", *_KEY, *usage, "-subj", "/CN=authority", "-keyout", self._key, "-out", self.file)

    def sign(self, name: str) -> tuple[Path, Path]:
        """A certificate for the host of the tests, and its key."""
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        where = ("-addext", "basicConstraints=critical,CA:FALSE", "-addext", f"subjectAltName=IP:{HOST}")
        signed = ("-CA", self.file, "-CAkey", self._key, "-subj", f"/CN={name}", *where)
        _openssl("req", "-x509", *_KEY, *signed, "-keyout", key, "-out", certificate)
        return certificate, key


def _openssl(*arguments: str | Path) -> None:
    told = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 0, told.stderr
