"""The call that is being served, and calls of the server's other functions."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polyport.engine import Engine

#: The call that is being served where this is read.
CURRENT: ContextVar[Call | None] = ContextVar("polyport.current", default=None)


class Call:
    """A call that is being served: who calls, from where, and until when."""

    __slots__ = ("_arrived", "_cancelled", "_context", "_engine", "_id")

    def __init__(self, id: int, context: list[Any], engine: Engine) -> None:
        self._id = id
        self._context = context
        self._engine = engine
        self._arrived = time.monotonic()
        self._cancelled = False

    @property
    def session(self) -> int:
        """A number that all calls of one connection of a client have in common."""
        number: int = self._context[0]
        return number

    @property
    def user(self) -> str:
        """The name of the user who calls."""
        name: str = self._context[1]
        return name

    @property
    def protocol(self) -> str:
        """The protocol that the client speaks, such as ``mysql``."""
        name: str = self._context[2]
        return name

    @property
    def peer(self) -> str:
        """The client's address, or a word such as ``unix``."""
        address: str = self._context[3]
        return address

    @property
    def deadline(self) -> float | None:
        """When the call's time is over, on the clock of ``time.monotonic``."""
        limit_ms = self._context[4]
        return None if limit_ms is None else self._arrived + limit_ms / 1000

    def remaining(self) -> float | None:
        """The seconds that the call still has, at least 0; ``None`` is no limit."""
        deadline = self.deadline
        return None if deadline is None else max(0.0, deadline - time.monotonic())

    @property
    def depth(self) -> int:
        """How many calls this one is inside of."""
        number: int = self._context[6]
        return number

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants the result any more. A long function should ask now and then."""
        if not self._cancelled:
            self._engine.poll()
        return self._cancelled

    @property
    def _chain(self) -> int:
        number: int = self._context[5]
        return number

    def __repr__(self) -> str:
        return f"<call {self._id} of {self.user} by {self.protocol} from {self.peer}>"


def current() -> Call:
    """The call that is being served here. Raises ``RuntimeError`` outside of any."""
    call = CURRENT.get()
    if call is None:
        raise RuntimeError("no call is being served here")
    return call


def call(name: str, /, *args: Any, **kwargs: Any) -> Any:
    """Calls a function of the server, built-in ones included, as the user who called this one.

    It waits for the result. Of a stream it gives an iterator. A failure is raised as the subclass
    of :class:`polyport.Fault` of its kind.
    """
    serving = current()
    return serving._engine.call(serving, name, args, kwargs, None)


async def acall(name: str, /, *args: Any, **kwargs: Any) -> Any:
    """Does what :func:`call` does, from a coroutine. Of a stream it gives an async iterator."""
    serving = current()
    return await serving._engine.acall(serving, name, args, kwargs, None)


class within:
    """Calls with a time limit: ``within(2.5).call("math.add", 3, 4)``, or ``acall``."""

    __slots__ = ("_seconds",)

    def __init__(self, seconds: float) -> None:
        if not seconds >= 0:
            raise ValueError(f"a time limit is a number of seconds, not {seconds!r}")
        self._seconds = seconds

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """:func:`polyport.call`, which fails with :class:`polyport.Timeout` after that time."""
        serving = current()
        return serving._engine.call(serving, name, args, kwargs, self._seconds)

    async def acall(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """:func:`polyport.acall`, which fails with :class:`polyport.Timeout` after that time."""
        serving = current()
        return await serving._engine.acall(serving, name, args, kwargs, self._seconds)
