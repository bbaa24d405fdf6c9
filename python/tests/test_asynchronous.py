from __future__ import annotations

from collections.abc import Callable

import pytest
from server import Failed, Worker

from polyport.frames import CANCEL, CREDIT, DONE, DRAIN, FAIL, ITEM, PING, PONG, STREAM

Start = Callable[..., Worker]

APP = """
    import asyncio, logging, polyport

    gate = None

    @polyport.function
    async def meet(n):
        global gate, waiting
        gate = gate or asyncio.Event()
        met.append(polyport.current().user)
        if len(met) == n: gate.set()
        await gate.wait()
        return polyport.current().user

    met, events = [], []

    @polyport.function
    async def sleep(seconds): await asyncio.sleep(seconds); return seconds

    @polyport.function
    async def fail(how):
        if how == "raise": raise ValueError("boom!")
        if how == "exit": raise SystemExit(3)
        if how == "object": return object()
        if how == "cancelled": raise asyncio.CancelledError
        if how == "task":
            async def leave(): raise SystemExit(4)
            asyncio.create_task(leave())
            await asyncio.sleep(0.05)

    @polyport.function
    async def stubborn():
        try: await asyncio.sleep(10)
        except asyncio.CancelledError: return "finished all the same"

    @polyport.function
    async def told(): return events

    @polyport.function(columns=["n", "user"])
    async def numbers(n):
        try:
            for i in range(n): yield i, polyport.current().user
        finally: events.append("closed")

    @polyport.function
    async def broken():
        yield 1
        raise ValueError("spent")

    @polyport.function
    async def slow_stream():
        try:
            yield 1
            await asyncio.sleep(60)
        finally: events.append("stopped")

    @polyport.function
    async def in_thread():
        return await asyncio.to_thread(lambda: polyport.current().user)
"""


def test_a_hundred_calls_run_at_once(start: Start) -> None:
    worker = start(APP, "async")
    worker.send(*(worker.call_frame(i, "meet", 100, user=f"user{i}") for i in range(1, 101)))
    answers = sorted(worker.receive() for _ in range(100))
    assert answers == [[DONE, i, f"user{i}"] for i in range(1, 101)]


def test_failures_stay_with_their_call(start: Start) -> None:
    worker = start(APP, "async")
    for how, text in (
        ("raise", "boom!"),
        ("exit", "3"),
        ("object", "cannot be sent"),
        ("cancelled", "CancelledError"),
    ):
        with pytest.raises(Failed, match=text) as failed:
            worker.call("fail", how)
        assert failed.value.fault["kind"] == "raised"
    with pytest.raises(Failed, match="spent") as failed:
        worker.items(worker.begin("broken"))
    assert failed.value.args[1] == [1]
    assert worker.call("fail", "task") is None
    assert worker.call("sleep", 0) == 0
    assert worker.logs[0][3] == "a task ended with SystemExit"


def test_a_cancelled_call_is_stopped(start: Start) -> None:
    worker = start(APP, "async")
    id = worker.begin("sleep", 60)
    worker.send([PING, 1])
    worker.cancel(id)
    assert worker.receive() == [PONG, 1]
    with pytest.raises(Failed) as failed:
        worker.end(id)
    assert failed.value.fault["kind"] == "cancelled"
    id = worker.begin("stubborn")
    assert worker.call("sleep", 0.01) == 0.01
    worker.cancel(id)
    assert worker.end(id) == "finished all the same"


def test_a_call_that_is_cancelled_before_its_first_step_is_answered(start: Start) -> None:
    worker = start(APP, "async")
    worker.send(worker.call_frame(9, "sleep", 60), [CANCEL, 9])
    with pytest.raises(Failed) as failed:
        worker.end(9)
    assert (failed.value.fault["kind"], failed.value.fault["ran"]) == ("cancelled", "no")
    assert worker.drain() == 0


def test_streams_wait_for_credit(start: Start) -> None:
    worker = start(APP, "async")
    id = worker.begin("numbers", 20, user="eve")
    assert worker.receive() == [STREAM, id, ["n", "user"]]
    assert [worker.receive()[2][0] for _ in range(16)] == list(range(16))
    assert worker.is_silent()
    assert worker.call("sleep", 0) == 0
    worker.send([CREDIT, id, 2])
    assert worker.receive() == [ITEM, id, (16, "eve")]
    assert worker.receive() == [ITEM, id, (17, "eve")]
    worker.send([CREDIT, id, 8])
    assert [worker.receive()[0] for _ in range(3)] == [ITEM, ITEM, DONE]


def test_a_cancelled_stream_is_closed(start: Start) -> None:
    worker = start(APP, "async")
    id = worker.begin("numbers", 1000)
    for _ in range(17):
        worker.receive()
    worker.cancel(id)
    frame = worker.receive()
    assert (frame[0], frame[2]["kind"]) == (FAIL, "cancelled")
    id = worker.begin("slow_stream")
    assert [worker.receive()[0] for _ in range(2)] == [STREAM, ITEM]
    worker.cancel(id)
    assert worker.receive()[0] == FAIL
    assert worker.call("told") == ["closed", "stopped"]


def test_the_call_is_known_in_threads_that_a_coroutine_uses(start: Start) -> None:
    worker = start(APP, "async")
    assert worker.call("in_thread", user="eve") == "eve"


def test_a_drained_worker_finishes_what_it_has(start: Start) -> None:
    worker = start(APP, "async")
    id = worker.begin("sleep", 0.1)
    worker.send([DRAIN])
    assert worker.end(id) == 0.1
    assert worker.status() == 0


def test_a_drained_worker_without_calls_ends(start: Start) -> None:
    assert start(APP, "async").drain() == 0
