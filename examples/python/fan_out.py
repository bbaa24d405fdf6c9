"""Asks many at once: one process, a hundred calls, each with as many requests as it likes.

polyport serve examples/python/fan_out.py
curl -u polyport http://127.0.0.1:8308/v1/call/ports -d '["127.0.0.1", [22, 3308, 5000, 8308]]'
"""

import asyncio
import time
from collections.abc import AsyncIterator

import polyport


async def _is_open(host: str, port: int, seconds: float) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), seconds)
    except (OSError, asyncio.TimeoutError):
        return False
    writer.close()
    return True


@polyport.function
async def ports(host: str, ports: list[int], seconds: float = 2.0) -> polyport.Rows:
    """Which of the ports of a host are open."""
    answers = await asyncio.gather(*(_is_open(host, port, seconds) for port in ports))
    return polyport.Rows(["port", "open"], list(zip(ports, answers)))


@polyport.function(columns=[("port", int)])
async def scan(
    host: str, first: int, last: int, at_once: int = 200, seconds: float = 0.5
) -> AsyncIterator[int]:
    """The open ports of a range, in order, each as soon as it is known."""
    for start in range(first, last + 1, at_once):
        batch = range(start, min(start + at_once, last + 1))
        answers = await asyncio.gather(*(_is_open(host, port, seconds) for port in batch))
        for port, answer in zip(batch, answers):
            if answer:
                yield port


@polyport.function(columns=[("name", str), ("seconds", float), ("failure", str)])
async def timings(names: list[str]) -> AsyncIterator[tuple[str, float, str | None]]:
    """Calls functions of the server side by side, and tells how long each took, as they end."""

    async def one(name: str) -> tuple[str, float, str | None]:
        began, failure = time.monotonic(), None
        try:
            await polyport.acall(name)
        except polyport.Fault as fault:
            failure = f"{fault.kind}: {fault}"
        return name, time.monotonic() - began, failure

    for ended in asyncio.as_completed([one(name) for name in names]):
        yield await ended
