"""A server of its own for the tests of the client."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polyport
import pytest

from polyport.client import Client

ROOT = Path(__file__).resolve().parents[3]

CONFIG = """
[[listen]]
protocol = "http"
address = "127.0.0.1:0"

[[listen]]
protocol = "http"
address = "127.0.0.1:0"
tls = "self-signed"

[[listen]]
protocol = "http"
address = "unix:{folder}/polyport.sock"

[users.ann]
password = "se:cret/é"
tokens = ["t0ken"]
rights = ["call *"]

[users.bob]
password = "bob"
rights = ["call math.*"]

[users.slow]
password = "slow"
rights = ["call *"]
time_limits = {{ "*" = 1 }}

[limits]
message_bytes = 1000000

[workers]
count = 1
leave_s = 1
"""


def binary() -> Path:
    """The server's program: ``POLYPORT_BIN``, or what cargo has built."""
    if named := os.environ.get("POLYPORT_BIN"):
        return Path(named)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    program = target / "debug" / "polyport"
    if not program.exists():
        pytest.fail(f"{program} is not there: cargo build -p polyport, or set POLYPORT_BIN")
    return program


class Server:
    """A server that runs."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        command = [binary(), "serve", "--data", folder / "data", "--python", sys.executable, *words]
        # What begins so would be settings of the server.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("POLYPORT_")}
        environment["PYTHONPATH"] = str(Path(polyport.__file__).parents[1])
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, env=environment
            )
        self.addresses = self._addresses()

    def _addresses(self) -> list[str]:
        assert self.process.stdout is not None
        ends = time.monotonic() + 60
        addresses, partial = [], b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while selector.select(ends - time.monotonic()):
                data = os.read(self.process.stdout.fileno(), 4096)
                if not data:
                    break
                *lines, partial = (partial + data).split(b"\n")
                for line in lines:
                    words = line.decode().split()
                    if words[:1] == ["listening"]:
                        addresses.append(words[2])
                    if words == ["ready"]:
                        return addresses
        self.stop()
        pytest.fail((self.folder / "log").read_text())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def port(self) -> int:
        return int(self.addresses[0].rpartition(":")[2])

    @property
    def tls_port(self) -> int:
        return int(self.addresses[1].rpartition(":")[2])

    @property
    def socket(self) -> str:
        return str(self.folder / "polyport.sock")

    def url(self, user: str = "ann:se%3Acret%2F%C3%A9") -> str:
        return f"http://{user}@127.0.0.1:{self.port}"


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
