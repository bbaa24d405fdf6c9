"""The functions that the conformance tests' clients call, as examples/conformance has them in Rust.

polyport serve python/conformance/app.py --config python/conformance/polyport.toml
"""

import asyncio
import datetime
from collections.abc import AsyncIterator
from decimal import Decimal
from numbers import Number
from typing import Any

import polyport
from polyport import LogicError, Many, Rows

#: How long the slow ones take for each step.
STEP = 0.1

MOST_LETTERS = 512 << 20


# What SQL clients call.


@polyport.function
def myadd(a: Number, b: Number) -> Rows:
    """Adds two numbers."""
    return Rows(["sum"], [(a + b,)])  # type: ignore[operator]


@polyport.function
def echo_rows(x: Any) -> Rows:
    """Gives its argument back as a table."""
    return Rows(["v"], [(x,)])


@polyport.function
def typed() -> Rows:
    """One column of each type."""
    moment = datetime.datetime(2020, 1, 2, 3, 4, 5)
    cells = (1, "x", 1.5, None, moment, b"\x00\xff", Decimal("1.50"))
    return Rows(["i", "s", "f", "n", "d", "b", "c"], [cells])


@polyport.function
def nrows(n: int) -> list[tuple[int, str]]:
    """A list of pairs."""
    return [(i, f"row{i}") for i in range(n)]


@polyport.function
def one() -> tuple[int, str]:
    """One tuple."""
    return 1, "two"


@polyport.function
def empty() -> Rows:
    """A table without rows."""
    return Rows(["a", "b"])


@polyport.function
def nothing() -> None:
    """Nothing at all."""


@polyport.function
def mixed() -> list[tuple[int | None, str | None]]:
    """Pairs with a gap."""
    return [(1, "a"), (None, None), (3, "c")]


@polyport.function
def logic() -> None:
    """Fails with an error number."""
    raise LogicError(1234, "no such thing")


@polyport.function
def boom() -> None:
    """Fails with an exception."""
    raise ValueError("boom!")


@polyport.function
async def slow(seconds: float) -> Rows:
    """Sleeps."""
    await asyncio.sleep(seconds)
    return Rows(["slept"], [(seconds,)])


@polyport.function
def two() -> Many:
    """Two results."""
    return Many([Rows(["a"], [(1,)]), Rows(["b"], [(2,)])])


@polyport.function
def big(n: int) -> str:
    """A text of n times x."""
    if n > MOST_LETTERS:
        raise MemoryError(f"at most {MOST_LETTERS} letters")
    return "x" * n


# What RPC clients call.


@polyport.function
def testfunc(a: Any, b: Any) -> Any:
    """有help"""
    return a + b


@polyport.function
async def testcoro(a: Any, b: Any) -> Any:
    await asyncio.sleep(STEP)
    return a + b


@polyport.function
async def testcorogen(a: Any, b: Any) -> AsyncIterator[Any]:
    for i in range(10):
        await asyncio.sleep(STEP)
        yield i + a + b


@polyport.function
def echo(x: Any) -> Any:
    """Gives its argument back."""
    return x


@polyport.function
def divide(a: float, b: float) -> float:
    """Divides two numbers."""
    return a / b


class TestClass:
    def testclassmethod(self, a: Any, b: Any) -> Any:
        return a + b

    async def testclasscoro(self, a: Any, b: Any) -> Any:
        await asyncio.sleep(STEP)
        return a + b

    async def testclasscorogen(self, a: Any, b: Any) -> AsyncIterator[Any]:
        for i in range(10):
            await asyncio.sleep(STEP)
            yield i + a + b


polyport.register(TestClass(), flat=True)
