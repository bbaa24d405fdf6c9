"""What the tests of the client call."""

import asyncio
import os
import time
from pathlib import Path

import polyport


@polyport.function(name="math.add")
def add(a: int, b: int = 10) -> int:
    """Adds two numbers."""
    return a + b


@polyport.function(name="math.count")
def count(n: int):
    """Counts from 0 to below n."""
    yield from range(n)


@polyport.function
def echo(value):
    return value


@polyport.function
def together(*args, **kwargs):
    return [list(args), kwargs]


@polyport.function
def timeout(timeout):
    return timeout


@polyport.function
def table():
    return polyport.Rows(["n", ("s", str)], [[1, "a"], [2, None]])


@polyport.function
def several():
    return polyport.Many([1, polyport.Rows(["a"], [[2]]), [3]])


@polyport.function
def fail(kind: str):
    for fault in polyport.Fault.__subclasses__():
        if fault.kind == kind:
            raise fault("as asked", attributes={"n": (1, b"x")})
    raise polyport.LogicError(1234, "no such thing")


@polyport.function
def broken(n: int):
    yield from range(n)
    raise ValueError("spent")


@polyport.function
def told(path: str) -> str:
    """What the functions below have written."""
    file = Path(path)
    return file.read_text() if file.exists() else ""


def tell(path: str, what: str) -> None:
    with Path(path).open("a") as file:
        file.write(what + "\n")


@polyport.function
async def wait(seconds: float, path: str = ""):
    """Waits, and writes how that ended."""
    if path:
        tell(path, "begun")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        if path:
            tell(path, "cancelled")
        raise
    return "waited"


@polyport.function
async def endless(path: str, pause: float = 0.0):
    """Counts for ever, and writes when it is stopped."""
    number = 0
    try:
        while True:
            yield number
            number += 1
            await asyncio.sleep(pause)
    finally:
        tell(path, "stopped")


@polyport.function(threads=4)
def sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


@polyport.function
def die(path: str):
    """Ends its process in the middle of a call."""
    tell(path, "ran")
    os._exit(1)
