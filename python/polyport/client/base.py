"""What both kinds of client have in common."""

from __future__ import annotations

import copy
import select
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from polyport.client.address import Address
from polyport.client.messages import Limit, check_seconds

if TYPE_CHECKING:
    from typing_extensions import Self

#: Connections that wait for the next call; more are closed after theirs.
IDLE_CONNECTIONS = 10

#: Seconds that a connection may take to be made.
CONNECT_S = 10.0

#: Seconds after which an idle connection is not used again: the server closes it after 75.
IDLE_S = 60.0

#: Bytes that are read at once.
PIECE_BYTES = 64 * 1024


class Base:
    """The settings of a client, and functions as its attributes."""

    def __init__(self, address: Address, timeout: float | None) -> None:
        self._address = address
        self._timeout = None if timeout is None else check_seconds(timeout)

    def within(self, seconds: float) -> Self:
        """The same client, whose calls fail with :class:`polyport.Timeout` after that time.

        Both use the same connections; closing one closes the other.

        >>> client.within(2.5).math.add(3, 4)
        7
        """
        other = copy.copy(self)
        other._timeout = check_seconds(seconds)
        return other

    def __getattr__(self, name: str) -> Name:
        if name.startswith("_"):
            raise AttributeError(name)
        return Name(self._named, name)

    def _named(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise NotImplementedError

    def _limit(self, timeout: float | None) -> Limit:
        return Limit(self._timeout if timeout is None else timeout)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._address}>"


class Name:
    """A function by its name: ``client.math.add`` is the function ``math.add``."""

    __slots__ = ("_call", "_name")

    def __init__(
        self, call: Callable[[str, tuple[Any, ...], dict[str, Any]], Any], name: str
    ) -> None:
        self._call = call
        self._name = name

    def __getattr__(self, part: str) -> Name:
        if part.startswith("_"):
            raise AttributeError(part)
        return Name(self._call, f"{self._name}.{part}")

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._call(self._name, args, kwargs)

    def __repr__(self) -> str:
        return f"<function {self._name}>"


def has_news(number: int) -> bool:
    """Whether an idle connection has something to read, which can only be its end."""
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return bool(poll.poll(0))


def tune(plain: socket.socket) -> None:
    """Sends at once what is written, and notices a server that is gone without a word."""
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10)):
        if hasattr(socket, name):
            plain.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
