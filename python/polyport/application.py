"""What an application serves: its functions and objects, and the pools that run them."""

from __future__ import annotations

import asyncio
import functools
import inspect
import re
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from polyport import describe
from polyport.faults import Refused
from polyport.results import Column, columns_on_wire

Mode = Literal["shared", "connection", "call"]
Style = Literal["plain", "generator", "coroutine", "async generator"]
Engine = Literal["plain", "threads", "async"]

#: Calls that one worker runs at once where nothing blocks it.
CONCURRENCY = 100

_PLAIN, _ASYNC = "plain", "async"


@dataclass(frozen=True)
class Options:
    """What a decorator says of a function, a method or an object."""

    name: str | None = None
    help: str | None = None
    threads: int | None = None
    concurrency: int | None = None
    workers: int | None = None
    columns: list[Column] | None = None

    def __post_init__(self) -> None:
        if self.name is not None:
            check_name(self.name)
        for key in ("threads", "concurrency", "workers"):
            number = getattr(self, key)
            if number is not None and (not isinstance(number, int) or number < 1):
                raise ValueError(f"{key} is an integer from 1 up, not {number!r}")


@dataclass
class Pool:
    """Workers that run the same functions."""

    name: str
    engine: Engine
    concurrency: int = 1
    workers: int | None = None
    sticky: bool = False
    state: bool = False
    #: Plain methods that run at once, where the engine has threads.
    threads: int = 1

    def on_wire(self) -> dict[str, Any]:
        """The pool as HELLO holds it."""
        settings: dict[str, Any] = {"concurrency": self.concurrency}
        if self.workers is not None:
            settings["workers"] = self.workers
        for key in ("sticky", "state"):
            if getattr(self, key):
                settings[key] = True
        return settings


class Holder:
    """Finds the object that a method works on."""

    def __init__(self, make: Callable[[], Any], mode: Mode) -> None:
        self.mode = mode
        self._make = make
        self._instances: dict[int | None, Any] = {}

    def instance(self, session: int) -> Any:
        """The object for a call of this session, made when there is none yet."""
        if self.mode == "call":
            return self._make()
        key = session if self.mode == "connection" else None
        try:
            return self._instances[key]
        except KeyError:
            # Two threads may meet here; both then get the object of the first.
            return self._instances.setdefault(key, self._make())

    def leave(self, session: int) -> None:
        """Forgets the object of a session that is over."""
        self._instances.pop(session, None)


@dataclass
class Entry:
    """One function as a worker serves it."""

    name: str
    pool: Pool
    style: Style
    params: list[dict[str, Any]]
    returns: str
    help: str
    shape: describe.Shape
    columns: list[Column] | None = None
    access: Literal["read", "write"] | None = None
    #: What is called; for a method, what takes the object first.
    target: Callable[..., Any] = field(default=lambda: None, repr=False)
    holder: Holder | None = None

    def __post_init__(self) -> None:
        self.stream_columns = columns_on_wire(self.columns) if self.columns else None
        # What the plain engine needs to know to call it without any further look.
        self.direct = self.target if self.holder is None and self.shape.is_plain else None
        if self.style != "plain":
            self.direct = None

    @property
    def is_stream(self) -> bool:
        """Whether it gives a stream."""
        return self.style in ("generator", "async generator")

    def start(self, sent: list[Any], session: int) -> Any:
        """Calls the function with the elements of a CALL.

        This gives its result, or the coroutine or generator that will.
        """
        if len(sent) != self.shape.count:
            text = f"'{self.name}' has {self.shape.count} parameters, not {len(sent)}"
            raise Refused("arguments", text)
        positional, named = self.shape.arguments(sent)
        if self.holder is not None:
            return self.target(self.holder.instance(session), *positional, **named)
        return self.target(*positional, **named)

    def on_wire(self) -> dict[str, Any]:
        """The function as HELLO holds it."""
        told: dict[str, Any] = {"name": self.name, "pool": self.pool.name}
        if self.params:
            told["params"] = self.params
        if self.returns != "any":
            told["returns"] = self.returns
        if self.help:
            told["help"] = self.help
        if self.is_stream:
            told["stream"] = True
        if self.access:
            told["property"] = self.access
        return told


class Application:
    """All that one application registered."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.pools: dict[str, Pool] = {}
        self.holders: list[tuple[Pool, Holder]] = []
        #: The loop that coroutines run on, where it is not to be a new one.
        self.loop: asyncio.AbstractEventLoop | None = None

    def add_function(
        self, function: Callable[..., Any], options: Options, pool: Pool | None = None
    ) -> None:
        """Serves a function, in the pool that its options ask for unless another is given."""
        name = options.name or _own_name(function)
        pool = pool or self._function_pool(function, options)
        self._add(_entry(name, function, options, pool))

    def add_object(
        self,
        thing: Any,
        options: Options,
        mode: Mode = "shared",
        flat: bool = False,
    ) -> None:
        """Serves the public methods and properties of a class or of an object that exists."""
        own = thing if isinstance(thing, type) else type(thing)
        if mode not in ("shared", "connection", "call"):
            raise ValueError(f"the mode of an object is shared, connection or call, not {mode!r}")
        if isinstance(thing, type):
            _check_constructor(thing)
            holder = Holder(thing, mode)
        elif mode == "shared":
            holder = Holder(lambda: thing, mode)
        else:
            raise TypeError(f"an object that exists is shared; mode={mode!r} needs its class")
        name = options.name or snake_case(own.__name__)
        prefix = "" if flat else f"{name}."
        members = dict(_members(own))
        if not members:
            raise TypeError(f"{own.__name__} has nothing public to serve")
        pool = None if mode == "call" else self._object_pool(name, mode, options, members)
        if pool is not None:
            self.holders.append((pool, holder))
        for member, attribute in members.items():
            self._add_member(own, prefix, member, attribute, holder, pool, options)

    def add_module(self, module: types.ModuleType) -> None:
        """Serves the public functions that a module defines itself."""
        listed = getattr(module, "__all__", None)
        for name, thing in list(vars(module).items()):
            public = name in listed if listed is not None else not name.startswith("_")
            # A cached function, for one, is an object that wraps its function.
            own = inspect.isfunction(getattr(thing, "__wrapped__", thing))
            own = own and thing.__module__ == module.__name__
            if public and own and not getattr(thing, SKIPPED, False):
                self.add_function(thing, Options(name=name))

    def prepare(self, pool: Pool) -> None:
        """Makes the objects that a worker of this pool shares among its callers."""
        for entry in self.entries.values():
            if entry.pool is not pool or entry.holder is None or entry.holder.mode != "shared":
                continue
            instance = entry.holder.instance(0)
            if entry.style == "plain" and entry.shape.is_plain:
                entry.direct = types.MethodType(entry.target, instance)

    def leave(self, session: int) -> None:
        """Forgets what was kept for a session that is over."""
        for _, holder in self.holders:
            if holder.mode == "connection":
                holder.leave(session)

    def _add(self, entry: Entry) -> None:
        if entry.name in self.entries:
            raise ValueError(f"two functions have the name '{entry.name}'")
        self.entries[entry.name] = entry

    def _add_member(
        self,
        own: type,
        prefix: str,
        member: str,
        attribute: Any,
        holder: Holder,
        pool: Pool | None,
        options: Options,
    ) -> None:
        if isinstance(attribute, (property, functools.cached_property)):
            pool = pool or self._shared_pool(Pool(_PLAIN, "plain"), options.workers)
            self._add(_property_entry(prefix + member, member, attribute, holder, pool))
            return
        method = getattr(own, member)
        said: Options = getattr(method, OPTIONS, None) or Options()
        if pool is not None and (said.threads or said.concurrency or said.workers):
            raise TypeError(f"threads, concurrency and workers of '{member}' are its object's")
        alone = said.threads or said.concurrency or said.workers
        pool = pool or self._function_pool(method, said if alone else _fitting(method, options))
        static = isinstance(attribute, (staticmethod, classmethod))
        entry = _entry(prefix + (said.name or member), method, said, pool, method=not static)
        if not static:
            entry.holder, entry.direct = holder, None
        self._add(entry)

    def _function_pool(self, function: Callable[..., Any], options: Options) -> Pool:
        if _style(function) in ("plain", "generator"):
            if options.concurrency:
                raise TypeError(
                    f"'{_own_name(function)}' is no coroutine function: "
                    "threads=, not concurrency=, lets several calls run at once"
                )
            if options.threads:
                pool = Pool(f"threads:{options.threads}", "threads", options.threads)
            else:
                pool = Pool(_PLAIN, "plain")
            return self._shared_pool(pool, options.workers)
        if options.threads:
            raise TypeError(
                f"'{_own_name(function)}' is a coroutine function: "
                "concurrency=, not threads=, says how many calls run at once"
            )
        concurrency = options.concurrency or CONCURRENCY
        name = _ASYNC if concurrency == CONCURRENCY else f"{_ASYNC}:{concurrency}"
        pool = Pool(name, "async", concurrency, workers=1)
        return self._shared_pool(pool, options.workers)

    def _shared_pool(self, pool: Pool, workers: int | None) -> Pool:
        if workers is not None:
            pool.name, pool.workers = f"{pool.name}*{workers}", workers
        return self.pools.setdefault(pool.name, pool)

    def _object_pool(
        self, name: str, mode: Mode, options: Options, members: dict[str, Any]
    ) -> Pool:
        if mode == "shared" and options.workers not in (None, 1):
            raise TypeError(f"'{name}' is shared by all callers, so it has one worker")
        styles = {_style(member) for member in members.values()}
        if styles & {"coroutine", "async generator"}:
            pool = Pool(name, "async", options.concurrency or CONCURRENCY)
        elif options.concurrency:
            raise TypeError(f"'{name}' has no coroutine methods: use threads=, not concurrency=")
        elif options.threads:
            pool = Pool(name, "threads", options.threads)
        else:
            pool = Pool(name, "plain")
        pool.threads = options.threads or 1
        pool.state = True
        pool.sticky = mode == "connection"
        pool.workers = 1 if mode == "shared" else options.workers
        # Two objects may be of one class, and an object may be called "plain".
        count = 2
        while pool.name in self.pools or pool.name in (_PLAIN, _ASYNC):
            pool.name = f"{name}#{count}"
            count += 1
        self.pools[pool.name] = pool
        return pool


#: What the decorators of the module fill, and a worker serves.
APPLICATION = Application()

#: The attribute of a method that holds its options, and that of what is left out.
OPTIONS = "__polyport_options__"
SKIPPED = "__polyport_skipped__"


def check_name(name: str) -> None:
    """Raises ``ValueError`` for what can be no function's name."""
    parts = name.split(".") if isinstance(name, str) else [""]
    if not all(part and all(c.isalnum() or c == "_" for c in part) for part in parts):
        raise ValueError(f"a name is letters, digits and _ with dots between, not {name!r}")


def snake_case(name: str) -> str:
    """``BankAccount`` as ``bank_account``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _own_name(function: Any) -> str:
    if isinstance(function, functools.partial):
        return _own_name(function.func)
    name = getattr(function, "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        raise TypeError(f"{function!r} has no name of its own: say name=")
    check_name(name)
    return name


def is_function(thing: Any) -> bool:
    """Whether a thing is served by being called, and not by its methods."""
    if inspect.isroutine(thing) or isinstance(thing, functools.partial):
        return True
    return callable(thing) and not isinstance(thing, type) and not dict(_members(type(thing)))


def _style(function: Any) -> Style:
    if isinstance(function, (staticmethod, classmethod)):
        function = function.__func__
    plain = inspect.isroutine(function) or isinstance(function, functools.partial)
    if callable(function) and not plain:
        function = type(function).__call__
    if inspect.iscoroutinefunction(function):
        return "coroutine"
    if inspect.isasyncgenfunction(function):
        return "async generator"
    return "generator" if inspect.isgeneratorfunction(function) else "plain"


def _entry(
    name: str,
    function: Callable[..., Any],
    options: Options,
    pool: Pool,
    method: bool = False,
) -> Entry:
    params, returns, shape = describe.signature(function, method)
    style = _style(function)
    if options.columns is not None and style not in ("generator", "async generator"):
        raise TypeError(f"'{name}' is no generator: columns= are a stream's; return Rows instead")
    told = options.help if options.help is not None else describe.help_of(function)
    return Entry(name, pool, style, params, returns, told, shape, options.columns, None, function)


def _property_entry(name: str, member: str, attribute: Any, holder: Holder, pool: Pool) -> Entry:
    def access(instance: Any, *given: Any) -> Any:
        if not given:
            return getattr(instance, member)
        if len(given) > 1:
            raise Refused("arguments", f"the property '{name}' takes one value")
        return setattr(instance, member, given[0])

    getter: Any = attribute.fget if isinstance(attribute, property) else attribute.func
    writable = isinstance(attribute, property) and attribute.fset is not None
    params: list[dict[str, Any]] = [{"name": "value", "rest": True}] if writable else []
    shape = describe.Shape(count=1, rest=0) if writable else describe.Shape()
    _, returns, _ = describe.signature(getter)
    return Entry(
        name,
        pool,
        "plain",
        params,
        returns,
        describe.help_of(attribute),
        shape,
        access="write" if writable else "read",
        target=access,
        holder=holder,
    )


def _members(own: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties of a class, those of its bases first."""
    found: dict[str, Any] = {}
    for cls in reversed(own.__mro__[:-1]):
        for name, attribute in vars(cls).items():
            found.pop(name, None)
            if name.startswith("_") or isinstance(attribute, type):
                continue
            if getattr(attribute, SKIPPED, False):
                continue
            is_property = isinstance(attribute, (property, functools.cached_property))
            if is_property or callable(getattr(own, name, None)):
                found[name] = attribute
    yield from found.items()


def _fitting(method: Any, options: Options) -> Options:
    """The options of an object that fit one of its methods."""
    if _style(method) in ("plain", "generator"):
        return Options(threads=options.threads, workers=options.workers)
    return Options(concurrency=options.concurrency, workers=options.workers)


def _check_constructor(cls: type) -> None:
    try:
        inspect.signature(cls).bind()
    except TypeError as error:
        raise TypeError(
            f"{cls.__name__} is created without arguments: {error}; "
            "register an object of it instead"
        ) from None
    except ValueError:
        pass  # A class of an extension module that tells nothing.
