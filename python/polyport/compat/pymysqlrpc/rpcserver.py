"""The server class of pymysqlrpc."""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import math
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polyport
from polyport.application import Application, Engine, Options, Pool
from polyport.compat import program, worker
from polyport.compat.server import (
    Server,
    address,
    check_overrides,
    is_exposed,
    unique_names,
    warn_of_exposure,
    workers,
)
from polyport.results import Rows

#: A user's password, and the functions by the names that the user calls them; the second of
#: ``root`` is the password of the status page.
Account = Sequence[Any]

#: Seconds of a time limit that is no time at all.
_USUAL_QUERYTIMEOUT = 3

#: Seconds that a greenlet has to end once its time is over.
_GRACE_S = 1


class RPCServer:
    """Serves the functions of a map to MySQL clients.

    The arguments up to ``activetimeout`` are pymysqlrpc's. ``log`` gets the lines of the server's
    log. With an ``interval`` of 0 there are no time limits; any other is not needed, as each limit
    is kept to the moment.

    All functions run in one process and have the program's variables in common, as there: one call
    at a time, or, when the program has let gevent patch everything, as many greenlets as ``spawn``
    says. ``workers`` is how many processes there are, for functions that need no common variables;
    ``threads`` is how many calls each of them runs at once, on threads.
    """

    #: The version of pymysqlrpc that this class behaves like.
    FRAME_VERSION = "0.1.4"

    #: Seconds that running calls have to finish when it stops, unless told otherwise.
    stop_timeout: float = 1

    def __init__(
        self,
        listener: Any,
        aclmap: Mapping[str, Account],
        spawn: Any = 100,
        log: logging.Logger | None = None,
        webport: int = 8308,
        interval: float = 1,
        querytimeout: float = 3,
        conntimeout: float = 3,
        activetimeout: float = 1800,
        *,
        workers: int = 1,
        threads: int | None = None,
    ) -> None:
        check_overrides(self, "handle", "monitor")
        self.listener = listener
        self.aclmap = aclmap
        self.webport = webport
        self.interval = interval
        self.querytimeout = querytimeout if querytimeout > 0 else _USUAL_QUERYTIMEOUT
        self.conntimeout = conntimeout
        self.activetimeout = activetimeout
        self.log = log
        self.address = _parse(listener)
        self._places = _places(spawn)
        self._workers = workers
        self._threads = threads
        self._number = program.next_number()
        self._server: Server | None = None

    @property
    def started(self) -> bool:
        """Whether it serves."""
        return self._server is not None and self._server.is_running

    @property
    def closed(self) -> bool:
        """Whether it does not serve."""
        return not self.started

    @property
    def server_host(self) -> str:
        """The address that it listens on."""
        return self.address[0]

    @property
    def server_port(self) -> int:
        """The port that it listens on, once it has started."""
        return self.address[1]

    def start(self) -> None:
        """Begins to serve, and comes back; :meth:`stop` ends it, and so does the program's end.

        In a worker it does not come back.
        """
        if worker.current is not None:
            if worker.current.number == self._number:
                worker.current.serve(self._application(), self.log)
        elif not self.started:
            host, port = self.address
            if is_exposed(host):
                warn_of_exposure(f"mysql on {address(host, port)}")
            self._server = Server(self._settings(), self.log)
            self.address = self._server.addresses["mysql"]

    def serve_forever(self, stop_timeout: float | None = None) -> None:
        """Serves until it is stopped or the process gets SIGINT or SIGTERM, and obeys these then.

        ``stop_timeout`` is how many seconds running calls have to finish then.
        """
        if stop_timeout is not None:
            self.stop_timeout = stop_timeout
        self.start()
        if self._server is None:
            return
        came = self._server.wait()
        if came == signal.SIGINT:
            raise KeyboardInterrupt
        if came is not None:
            os.kill(os.getpid(), came)

    def stop(self, timeout: float | None = None) -> None:
        """Stops serving. Running calls have ``timeout`` seconds, at most ``stop_timeout``."""
        if self._server is not None:
            self._server.stop(timeout)

    def close(self) -> None:
        """Does what :meth:`stop` does."""
        self.stop()

    def _functions(self) -> list[tuple[str, str, Callable[..., Any], str]]:
        """User, the user's name for a function, the function, and its registered name."""
        known = [
            (user, name, function)
            for user, (_, functions) in self.aclmap.items()
            if user != "root"
            for name, function in functions.items()
        ]
        # A function that several users know by the same name is one.
        shared = {_identity(name, function): name for _, name, function in known}
        names = dict(zip(shared, unique_names(shared.values()), strict=True))
        return [(*each, names[_identity(*each[1:])]) for each in known]

    def _application(self) -> Application:
        application = Application()
        pool = self._pool()
        limit = self.querytimeout if self.interval > 0 and worker.is_green() else None
        for _, _, function, name in self._functions():
            if name not in application.entries:
                application.add_function(_adapted(function, limit), Options(name), pool)
        return application

    def _pool(self) -> Pool:
        """What runs all functions, so that they have the program's variables in common."""
        threads = self._threads or (self._places if worker.is_green() else 1)
        engine: Engine = "threads" if threads > 1 else "plain"
        concurrency = threads
        if any(_is_async(function) for _, _, function, _ in self._functions()):
            engine, concurrency = "async", self._places
        has_state = self._workers == 1
        return Pool("program", engine, concurrency, self._workers, state=has_state, threads=threads)

    def _settings(self) -> dict[str, Any]:
        users: dict[str, dict[str, Any]] = {}
        # Greenlets have their limit where they run; this one is for those that never wait.
        limit = self.querytimeout + (_GRACE_S if worker.is_green() else 0)
        limits = {"mysql": limit} if self.interval > 0 else {}
        for user, (password, _) in self.aclmap.items():
            users[user] = {"password": password, "exports": {}, "time_limits": limits}
        functions = self._functions()
        for user, name, _, registered in functions:
            users[user]["exports"][name] = registered
        host, port = self.address
        listen = [{"protocol": "mysql", "address": address(host, port)}]
        protocols: dict[str, Any] = {"mysql": {"results": "pymysqlrpc"}}
        if "root" in users:
            users["root"]["rights"] = ["admin"]
            if self.webport > 0:
                listen.append({"protocol": "http", "address": address(host, self.webport)})
                protocols["http"] = {"status_user": "root", "status_password": self._viewpass()}
        return {
            "insecure": is_exposed(host),
            "grace_s": math.ceil(self.stop_timeout),
            # Clients may name any database, as they did.
            "databases": ["pymysqlrpc", "*"],
            "limits": self._limits(),
            "listen": listen,
            "users": users,
            "protocols": protocols,
            "workers": workers(self._number) if functions else {},
        }

    def _viewpass(self) -> str:
        viewpass = self.aclmap["root"][1]
        if not isinstance(viewpass, str):
            raise TypeError("the second of root is the password of the status page")
        return viewpass

    def _limits(self) -> dict[str, Any]:
        limits: dict[str, Any] = {"connections": self._places}
        if self.interval > 0:
            limits |= {"login_s": self.conntimeout, "idle_s": self.activetimeout}
        return limits


def _identity(name: str, function: Any) -> tuple[str, int, int]:
    """What is the same for one function, or one method of one object, under one name."""
    own = getattr(function, "__self__", None), getattr(function, "__func__", function)
    return name, id(own[0]), id(own[1])


def _adapted(function: Callable[..., Any], limit: float | None) -> Callable[..., Any]:
    """The function with pymysqlrpc's results as tables, and with a limit for its greenlet."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return function
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wait(*args: Any, **kwargs: Any) -> Any:
            return _table(await function(*args, **kwargs))

        return wait
    limited = function if limit is None else _limited(function, limit)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return _table(limited(*args, **kwargs))

    return call


def _limited(function: Callable[..., Any], limit: float) -> Callable[..., Any]:
    """The function, of which gevent ends the greenlet, and nothing else, after that time."""
    gevent = importlib.import_module("gevent")

    def call(*args: Any, **kwargs: Any) -> Any:
        timeout = gevent.Timeout(limit)
        try:
            with timeout:
                return function(*args, **kwargs)
        except gevent.Timeout as error:
            if error is not timeout:
                raise
            text = f"the call took longer than its limit of {limit:g} s"
            raise polyport.Timeout(text) from None

    return call


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _table(result: Any) -> Any:
    """A result as pymysqlrpc reads it: names and rows, rows alone, or one row."""
    if type(result) is list and result and type(result[0]) in (tuple, list):
        return Rows(map(str, range(len(result[0]))), result)
    if type(result) is not tuple or len(result) != 2:
        return result
    names, rows = result
    return Rows(names, rows) if type(names) is tuple and type(rows) is list else result


def _parse(listener: Any) -> tuple[str, int]:
    """Host and port of what a gevent server listens on, but for sockets that exist."""
    if isinstance(listener, int):
        return "", listener
    if isinstance(listener, str):
        host, _, port = listener.rpartition(":")
        return host.strip("[]"), int(port)
    if isinstance(listener, tuple):
        return listener[0], int(listener[1])
    raise TypeError(f"a listener is (host, port), 'host:port' or a port, not {listener!r}")


def _places(spawn: Any) -> int:
    """How many connections there may be."""
    if isinstance(spawn, int):
        return spawn
    size = getattr(spawn, "size", None)  # Of a pool of gevent's.
    return size if isinstance(size, int) else _UNLIMITED


#: The server's own limit on connections, where pymysqlrpc has none.
_UNLIMITED = 16_384
