"""A server of its own for the tests of the client."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import CONFIG, Server

from polyport.client import Client


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "polyport.toml").write_text(CONFIG.format(folder=folder))
    app = Path(__file__).parent / "app.py"
    server = Server(folder, str(app), "--config", str(folder / "polyport.toml"))
    yield server
    server.stop()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url()) as client:
        yield client


@pytest.fixture
def told(client: Client, tmp_path: Path) -> Any:
    """Waits until a function has told something."""

    def wait_for(what: str, path: str = str(tmp_path / "told")) -> None:
        ends = time.monotonic() + 10
        while what not in client.call("told", path).split():
            assert time.monotonic() < ends, f"nobody told of {what!r}"
            time.sleep(0.01)

    wait_for.path = str(tmp_path / "told")  # type: ignore[attr-defined]
    return wait_for
