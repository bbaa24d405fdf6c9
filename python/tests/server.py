"""The server's side of the worker protocol, for tests: it starts a worker and talks to it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polyport
from polyport import frames, values
from polyport.frames import (
    CALL,
    CANCEL,
    CREDIT,
    DONE,
    DRAIN,
    FAIL,
    HELLO,
    ITEM,
    LEAVE,
    LOG,
    PING,
    PONG,
    STREAM,
    WELCOME,
)

if TYPE_CHECKING:
    from typing_extensions import Self

#: Of the package that is tested, which may be an installed one.
PACKAGE_FOLDER = str(Path(polyport.__file__).resolve().parent.parent)

#: Seconds after which a worker that says nothing fails the test.
PATIENCE_S = 20


class Failed(Exception):
    """A call was answered by FAIL; its fault is the argument."""

    @property
    def fault(self) -> dict[str, Any]:
        fault: dict[str, Any] = self.args[0]
        return fault


class Worker:
    """A worker process and the socket to it."""

    def __init__(self, folder: Path, source: str, app: str = "app.py", start: bool = True) -> None:
        self.folder = folder
        path = folder / app
        if source:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(source))
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE_S)
        environment = {**os.environ, "POLYPORT_WORKER": "1", "PYTHONPATH": PACKAGE_FOLDER}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "polyport.worker", str(path) if app.endswith(".py") else app],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        theirs.close()
        self.socket = ours
        self.arrived: list[list[Any]] = []
        self.logs: list[list[Any]] = []
        self._reader = frames.Reader()
        self._id = 0
        self.hello: dict[str, Any] = self.receive()[1] if start else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()
        self.process.kill()
        self.process.communicate()

    def welcome(self, pool: str = "plain", **settings: Any) -> Worker:
        usual = {"pool": pool, "index": 0, "message_bytes": 1 << 24, "log": "info"}
        self.send([WELCOME, usual | settings])
        return self

    def send(self, *arrays: list[Any]) -> None:
        self.socket.sendall(b"".join(frames.frame(values.pack(array)) for array in arrays))

    def receive(self) -> list[Any]:
        """The next frame; records of the log are put aside."""
        while True:
            while not self.arrived:
                data = self.socket.recv(1 << 16)
                if not data:
                    raise EOFError(self.output()[1])
                self.arrived = self._reader.feed(data)
            frame = self.arrived.pop(0)
            if frame[0] != LOG:
                return frame
            self.logs.append(frame)

    def is_silent(self) -> bool:
        """Whether the worker says nothing more until it has answered a PING."""
        self.send([PING, 4711])
        return self.receive() == [PONG, 4711]

    def begin(self, name: str, *args: Any, **context: Any) -> int:
        """Sends a CALL, and gives its number."""
        self._id += 1
        self.send(self.call_frame(self._id, name, *args, **context))
        return self._id

    def call_frame(self, id: int, name: str, *args: Any, **context: Any) -> list[Any]:
        usual = {"session": 7, "user": "ann", "protocol": "mysql", "peer": "127.0.0.1:5000"}
        told = usual | {"limit_ms": None, "chain": 1000 + id, "depth": 0} | context
        return [CALL, id, name, list(args), None, list(told.values())]

    def call(self, name: str, *args: Any, **context: Any) -> Any:
        """Makes a call and waits for the one frame that answers it."""
        return self.end(self.begin(name, *args, **context))

    def end(self, id: int) -> Any:
        frame = self.receive()
        assert frame[1] == id, frame
        if frame[0] == FAIL:
            raise Failed(frame[2])
        assert frame[0] == DONE, frame
        return frame[2]

    def items(self, id: int) -> list[Any]:
        """Reads a whole stream, and gives credit as it comes."""
        assert self.receive()[:2] == [STREAM, id]
        items = []
        while (frame := self.receive())[0] == ITEM:
            items.append(frame[2])
            self.send([CREDIT, id, 1])
        if frame[0] == FAIL:
            raise Failed(frame[2], items)
        assert frame == [DONE, id, None]
        return items

    def cancel(self, id: int) -> None:
        self.send([CANCEL, id])

    def leave(self, session: int) -> None:
        self.send([LEAVE, session])

    def drain(self) -> int:
        """Sends DRAIN; gives the exit status."""
        self.send([DRAIN])
        return self.status()

    def status(self) -> int:
        return self.process.wait(PATIENCE_S)

    def output(self) -> tuple[str, str]:
        """What an ended worker has written."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return out.decode(), err.decode()


__all__ = ["HELLO", "Failed", "Worker"]
