"""The server class of pymprpc."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import pydoc
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from polyport.application import Application, Options, Pool
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

if TYPE_CHECKING:
    from typing_extensions import Self

#: The functions that tell of the others, and of the server.
INTROSPECTION = (
    "system.listMethods",
    "system.methodSignature",
    "system.methodHelp",
    "system.lenConnections",
    "system.lenUndoneTasks",
)

_COMPRESERS = (None, "zlib", "bz2", "lzma")

#: Coroutines and streams that one worker runs at once; pymprpc has no limit.
_CONCURRENCY = 10_000

#: How deep attributes of attributes of an instance are looked for.
_DEPTH = 5


class SimpleMprpcServer:
    """Serves functions, coroutines, async generators and the methods of an object.

    The arguments are pymprpc's. ``debug`` sets the debug mode of the event loop; whether messages
    are JSON or MessagePack, and compressed, each client chooses. The size of ``func_executor`` is
    how many processes run plain functions, or how many threads, when it is a pool of threads; these
    are of the process that runs the coroutines. ``ssl`` is the names of two files, the certificate
    and its key. ``backlog`` is not needed: the server's own is 1,024.
    """

    version = "0.0.1"

    def __init__(
        self,
        addr: tuple[str, int],
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        func_executor: Executor | None = None,
        auth: Iterable[tuple[str, str]] = (("admin", "admin"),),
        timeout: float | None = 180.0,
        debug: bool = False,
        compreser: str | None = None,
        ssl: tuple[str, str] | None = None,
        backlog: int = 100,
        graceful_shutdown_timeout: int = 10,
    ) -> None:
        check_overrides(self, "apply")
        if compreser not in _COMPRESERS:
            raise RuntimeError("compreser unsupport")
        if ssl is not None and (not isinstance(ssl, tuple) or len(ssl) != 2):
            raise TypeError(
                "ssl is the names of two files, (certificate, key): "
                "another program cannot have a context of this one"
            )
        self.addr = addr
        self.loop = loop or _usual_loop()
        self.auth = list(auth)
        if len({name for name, _ in self.auth}) < len(self.auth):
            raise ValueError("a user of auth has two passwords")
        self.timeout = timeout
        self.debug = debug
        self.compreser = compreser
        self.ssl = ssl
        self.backlog = backlog
        self.graceful_shutdown_timeout = graceful_shutdown_timeout
        self.funcs: dict[str, Callable[..., Any]] = {}
        self.instance: Any = None
        self.allow_dotted_names = False
        self._introspects = False
        self._executor = func_executor
        self._number = program.next_number()
        self._server: Server | None = None
        if debug:
            self.loop.set_debug(True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.clean()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.clean()

    @property
    def running(self) -> bool:
        """Whether it serves."""
        return self._server is not None and self._server.is_running

    def register_introspection_functions(self) -> None:
        """Lets clients ask which functions there are; without it nobody can."""
        self._introspects = True

    def register_function(self, func: Any = None, name: str | None = None) -> Any:
        """Serves a function, a coroutine function or an async generator function.

        It is a decorator, with or without parentheses; a name may be given as its first argument.
        """
        if func is None or isinstance(func, str):
            return lambda function: self.register_function(function, name or func)
        self.funcs[name or func.__name__] = func
        return func

    def register_instance(self, instance: Any, allow_dotted_names: bool = False) -> bool:
        """Serves the public methods of one object, and of its attributes if dots are allowed."""
        if self.instance is not None:
            raise RuntimeError("can only register one instance")
        self.instance = instance
        self.allow_dotted_names = allow_dotted_names
        return True

    def set_executor(self, executor: Executor) -> bool:
        """Says how many plain functions run at once, and whether on threads or in processes."""
        self._executor = executor
        return True

    def run_forever(self) -> None:
        """Serves until the process gets SIGINT or SIGTERM."""
        if worker.current is not None:
            if worker.current.number == self._number:
                worker.current.serve(self._application())
            return
        host, port = self.addr
        if is_exposed(host) and self.ssl is None:
            warn_of_exposure(f"msgpack on {address(host, port)}")
        self._server = Server(self._settings())
        self.addr = self._server.addresses["msgpack"]
        self._server.wait()

    def clean(self) -> bool:
        """Stops serving; whether it did serve."""
        if not self.running or self._server is None:
            return False
        self._server.stop()
        return True

    def system_listMethods(self) -> list[str]:
        """The names of all functions, sorted."""
        own = INTROSPECTION if self._introspects else ()
        return sorted({*self._functions(), *own})

    def system_methodSignature(self, method_name: str) -> str:
        """A function's signature, empty when there is none."""
        function = self._functions().get(method_name)
        return "" if function is None else str(inspect.signature(function))

    def system_methodHelp(self, method_name: str) -> str:
        """A function's documentation, empty when there is none."""
        function = self._functions().get(method_name)
        return "" if function is None else pydoc.getdoc(function)

    def _functions(self) -> dict[str, Callable[..., Any]]:
        """All functions by name. Those registered alone come before methods of the same name."""
        methods: dict[str, Callable[..., Any]] = {}
        if self.instance is not None:
            depth = _DEPTH if self.allow_dotted_names else 1
            methods = dict(_methods(self.instance, depth, frozenset()))
        return {**methods, **self.funcs}

    def _application(self) -> Application:
        functions = self._functions()
        application = Application()
        application.loop = self.loop
        size = getattr(self._executor, "_max_workers", None)
        on_threads = isinstance(self._executor, ThreadPoolExecutor)
        main = Pool("main", "async", _CONCURRENCY, 1, state=True, threads=size or 1)
        for name, function in zip(unique_names(functions), functions.values(), strict=True):
            is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
            pool = main if is_async or on_threads else None
            application.add_function(function, Options(name, workers=None if pool else size), pool)
        return application

    def _settings(self) -> dict[str, Any]:
        functions = self._functions()
        exports = dict(zip(functions, unique_names(functions), strict=True))
        if self._introspects:
            exports |= {name: name for name in INTROSPECTION if name not in exports}
        host, port = self.addr
        listen: dict[str, Any] = {"protocol": "msgpack", "address": address(host, port)}
        if self.ssl is not None:
            listen["tls"] = {"certificate": self.ssl[0], "key": self.ssl[1]}
        users: dict[str, Any] = {
            name: {"password": password, "exports": exports} for name, password in self.auth
        }
        if not users:
            users["anyone"] = {"exports": exports}
            listen["anonymous"] = "anyone"
        # A subclass has its own documentation, or none.
        told = "" if type(self) is SimpleMprpcServer else self.__doc__ or ""
        return {
            "insecure": is_exposed(host),
            "grace_s": round(self.graceful_shutdown_timeout),
            "listen": [listen],
            "users": users,
            "protocols": {"msgpack": {"description": told, "idle_s": self.timeout or 0}},
            "workers": workers(self._number) if functions else {},
        }


#: The same class, as the module of pymprpc that has it calls it.
BaseServer = SimpleMprpcServer


def _methods(
    thing: Any, depth: int, above: frozenset[int]
) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The public methods of an object, and to a depth those of its attributes."""
    listed = thing._listMethods() if hasattr(thing, "_listMethods") else ()
    above |= {id(thing)}
    for name in dict.fromkeys([*dir(thing), *listed]):
        member = None
        with contextlib.suppress(Exception):  # A property may fail.
            member = getattr(thing, name)
        if name.startswith("_") or isinstance(member, type):
            continue
        if callable(member):
            yield name, member
        elif depth > 1 and id(member) not in above and hasattr(member, "__dict__"):
            inner = _methods(member, depth - 1, above)
            yield from ((f"{name}.{each}", method) for each, method in inner)


def _usual_loop() -> asyncio.AbstractEventLoop:
    """The loop of this thread, made when there is none yet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return asyncio.get_event_loop()
        except RuntimeError:
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            return loop
