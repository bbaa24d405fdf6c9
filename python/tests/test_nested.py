"""Calls that a function makes of the server's functions."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from server import Failed, Worker

from polyport.frames import (
    CALL,
    CANCEL,
    CREDIT,
    DONE,
    DRAIN,
    FAIL,
    ITEM,
    PING,
    PONG,
    STREAM,
)

Start = Callable[..., Worker]

PLAIN = """
    import polyport

    @polyport.function
    def add(a, b): return a + b

    @polyport.function
    def ask(name, *args, **named): return polyport.call(name, *args, **named)

    @polyport.function
    def ask_quickly(): return polyport.within(0.25).call("slow")

    @polyport.function
    def caught(name):
        try: polyport.call(name)
        except LookupError as error:
            return [type(error).__name__, error.kind, error.message, error.class_name,
                    error.errno, error.attributes, error.trace, error.ran]

    @polyport.function
    def total(name):
        stream = polyport.call(name)
        return [[c.name for c in stream.columns], sum(stream), list(stream)]

    @polyport.function
    def first_two(name):
        with polyport.call(name) as stream: return [next(stream), next(stream)]

    @polyport.function
    def forgets(name): next(polyport.call(name))

    @polyport.function
    def doubled(name):
        for item in polyport.call(name): yield 2 * item

    @polyport.function
    def unsendable(): polyport.call("x", object())

    @polyport.function
    def large(): polyport.call("x", "x" * 2_000_000)

    @polyport.function
    def numbers(n): yield from range(n)
"""
THREADS = PLAIN.replace("@polyport.function", "@polyport.function(threads=2)")
ASYNC = """
    import asyncio, polyport

    @polyport.function
    async def add(a, b): return a + b

    @polyport.function
    async def ask(name, *args, **named): return await polyport.acall(name, *args, **named)

    @polyport.function
    async def ask_quickly(): return await polyport.within(0.25).acall("slow")

    @polyport.function
    async def caught(name):
        try: await polyport.acall(name)
        except LookupError as error:
            return [type(error).__name__, error.kind, error.message, error.class_name,
                    error.errno, error.attributes, error.trace, error.ran]

    @polyport.function
    async def total(name):
        stream = await polyport.acall(name)
        items = [item async for item in stream]
        return [[c.name for c in stream.columns], sum(items), [i async for i in stream]]

    @polyport.function
    async def first_two(name):
        async with await polyport.acall(name) as stream:
            return [await stream.__anext__(), await stream.__anext__()]

    @polyport.function
    async def forgets(name): await (await polyport.acall(name)).__anext__()

    @polyport.function
    async def doubled(name):
        async for item in await polyport.acall(name): yield 2 * item

    @polyport.function
    async def unsendable(): await polyport.acall("x", object())

    @polyport.function
    async def large(): await polyport.acall("x", "x" * 2_000_000)

    @polyport.function
    async def numbers(n):
        for i in range(n): yield i

    @polyport.function
    async def wrongly(): return polyport.call("add", 1, 2)

    @polyport.function
    async def gathered(n):
        return await asyncio.gather(*(polyport.acall("f", i) for i in range(n)))
"""

ENGINES = pytest.mark.parametrize(
    ("source", "pool"), [(PLAIN, "plain"), (THREADS, "threads:2"), (ASYNC, "async")]
)


@ENGINES
def test_a_function_calls_another_as_its_user(start: Start, source: str, pool: str) -> None:
    worker = start(source, pool)
    id = worker.begin("ask", "table.get", ["users", 5], {"default": 7})
    assert worker.receive() == [CALL, 1, "table.get", ["users", 5], {"default": 7}, [id, None]]
    worker.send([DONE, 1, {"name": "ann"}])
    assert worker.end(id) == {"name": "ann"}
    id = worker.begin("ask_quickly")
    assert worker.receive() == [CALL, 2, "slow", [], None, [id, 250]]
    worker.send([FAIL, 2, {"kind": "timeout", "message": "too slow"}])
    with pytest.raises(Failed) as failed:
        worker.end(id)
    assert (failed.value.fault["kind"], failed.value.fault["ran"]) == ("timeout", "maybe")


@ENGINES
def test_a_failure_is_an_exception_of_its_kind(start: Start, source: str, pool: str) -> None:
    worker = start(source, pool)
    id = worker.begin("caught", "nothing")
    worker.receive()
    fault = {"kind": "not_found", "message": "no 'nothing'", "future": 1}
    worker.send([FAIL, 1, fault | {"attributes": {"a": 1}, "errno": 7, "class": "X", "trace": "T"}])
    told = ["NotFound", "not_found", "no 'nothing'", "X", 7, {"a": 1}, "T", "no"]
    assert worker.end(id) == told


@ENGINES
def test_a_call_of_the_same_chain_runs_while_its_caller_waits(
    start: Start, source: str, pool: str
) -> None:
    worker = start(source, pool)
    id = worker.begin("ask", "add", [1, 2], {})
    assert worker.receive()[0] == CALL
    inner = worker.begin("ask", "add", [5, 6], {}, chain=1000 + id, depth=1)
    assert worker.receive() == [CALL, 2, "add", [5, 6], None, [inner, None]]
    innermost = worker.begin("add", 5, 6, chain=1000 + id, depth=2)
    assert worker.end(innermost) == 11
    worker.send([DONE, 2, 11])
    assert worker.end(inner) == 11
    worker.send([PING, 1])
    assert worker.receive() == [PONG, 1]
    worker.send([DONE, 1, 3])
    assert worker.end(id) == 3


def test_a_plain_worker_keeps_calls_of_other_chains_back(start: Start) -> None:
    worker = start(PLAIN)
    id = worker.begin("ask", "add", [1, 2], {})
    worker.receive()
    other = worker.begin("add", 1, 1)
    assert worker.is_silent()
    worker.send([DONE, 1, 3])
    assert worker.end(id) == 3
    assert worker.end(other) == 2


def test_a_stream_of_the_same_worker_is_read_by_its_own_caller(start: Start) -> None:
    worker = start(PLAIN)
    id = worker.begin("total", "numbers")
    assert worker.receive()[0] == CALL
    inner = worker.begin("numbers", 40, chain=1000 + id, depth=1)
    sum_id = relay(worker, inner)
    assert sum_id == [DONE, id, [[], sum(range(40)), []]]


def relay(worker: Worker, inner: int) -> list[Any]:
    """Plays the server between a stream and the call that reads it, in the same worker."""
    while True:
        frame = worker.receive()
        if frame[0] == CREDIT:
            worker.send([CREDIT, inner, frame[2]])
        elif frame[1] == inner:
            worker.send([frame[0], 1, *frame[2:]])
        else:
            return frame


@ENGINES
def test_streams_are_iterated_with_credit(start: Start, source: str, pool: str) -> None:
    worker = start(source, pool)
    id = worker.begin("total", "numbers")
    worker.receive()
    worker.send([STREAM, 1, ["n", ["m", "int"]]])
    credit, sent = 16, 0
    while sent < 50:
        while credit and sent < 50:
            worker.send([ITEM, 1, sent])
            credit, sent = credit - 1, sent + 1
        if sent < 50:
            frame = worker.receive()
            assert frame[:2] == [CREDIT, 1]
            credit += frame[2]
    worker.send([DONE, 1, None])
    while (frame := worker.receive())[0] == CREDIT:
        pass
    assert frame == [DONE, id, [["n", "m"], sum(range(50)), []]]


@ENGINES
def test_a_stream_that_is_left_is_cancelled(start: Start, source: str, pool: str) -> None:
    worker = start(source, pool)
    for number, name in enumerate(["first_two", "forgets"], 1):
        id = worker.begin(name, "numbers")
        worker.receive()
        worker.send([STREAM, number, None], [ITEM, number, 1], [ITEM, number, 2])
        frames = [worker.receive(), worker.receive()]
        assert [CANCEL, number] in frames
        assert any(frame[:2] == [DONE, id] for frame in frames)
        worker.send([FAIL, number, {"kind": "cancelled", "message": ""}])
    gc.collect()
    assert worker.is_silent()


@ENGINES
def test_a_stream_can_be_made_of_a_stream(start: Start, source: str, pool: str) -> None:
    worker = start(source, pool)
    id = worker.begin("doubled", "numbers")
    frames = [worker.receive(), worker.receive()]
    assert [STREAM, id, None] in frames
    worker.send([STREAM, 1, None], [ITEM, 1, 1], [ITEM, 1, 2])
    assert [worker.receive(), worker.receive()] == [[ITEM, id, 2], [ITEM, id, 4]]
    worker.send([FAIL, 1, {"kind": "raised", "message": "spent", "class": "ValueError"}])
    fault = worker.receive()[2]
    assert (fault["kind"], fault["class"], fault["message"]) == ("raised", "ValueError", "spent")


@ENGINES
def test_arguments_that_cannot_be_sent_fail_in_the_function(
    start: Start, source: str, pool: str
) -> None:
    worker = start(source, pool, message_bytes=1 << 20)
    with pytest.raises(Failed, match="'object' cannot be sent"):
        worker.call("unsendable")
    with pytest.raises(Failed, match="the arguments take 2000") as failed:
        worker.call("large")
    assert failed.value.fault["kind"] == "too_large"
    id = worker.begin("ask", "x", [], {})
    assert worker.receive()[1] == 1
    worker.send([DONE, 1, 1])
    assert worker.end(id) == 1


@ENGINES
def test_a_drained_worker_waits_for_its_own_calls(start: Start, source: str, pool: str) -> None:
    worker = start(source, pool)
    id = worker.begin("ask", "x", [], {})
    worker.receive()
    worker.send([DRAIN])
    worker.send([DONE, 1, 5])
    assert worker.end(id) == 5
    assert worker.status() == 0


def test_a_coroutine_is_told_to_await(start: Start) -> None:
    worker = start(ASYNC, "async")
    with pytest.raises(Failed, match=r"await polyport\.acall"):
        worker.call("wrongly")


def test_a_coroutine_has_many_calls_at_once(start: Start) -> None:
    worker = start(ASYNC, "async")
    id = worker.begin("gathered", 20)
    calls = [worker.receive() for _ in range(20)]
    assert [call[1] for call in calls] == list(range(1, 21))
    worker.send(*([DONE, call[1], call[3][0]] for call in reversed(calls)))
    assert worker.end(id) == list(range(20))


def test_a_coroutine_that_is_cancelled_cancels_its_own_calls(start: Start) -> None:
    worker = start(ASYNC, "async")
    id = worker.begin("ask", "slow", [], {})
    worker.receive()
    worker.cancel(id)
    assert worker.receive() == [CANCEL, 1]
    with pytest.raises(Failed) as failed:
        worker.end(id)
    assert failed.value.fault["kind"] == "cancelled"


def test_outside_of_a_call_there_is_nobody_to_call_for(start: Start) -> None:
    worker = start(
        """
        import threading, polyport
        @polyport.function
        def elsewhere():
            said = []
            def run():
                try: polyport.call("x")
                except RuntimeError as error: said.append(str(error))
            thread = threading.Thread(target=run)
            thread.start(); thread.join()
            return said
        """
    )
    assert worker.call("elsewhere") == ["no call is being served here"]


def test_answers_are_not_kept_back_while_a_function_waits(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "progress"
    path.write_bytes(bytes(24 + 1000))
    worker = start(PLAIN, progress=str(path))
    # In one piece, so that each call but the last has another behind it.
    worker.send(
        worker.call_frame(1, "add", 1, 2),
        worker.call_frame(2, "ask", "add", [5, 6], {}),
        worker.call_frame(3, "add", 3, 4),
    )
    frames = [worker.receive(), worker.receive()]
    assert sorted(frames) == [[CALL, 1, "add", [5, 6], None, [2, None]], [DONE, 1, 3]]
    inner = worker.call_frame(4, "add", 5, 6, chain=1002, depth=1)
    worker.send(inner)
    assert worker.receive() == [DONE, 4, 11]
    worker.send([DONE, 1, 11])
    assert [worker.receive(), worker.receive()] == [[DONE, 2, 11], [DONE, 3, 7]]


def test_threads_of_a_function_log_beside_kept_answers(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "progress"
    path.write_bytes(bytes(24 + 1000))
    worker = start(
        """
        import logging, threading, time, polyport
        def chatter():
            while True: logging.warning("x"); time.sleep(0)
        @polyport.function
        def begin(): threading.Thread(target=chatter, daemon=True).start()
        @polyport.function
        def add(a, b): return a + b
        """,
        progress=str(path),
    )
    worker.call("begin")
    for first in range(10, 2010, 20):
        numbers = range(first, first + 20)
        worker.send(*(worker.call_frame(n, "add", n, 1) for n in numbers))
        assert [worker.receive() for _ in numbers] == [[DONE, n, n + 1] for n in numbers]
