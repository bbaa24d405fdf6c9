"""Server programs of other frameworks, run as their users run them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import polyport

if TYPE_CHECKING:
    from typing_extensions import Self

ROOT = Path(__file__).resolve().parents[3]

#: Seconds after which something that does not happen fails a test.
PATIENCE_S = 60

_ADDRESS = re.compile(r"^  (mysql|msgpack|http)\s+(\S+):(\d+)$", re.MULTILINE)


class Program:
    """A server program as a process, its output in a file."""

    def __init__(
        self, folder: Path, source: str, *words: str, listen: str = "mysql=127.0.0.1:0"
    ) -> None:
        self.folder = folder
        (folder / "runmain.py").write_text(textwrap.dedent(source))
        self._log = folder / "output"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *(words or ["runmain.py"])],
                cwd=folder,
                stdout=log,
                stderr=log,
                env=_environment(listen, folder),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        family = self.family()
        self.process.kill()
        self.process.wait()
        # What is left after a while would be in the way of the next tests.
        if not wait_until(lambda: not alive(family)):
            for pid in alive(family):
                os.kill(pid, signal.SIGKILL)

    @property
    def output(self) -> str:
        return self._log.read_text()

    def port(self, protocol: str) -> int:
        """The port of a protocol, once the server listens there."""
        wait_until(lambda: bool(self._ports()) or self.process.poll() is not None)
        ports = self._ports()
        assert protocol in ports, self.output
        return ports[protocol]

    def end(self, number: int | None = None) -> int:
        """Sends a signal, if one is given, and gives the exit status."""
        if number is not None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def family(self) -> set[int]:
        """The process and all that it started, directly or not."""
        children: dict[int, list[int]] = {}
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            parent = _parent(pid)
            if parent is not None:
                children.setdefault(parent, []).append(pid)
        family, left = set(), [self.process.pid]
        while left:
            pid = left.pop()
            family.add(pid)
            left += children.get(pid, [])
        return family

    def _ports(self) -> dict[str, int]:
        return {name: int(port) for name, _, port in _ADDRESS.findall(self.output)}


def alive(pids: set[int]) -> set[int]:
    """Those processes that still run."""
    return {pid for pid in pids if _parent(pid) is not None}


def wait_until(condition: Callable[[], bool]) -> bool:
    """Waits for a condition; whether it came true in time."""
    ends = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.02)
    return True


def _parent(pid: int) -> int | None:
    """The parent of a process that runs."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return None
    return None if state == "Z" else int(parent)


def _environment(listen: str, folder: Path) -> dict[str, str]:
    # What begins so would be settings of the server.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("POLYPORT_")}
    environment["PATH"] = os.pathsep.join([str(_binary().parent), environment.get("PATH", "")])
    environment["TMPDIR"] = str(folder)  # Where the first process is killed it leaves a folder.
    environment["PYTHONPATH"] = str(Path(polyport.__file__).parents[1])
    # Programs have ports of their own; a setting takes the place of these.
    environment["POLYPORT_LISTEN"] = listen
    return environment


def _binary() -> Path:
    """The server's program: ``POLYPORT_BIN``, or what cargo has built."""
    if named := os.environ.get("POLYPORT_BIN"):
        return Path(named)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    program = target / "debug" / "polyport"
    if not program.exists():
        pytest.fail(f"{program} is not there: cargo build -p polyport, or set POLYPORT_BIN")
    return program
