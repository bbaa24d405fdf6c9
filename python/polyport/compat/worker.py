"""A worker of a server program: it runs the program, which hands its functions over."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import threading
from types import TracebackType
from typing import Any, NoReturn

from polyport.application import Application
from polyport.compat import program
from polyport.engine import Channel, leave
from polyport.frames import VERSION
from polyport.logs import Handler
from polyport.worker import refuse, serve, take_socket

_USAGE = """\
This is what a program of polyport.compat starts its workers with; it is not for use by hand.
"""


class Worker:
    """What this process is when the server has started it."""

    def __init__(self, number: int) -> None:
        #: Which of the program's servers it works for.
        self.number = number
        self._channel = Channel(take_socket())
        self._handler = Handler()
        self._has_served = False
        logging.getLogger().addHandler(self._handler)

    def run(self, kind: str, target: str, arguments: list[str]) -> int:
        """Runs the program; gives the exit status."""
        try:
            program.run(kind, target, arguments)
            if self._has_served:
                return 0
            raise LookupError(f"{target} came to its end without starting to serve")
        except BaseException as error:
            if self._has_served:
                raise
            refuse(self._channel, error.with_traceback(_own_part(error.__traceback__)), target)
        return 1

    def serve(self, application: Application, log: Any = None) -> NoReturn:
        """Serves the functions until the server wants no more, and then ends the process."""
        if self._has_served:
            leave(0)  # The program has kept the exit of the first time from going on.
        self._has_served = True
        if isinstance(log, logging.LoggerAdapter):
            log = log.logger
        if isinstance(log, logging.Logger):
            # The first process gives the log what the server says, and these records with it.
            log.handlers, log.propagate = [self._handler], False
        if is_green():
            # Made anew, the socket and its lock let other greenlets run while one waits for them.
            taken = self._channel.socket.detach()
            self._channel = Channel(socket.socket(fileno=taken))
        if _is_in_loop():
            # The program serves from within a coroutine, so this thread can run no other loop.
            application.loop = None
            thread = threading.Thread(target=self._serve, args=(application,))
            thread.start()
            thread.join()
        else:
            self._serve(application)
        sys.exit(0)

    def _serve(self, application: Application) -> None:
        serve(self._channel, self._handler, application)


#: This process as a worker, or ``None`` in the program that its user has started.
current: Worker | None = None


def is_green() -> bool:
    """Whether gevent has put its greenlets in the place of threads."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and all(
        monkey.is_module_patched(name) for name in ("socket", "threading", "select")
    )


def main(arguments: list[str]) -> None:
    """Serves one server's functions of a program; ends the process."""
    global current
    if os.environ.get("POLYPORT_WORKER") != str(VERSION) or len(arguments) < 3:
        sys.stderr.write(_USAGE)
        sys.exit(2)
    number, kind, target, *rest = arguments
    current = Worker(int(number))
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    status = current.run(kind, target, rest)
    if status:
        leave(status)


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _own_part(trace: TracebackType | None) -> TracebackType | None:
    """A traceback from where the program begins."""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "runpy" not in file and not file.startswith(_OWN_FOLDER):
            break
        trace = trace.tb_next
    return trace


_OWN_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep
