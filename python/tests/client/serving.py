"""A server as a process."""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import polyport
from polyport import values

if TYPE_CHECKING:
    from typing_extensions import Self

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


class Fake:
    """A server that answers what it is told, whatever it is asked.

    Each answer is for one request: bytes to send, with ``None`` behind them to close the connection
    then.
    """

    def __init__(self, *answers: tuple[bytes | None, ...]) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._answers = list(answers)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            self.connections += 1
            with connection:
                while self._answer(connection):
                    pass
                if not self._answers:
                    break
        self._listener.close()

    def _answer(self, connection: socket.socket) -> bool:
        request = b""
        while b"\r\n\r\n" not in request or len(request) < self._length(request):
            data = connection.recv(65536)
            if not data:
                return False
            request += data
        self.requests.append(request)
        for part in self._answers.pop(0):
            if part is None:
                return False
            connection.sendall(part)
        return True

    def _length(self, request: bytes) -> int:
        head, _, _ = request.partition(b"\r\n\r\n")
        body = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        return len(head) + 4 + (int(body[0].partition(b":")[2]) if body else 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if error == (None, None, None):
            self._thread.join(10)
            assert not self._thread.is_alive(), "not everything was asked for"


def answer(
    body: bytes, kind: str = "application/vnd.polyport.msgpack", first: str = "200 OK"
) -> bytes:
    """A whole answer."""
    return (
        f"HTTP/1.1 {first}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
    )


def result(value: object) -> bytes:
    """The answer to a call."""
    return answer(values.pack({"result": value}))


def fault(kind: str, status: str, retry_after: str = "0", ran: str = "no", **more: str) -> bytes:
    """The answer to a call that failed."""
    error = {"kind": kind, "message": "as told", "ran": ran}
    headers = {"retry-after": retry_after, **more}
    lines = "".join(f"\r\n{name}: {value}" for name, value in headers.items())
    return answer(values.pack({"error": error}), first=f"{status} Told{lines}")
