from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from server import Failed, Worker

from polyport.frames import CREDIT, DONE, DRAIN, FAIL, ITEM, PING, PONG, STREAM

Start = Callable[..., Worker]

APP = """
    import threading, time, polyport

    barrier = threading.Barrier(4)

    @polyport.function(threads=4)
    def meet(): barrier.wait(10); return polyport.current().user

    @polyport.function(threads=4)
    def sleep(seconds): time.sleep(seconds); return seconds

    @polyport.function(threads=4)
    def boom(): raise ValueError("boom!")

    @polyport.function(threads=4)
    def leave(): raise SystemExit(3)

    @polyport.function(threads=4)
    def give(): return object()

    @polyport.function(threads=4)
    def until_cancelled():
        while not polyport.current().cancelled: time.sleep(0.01)
        return "stopped"

    events = []

    @polyport.function(threads=4)
    def told(): return events

    @polyport.function(threads=4)
    def numbers(n):
        try:
            for i in range(n): yield i, polyport.current().user
        finally: events.append("closed")

    @polyport.function(threads=4)
    def broken():
        yield 1
        raise ValueError("spent")
"""
POOL = "threads:4"


def test_calls_run_at_once(start: Start) -> None:
    worker = start(APP, POOL)
    ids = [worker.begin("meet", user=f"user{i}") for i in range(4)]
    answers = sorted(worker.receive() for _ in ids)
    assert answers == [[DONE, id, f"user{i}"] for i, id in enumerate(ids)]


def test_answers_come_as_calls_end(start: Start) -> None:
    worker = start(APP, POOL)
    slow, quick = worker.begin("sleep", 0.5), worker.begin("sleep", 0)
    assert worker.receive() == [DONE, quick, 0]
    assert worker.receive() == [DONE, slow, 0.5]


def test_failures_stay_with_their_call(start: Start) -> None:
    worker = start(APP, POOL)
    for name, text in (("boom", "boom!"), ("leave", "3"), ("give", "cannot be sent")):
        with pytest.raises(Failed, match=text):
            worker.call(name)
    with pytest.raises(Failed, match="spent") as failed:
        worker.items(worker.begin("broken"))
    assert failed.value.args[1] == [1]
    assert worker.call("sleep", 0) == 0


def test_many_streams_wait_without_holding_threads(start: Start) -> None:
    worker = start(APP, POOL)
    ids = [worker.begin("numbers", 20, user="eve") for _ in range(12)]
    got = [worker.receive() for _ in range(12 * 17)]
    assert sum(frame[0] == STREAM for frame in got) == 12
    assert worker.call("sleep", 0) == 0
    for id in ids:
        worker.send([CREDIT, id, 10])
        assert [worker.receive() for _ in range(4)] == [
            [ITEM, id, (number, "eve")] for number in range(16, 20)
        ]
        assert worker.receive() == [DONE, id, None]


def test_cancel_closes_streams_and_tells_functions(start: Start) -> None:
    worker = start(APP, POOL)
    stream = worker.begin("numbers", 1000)
    for _ in range(17):
        worker.receive()
    worker.cancel(stream)
    frame = worker.receive()
    assert (frame[0], frame[2]["kind"]) == (FAIL, "cancelled")
    assert worker.call("told") == ["closed"]
    id = worker.begin("until_cancelled")
    worker.cancel(id)
    assert worker.end(id) == "stopped"


def test_pings_are_answered_while_functions_run(start: Start) -> None:
    worker = start(APP, POOL)
    id = worker.begin("sleep", 0.3)
    worker.send([PING, 3])
    assert worker.receive() == [PONG, 3]
    assert worker.end(id) == 0.3


@pytest.mark.parametrize("seconds", [0, 0.2])
def test_a_drained_worker_finishes_what_it_has(start: Start, seconds: float) -> None:
    worker = start(APP, POOL)
    id = worker.begin("sleep", seconds)
    worker.send([DRAIN])
    assert worker.end(id) == seconds
    began = time.monotonic()
    assert worker.status() == 0
    assert time.monotonic() - began < 5


def test_a_drained_worker_without_calls_ends(start: Start) -> None:
    assert start(APP, POOL).drain() == 0
