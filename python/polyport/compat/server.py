"""The program ``polyport`` as a server program starts it, waits for it and stops it."""

from __future__ import annotations

import atexit
import ipaddress
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import Any

from polyport.__main__ import NO_PROGRAM
from polyport.__main__ import program as find_program
from polyport.compat import program

#: Settings, as the configuration file has them: tables within tables.
Settings = Mapping[str, Any]

#: Seconds that a worker has to start: as much as a program may take that loads a lot.
_START_S = 600

_LEVELS = {
    "ERROR": logging.ERROR,
    "WARN": logging.WARNING,
    "INFO": logging.INFO,
    "DEBUG": logging.DEBUG,
    "TRACE": logging.DEBUG,
}


class Server:
    """A running server, which ends at the latest with this process."""

    def __init__(self, settings: Settings, log: logging.Logger | None = None) -> None:
        self.addresses: dict[str, tuple[str, int]] = {}
        self._waiter: int | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="polyport-")
        self._process = self._start(settings, log)
        atexit.register(self.stop)
        try:
            is_ready = self._read_addresses()
        except BaseException:  # Ctrl-C while it starts.
            self.stop()
            raise
        os.remove(self._file)
        if not is_ready:
            self._end()
            # Standard error has the reason already.
            raise SystemExit(self._process.returncode or 1)

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait(self) -> int | None:
        """Waits until the server ends. Gives the number of the signal that made it, if one did.

        Signals for which the program has a handler of its own are the program's affair, which may
        call :meth:`stop`. The others stop the server, and the second one at once.
        """
        came: list[int] = []

        def pass_on(number: int, frame: FrameType | None) -> None:
            self._process.kill() if came else self._process.terminate()
            came.append(number)

        before = _handle(pass_on)
        self._waiter = threading.get_ident()
        try:
            self._process.wait()
        except BaseException:
            self._waiter = None
            self.stop()
            raise
        finally:
            self._waiter = None
            for number, handler in before.items():
                signal.signal(number, handler)
        status = self._process.returncode
        self._end()
        if status and not came:
            why = f"signal {-status}" if status < 0 else f"status {status}"
            raise SystemExit(f"the server has ended with {why}")
        return came[0] if came else None

    def stop(self, timeout: float | None = None) -> None:
        """Lets running calls finish, if they do within a time, and ends the server."""
        if self.is_running:
            self._process.terminate()
        # In a handler of a signal that has interrupted the wait, it is the wait that goes on.
        if self._waiter != threading.get_ident():
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._end()

    def _start(self, settings: Settings, log: logging.Logger | None) -> subprocess.Popen[str]:
        found = find_program()
        if found is None:
            raise FileNotFoundError(NO_PROGRAM)
        # Passwords are in it, so nobody else may read it, and it goes when it has been read.
        self._file = os.path.join(self._folder.name, "polyport.toml")
        with open(
            os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(to_toml({"data": os.path.join(self._folder.name, "data"), **settings}))
        words = [found, "serve", "--config", self._file, "--until-eof"]
        if log is not None:
            words += ["--log-format", "json"]
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if log is None else subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            # Ctrl-C is for this process, which passes it on once.
            start_new_session=True,
        )
        if log is not None:
            threading.Thread(target=_forward, args=(process.stderr, log), daemon=True).start()
        return process

    def _read_addresses(self) -> bool:
        """Reads where the server listens; whether it does."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, *rest = line.split()
            if word == "ready":
                return True
            if word == "listening" and len(rest) == 2:
                host, _, port = rest[1].rpartition(":")
                self.addresses[rest[0]] = (host.strip("[]"), int(port))
        self._process.wait()
        return False

    def _end(self) -> None:
        """Leaves nothing behind."""
        atexit.unregister(self.stop)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._folder.cleanup()


def workers(number: int) -> dict[str, Any]:
    """The settings of workers that run this program as far as one of its servers."""
    return {"command": program.command(number), "start_s": _START_S}


def check_overrides(server: object, *names: str) -> None:
    """Raises ``TypeError`` where a subclass expects to be called for what happens elsewhere."""
    for name in names:
        if hasattr(server, name):
            raise TypeError(
                f"{type(server).__name__}.{name} would never be called: "
                "connections are another program's"
            )


def address(host: str, port: int) -> str:
    """An address as the configuration has it; no host is every one of this machine."""
    return f"[{host}]:{port}" if ":" in host else f"{host or '0.0.0.0'}:{port}"


def is_exposed(host: str) -> bool:
    """Whether other machines reach what listens there."""
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", None, type=socket.SOCK_STREAM)
    except OSError:
        return True
    return not all(ipaddress.ip_address(place[4][0]).is_loopback for place in found)


def warn_of_exposure(where: str) -> None:
    """Says that passwords and results cross the network as they are."""
    sys.stderr.write(
        f"warning: {where} is open to other machines without TLS, as it was before; "
        "listen on 127.0.0.1 or behind a tunnel if they are not to be trusted\n"
    )


def unique_names(names: Iterable[str]) -> list[str]:
    """What functions are registered as that clients know by these names.

    Clients may know a function by any text, and two functions by the same.
    """
    taken: set[str] = set()
    return [_unique(_plain(name), taken) for name in names]


def to_toml(settings: Settings) -> str:
    """Settings as a configuration file."""
    return "".join(f"{key} = {_toml(value)}\n" for key, value in settings.items())


def _unique(name: str, taken: set[str]) -> str:
    count, unique = 2, name
    while unique in taken:
        count, unique = count + 1, f"{name}_{count}"
    taken.add(unique)
    return unique


def _plain(name: str) -> str:
    parts = ("".join(c if c.isalnum() else "_" for c in part) for part in name.split("."))
    return ".".join(part if part and not part[0].isdigit() else f"_{part}" for part in parts)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Mapping):
        pairs = (f"{_toml(str(key))} = {_toml(each)}" for key, each in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, str):
        # JSON's texts are TOML's, but for one letter.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"[{', '.join(map(_toml, value))}]"


def _handle(handler: Any) -> dict[int, Any]:
    """Sets a handler where the program has none; gives what was there before."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    usual = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    free = [number for number, own in usual.items() if signal.getsignal(number) is own]
    return {number: signal.signal(number, handler) for number in free}


def _forward(lines: Iterable[str], log: logging.Logger) -> None:
    """Gives the lines of the server's log to the program's."""
    for line in lines:
        try:
            record = json.loads(line)
            level, text = _LEVELS[record.pop("level")], record.pop("message", "")
        except (ValueError, KeyError, AttributeError):
            sys.stderr.write(line)
            continue
        record.pop("timestamp", None)
        target = record.pop("target", "")
        rest = "".join(f" {key}={value}" for key, value in record.items())
        log.log(level, "%s: %s%s", target, text, rest)
