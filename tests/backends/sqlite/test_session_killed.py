"""A process that is killed around the commit of a task's session: the file has all of it or nothing."""

import asyncio
import urllib.request
from http.client import RemoteDisconnected
from pathlib import Path

import pytest

from tests.backends.sqlite.files import until
from tests.backends.sqlite.sql_shop import KINDS, Shop
from tests.servers.process import Server

APP = "tests.backends.sqlite.sql_shop:app"


def visit(server: Server, how: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/{how}") as response:
        return str(response.read().decode())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_killed_around_the_commit_there_is_all_of_it_or_nothing(
    tmp_path: Path, kind: str, anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the row written and not committed, neither order nor task is there; right after the commit, both are."""
    monkeypatch.setenv("SHOP_FOLDER", str(tmp_path))
    monkeypatch.setenv("SHOP_KIND", kind)
    for how in ("before", "after"):
        with Server("uvicorn-h11", APP, "--factory") as server:
            with pytest.raises((RemoteDisconnected, ConnectionResetError)):
                await asyncio.to_thread(visit, server, how)
            assert server.process.wait(10) < 0
    assert (tmp_path / "seen").read_text() == "1"
    shop = Shop(tmp_path, "sync", embedded=False)
    assert shop.orders == ["after"]
    assert len(shop.accepted) == 1
    with Server("uvicorn-h11", APP, "--factory") as server:
        await until(lambda: shop.mailed == ["after"])
        task_id = (await asyncio.to_thread(visit, server, "alive")).strip('"')
        await until(lambda: shop.mailed == ["after", "alive"])
    assert shop.accepted[1:] == [task_id]
    assert shop.orders == ["after", "alive"]
