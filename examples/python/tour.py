"""One function of each kind.

    polyport serve examples/python/tour.py

shows where it listens, and a user with a password that it makes at the first start. With these:

    mariadb -h 127.0.0.1 -P 3308 -u polyport -p -e 'call squares(3)'
    polyport call --to msgpack://polyport:PASSWORD@127.0.0.1:5000 countdown 3
    curl -u polyport http://127.0.0.1:8308/v1/call/total -d '["1.50", 3]'
"""

import asyncio
import datetime
import logging
import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import polyport

log = logging.getLogger(__name__)


@polyport.function
def hello(name="world"):
    """Greets somebody."""
    return f"Hello, {name}!"


# With types, 3, 3.0 and '3' all arrive as 3, and what is no number is refused before the call.
@polyport.function
def divide(a: float, b: float) -> float:
    """Divides two numbers."""
    return a / b


@polyport.function
def total(price: Decimal, count: int = 1) -> Decimal:
    """What so many of a thing cost."""
    return price * count


@polyport.function(name="dates.between")
def days_between(first: datetime.date, last: datetime.date) -> int:
    """The days from one date to another."""
    return (last - first).days


@polyport.function
def squares(n: int) -> polyport.Rows:
    """The first n squares, as a table."""
    return polyport.Rows(["n", "square"], [(i, i * i) for i in range(1, n + 1)])


@polyport.function
def minmax(*numbers: float) -> polyport.Many:
    """The least and the greatest of the numbers, as two results."""
    least = polyport.Rows(["least"], [(min(numbers),)])
    return polyport.Many([least, polyport.Rows(["greatest"], [(max(numbers),)])])


@polyport.function
async def nap(seconds: float) -> str:
    """Waits, and lets a hundred other calls of this process wait meanwhile."""
    await asyncio.sleep(seconds)
    return "awake"


# Its columns are told beforehand, so that MySQL clients get each row as soon as it is there.
@polyport.function(columns=[("number", int)])
def countdown(n: int) -> Iterator[int]:
    """Counts down to 1, at the pace of whoever listens."""
    yield from range(n, 0, -1)


@polyport.function
async def ticks(n: int, every: float = 0.1) -> AsyncIterator[str]:
    """Tells the time n times."""
    for _ in range(n):
        yield time.strftime("%H:%M:%S")
        await asyncio.sleep(every)


# Calls that mostly wait for something can run side by side on threads.
@polyport.function(threads=8)
def lookup(host: str) -> list[str]:
    """The addresses of a host."""
    import socket

    return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, None)})


@polyport.function
def order(item: str, count: int) -> str:
    """Orders something. MySQL clients see the number of the error, others its class and text."""
    if count < 1:
        raise polyport.LogicError(1234, f"{count} {item}s cannot be ordered")
    log.info("an order of %s", item, extra={"count": count})
    return f"{count} × {item}"


@polyport.function
def whoami() -> dict[str, Any]:
    """What a function knows of its call."""
    call = polyport.current()
    left = call.remaining()
    return {"user": call.user, "protocol": call.protocol, "peer": call.peer, "seconds_left": left}


@polyport.function
def average(*numbers: float) -> float:
    """The mean of the numbers, through another function, as the same user."""
    mean: float = polyport.call("divide", sum(numbers), len(numbers))
    return mean


@polyport.object
class Counter:
    """One for all callers: ``counter.add``, ``counter.value``."""

    def __init__(self) -> None:
        self._value = 0

    def add(self, n: int = 1) -> int:
        """Adds to the counter."""
        self._value += n
        return self._value

    @property
    def value(self) -> int:
        """Where the counter is; a call with an argument sets it."""
        return self._value

    @value.setter
    def value(self, value: int) -> None:
        self._value = value


@polyport.object(mode="connection")
class Basket:
    """One for each connection, gone with it."""

    def __init__(self) -> None:
        self._items: list[str] = []

    def put(self, item: str) -> int:
        """Puts an item into the basket."""
        self._items.append(item)
        return len(self._items)

    def items(self) -> list[str]:
        """What is in the basket."""
        return self._items


@polyport.object(mode="call")
class Clock:
    """A new one for each call, on any worker."""

    def now(self) -> datetime.datetime:
        """The time in UTC."""
        return datetime.datetime.now(datetime.timezone.utc)
