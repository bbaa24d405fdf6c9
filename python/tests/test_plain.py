from __future__ import annotations

import random
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from server import Failed, Worker

import polyport
from polyport import values
from polyport.frames import CREDIT, DONE, DRAIN, FAIL, ITEM, PING, PONG, STREAM, frame

Start = Callable[..., Worker]

APP = """
    import datetime, os, sys, time, polyport
    from decimal import Decimal

    @polyport.function
    def add(a, b=10, *, c=0): return a + b + c

    @polyport.function
    def gather(*args, **named): return [args, named]

    @polyport.function
    def who():
        call = polyport.current()
        left = call.remaining()
        return [call.user, call.protocol, call.peer, call.session, call.depth,
                left if left is None else 0 < left <= 5, call.deadline is None, call.cancelled]

    @polyport.function
    def fail(how):
        if how == "logic": raise polyport.LogicError(1234, "no such thing")
        if how == "fault": raise polyport.Denied("not you", errno=77, attributes={"who": "you"})
        if how == "exit": sys.exit(3)
        if how == "interrupt": raise KeyboardInterrupt
        if how == "attributes":
            error = ValueError("boom!")
            error.code, error.thing, error._private = 5, object(), 1
            raise error
        if how == "chained":
            try: {}["x"]
            except KeyError as error: raise RuntimeError("outer") from error
        if how == "surrogate": raise ValueError("bad \\ud800 text")
        if how == "textless":
            class Textless(Exception):
                def __str__(self): raise TypeError
            raise Textless
        if how == "deep": fail_deep()
        if how == "long": raise ValueError("x" * 1_000_000)

    def fail_deep(): fail_deep()

    @polyport.function
    def give(what):
        return {"object": object(), "rows": polyport.Rows(["a"], [[1]]),
                "many": polyport.Many([polyport.Rows(["a"], [[1]]), 2]),
                "big": "x" * 3_000_000, "surrogate": "\\ud800", "none": None}[what]

    @polyport.function
    def sleep(seconds): time.sleep(seconds)

    @polyport.function
    def until_cancelled():
        while not polyport.current().cancelled: time.sleep(0.01)
        return "stopped"

    events = []

    @polyport.function
    def told(): return events

    @polyport.function(columns=["n", ("square", int)])
    def squares(n):
        try:
            for i in range(n): yield i, i * i
        finally:
            events.append("closed")

    @polyport.function
    def broken_stream(what):
        yield 1
        if what == "raise": raise ValueError("spent")
        try: yield object()
        finally: events.append("closed")

    @polyport.function
    def stream_who():
        for _ in range(40): yield polyport.current().user

    @polyport.function
    def returned_stream(n): return (i for i in range(n))
"""


def test_calls_are_answered_in_order(start: Start) -> None:
    worker = start(APP)
    assert worker.call("add", 3, 4, 0) == 7
    assert worker.call("add", 2**70, 1, 1) == 2**70 + 2
    assert worker.call("gather", [1, 2], {"x": 3}) == [(1, 2), {"x": 3}]
    frames = [worker.call_frame(id, "add", id, 0, 0) for id in range(10, 30)]
    worker.send(*frames)
    assert [worker.receive() for _ in frames] == [[DONE, id, id] for id in range(10, 30)]


def test_every_split_of_the_bytes_of_a_session_is_the_same(start: Start) -> None:
    from polyport import frames, values

    worker = start(APP)
    data = b"".join(
        frames.frame(values.pack(worker.call_frame(id, "add", id, 1, 1))) for id in (1, 2)
    )
    for at in range(1, len(data), 7):
        worker.socket.sendall(data[:at])
        time.sleep(0.001)  # So that the worker may read the first part alone.
        worker.socket.sendall(data[at:])
        assert [worker.receive(), worker.receive()] == [[DONE, 1, 3], [DONE, 2, 4]]


def test_a_function_finds_out_who_calls(start: Start) -> None:
    worker = start(APP)
    ann = ["ann", "mysql", "127.0.0.1:5000", 7, 0, None, True, False]
    assert worker.call("who") == ann
    bob = worker.call("who", user="bob", limit_ms=5000, depth=2, session=9)
    assert bob == ["bob", "mysql", "127.0.0.1:5000", 9, 2, True, False, False]
    id = worker.begin("stream_who", user="eve")
    assert worker.items(id) == ["eve"] * 40


def fault_of(worker: Worker, name: str, *args: Any) -> dict[str, Any]:
    with pytest.raises(Failed) as failed:
        worker.call(name, *args)
    return failed.value.fault


def test_exceptions_carry_all_that_they_say(start: Start) -> None:
    worker = start(APP)
    logic = fault_of(worker, "fail", "logic")
    assert (logic["kind"], logic["class"], logic["errno"]) == ("raised", "LogicError", 1234)
    assert (logic["message"], logic["attributes"]) == ("no such thing", {})

    fault = fault_of(worker, "fail", "fault")
    assert (fault["kind"], fault["message"], fault["errno"]) == ("denied", "not you", 77)
    assert (fault["attributes"], fault["ran"]) == ({"who": "you"}, "yes")

    attributes = fault_of(worker, "fail", "attributes")
    assert (attributes["class"], attributes["message"]) == ("ValueError", "boom!")
    assert attributes["attributes"] == {"code": 5}
    assert "errno" not in attributes
    assert attributes["trace"].startswith("Traceback (most recent call last):\n")
    assert 'app.py", line' in attributes["trace"]
    assert "polyport/" not in attributes["trace"]

    chained = fault_of(worker, "fail", "chained")["trace"]
    assert "KeyError: 'x'" in chained
    assert "direct cause" in chained

    assert fault_of(worker, "fail", "exit")["class"] == "SystemExit"
    assert fault_of(worker, "fail", "interrupt")["class"] == "KeyboardInterrupt"
    assert fault_of(worker, "fail", "surrogate")["message"] == "bad \\ud800 text"
    assert fault_of(worker, "fail", "textless")["class"] == "Textless"
    assert fault_of(worker, "fail", "deep")["class"] == "RecursionError"
    assert len(fault_of(worker, "fail", "long")["message"]) == 65536
    assert worker.call("add", 1, 1, 0) == 2


def test_results_that_cannot_be_sent_fail_their_call_alone(start: Start) -> None:
    worker = start(APP, message_bytes=1 << 20)
    fault = fault_of(worker, "give", "object")
    assert fault["kind"] == "raised"
    assert fault["class"] == "TypeError"
    text = "what 'give' returned cannot be sent: a value of type 'object' cannot be sent"
    assert fault["message"] == text
    assert "surrogates" in fault_of(worker, "give", "surrogate")["message"]
    big = fault_of(worker, "give", "big")
    assert (big["kind"], big["ran"]) == ("too_large", "yes")
    assert worker.call("give", "none") is None
    assert worker.call("give", "rows") == polyport.Rows(["a"], [[1]])
    assert worker.call("give", "many") == polyport.Many([polyport.Rows(["a"], [[1]]), 2])


def test_calls_that_the_pool_cannot_run_are_refused(start: Start) -> None:
    worker = start(APP)
    fault = fault_of(worker, "nothing")
    assert (fault["kind"], fault["ran"]) == ("not_found", "no")
    fault = fault_of(worker, "add", 1)
    assert (fault["kind"], fault["ran"]) == ("arguments", "no")


def test_a_stream_waits_for_credit_and_other_calls_run_meanwhile(start: Start) -> None:
    worker = start(APP)
    id = worker.begin("squares", 20)
    assert worker.receive() == [STREAM, id, ["n", ["square", "int"]]]
    assert [worker.receive() for _ in range(16)] == [[ITEM, id, (i, i * i)] for i in range(16)]
    assert worker.is_silent()
    assert worker.call("add", 1, 1, 0) == 2
    worker.send([CREDIT, id, 3])
    assert [worker.receive()[2] for _ in range(3)] == [(16, 256), (17, 289), (18, 324)]
    worker.send([CREDIT, id, 3])
    assert worker.receive() == [ITEM, id, (19, 361)]
    assert worker.receive() == [DONE, id, None]
    assert worker.call("told") == ["closed"]


@pytest.mark.parametrize("before", [[], ["sleep", 0.05]])
def test_credit_may_come_before_the_stream_begins(start: Start, before: list[Any]) -> None:
    worker = start(APP)
    if before:
        worker.begin(*before)
    id = 77
    worker.send(worker.call_frame(id, "squares", 100), [CREDIT, id, 50], [CREDIT, id, 50])
    frames = [worker.receive() for _ in range(102 + bool(before))]
    assert frames[-1] == [DONE, id, None]


def test_two_streams_share_the_worker(start: Start) -> None:
    worker = start(APP)
    first, second = worker.begin("squares", 10), worker.begin("squares", 10)
    got = [worker.receive()[:2] for _ in range(24)]
    ended = got.index([DONE, first])
    assert any(frame == [ITEM, second] for frame in got[:ended])


def test_a_cancelled_stream_is_closed_and_answered(start: Start) -> None:
    worker = start(APP)
    id = worker.begin("squares", 1000)
    for _ in range(17):
        worker.receive()
    worker.cancel(id)
    frame = worker.receive()
    assert (frame[0], frame[2]["kind"]) == (FAIL, "cancelled")
    assert worker.call("told") == ["closed"]
    worker.cancel(id)
    worker.send([CREDIT, id, 5])
    assert worker.is_silent()


def test_streams_fail_after_their_items(start: Start) -> None:
    worker = start(APP)
    for how, text in (("raise", "spent"), ("object", "cannot be sent")):
        with pytest.raises(Failed, match=text) as failed:
            worker.items(worker.begin("broken_stream", how))
        assert failed.value.args[1] == [1]
    assert worker.call("told") == ["closed"]


def test_a_generator_that_a_function_returns_is_a_stream(start: Start) -> None:
    worker = start(APP)
    assert worker.items(worker.begin("returned_stream", 30)) == list(range(30))


def test_a_call_that_has_not_begun_never_begins(start: Start) -> None:
    worker = start(APP)
    slow = worker.begin("sleep", 0.3)
    waiting = worker.begin("told")
    time.sleep(0.1)  # So that the first call runs when the CANCEL comes.
    worker.cancel(waiting)
    assert worker.end(slow) is None
    with pytest.raises(Failed, match="before it began") as failed:
        worker.end(waiting)
    assert failed.value.fault["ran"] == "no"


def test_a_function_can_ask_whether_it_is_cancelled(start: Start) -> None:
    worker = start(APP)
    id = worker.begin("until_cancelled")
    time.sleep(0.1)
    worker.cancel(id)
    assert worker.end(id) == "stopped"


def test_the_progress_file_tells_what_runs(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "progress"
    path.write_bytes(bytes(16))
    worker = start(APP, progress=str(path))

    def progress() -> tuple[int, ...]:
        return struct.unpack("<QQ", path.read_bytes())

    assert worker.call("add", 1, 1, 0) == 2
    assert progress() == (0, 1)
    id = worker.begin("until_cancelled")
    while progress() == (0, 1):
        time.sleep(0.01)
    assert progress() == (id, id)
    worker.cancel(id)
    worker.end(id)
    assert progress() == (0, id)


def test_an_answer_that_waits_for_the_next_call_stands_in_the_outbox(
    start: Start, tmp_path: Path
) -> None:
    path = tmp_path / "progress"
    path.write_bytes(bytes(24 + 1000))
    worker = start(APP, progress=str(path))

    def outbox() -> tuple[int, bytes]:
        data = path.read_bytes()
        length, epoch = struct.unpack_from("<II", data, 16)
        return epoch, data[24 : 24 + length]

    # In one piece, so that the second waits while the first runs.
    first, second = 1, 2
    calls = [("add", 1, 1, 0), ("until_cancelled",)]
    worker.send(*(worker.call_frame(n, *call) for n, call in enumerate(calls, first)))
    while outbox() == (0, b""):
        time.sleep(0.01)
    assert outbox() == (0, frame(values.pack([DONE, first, 2])))
    worker.cancel(second)
    assert worker.receive() == [DONE, first, 2]
    assert worker.end(second) == "stopped"
    while outbox() != (1, b""):  # It is emptied after it was sent.
        time.sleep(0.01)


def test_pings_are_answered_and_unknown_frames_passed_over(start: Start) -> None:
    worker = start(APP)
    worker.send([99, "future"], [PING, 5, "more elements than these"], [14], [DONE, 1, 2])
    assert worker.receive() == [PONG, 5]


def test_a_drained_worker_finishes_what_it_has(start: Start) -> None:
    worker = start(APP)
    stream = worker.begin("squares", 18)
    for _ in range(17):
        worker.receive()
    call = worker.begin("sleep", 0.1)
    worker.send([DRAIN])
    assert worker.end(call) is None
    assert worker.process.poll() is None
    worker.send([CREDIT, stream, 5])
    assert [worker.receive()[0] for _ in range(3)] == [ITEM, ITEM, DONE]
    assert worker.status() == 0


class Stopped(Exception):
    """The process would have ended."""


def test_changed_sessions_end_the_worker_or_are_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from polyport import engine, frames, values
    from polyport.application import Application, Options
    from polyport.plain import PlainEngine

    def end(*_: Any) -> None:
        raise Stopped

    monkeypatch.setattr(engine, "stop", end)
    monkeypatch.setattr(engine, "leave", end)
    application = Application()

    def add(a: Any, b: Any = object()) -> Any:  # noqa: B008
        return a + b

    def numbers(n: Any) -> Any:
        yield from range(n)

    def nested(name: Any, *args: Any) -> Any:
        return polyport.call(name, *args)

    for function in (add, numbers, nested):
        application.add_function(function, Options())
    context = [7, "ann", "mysql", "127.0.0.1:1", None, 9, 0]
    arrays = [
        [2, 1, "add", [1, values.ABSENT], None, context],
        [2, 2, "numbers", [30], None, context],
        [2, 3, "nested", ["x", [1]], None, context],
        [2, 4, "add", [3, 4], None, context],
        [3, 1, ["a", ["b", "int"]]],
        [4, 1, 5],
        [8, 2, 20],
        [7, 2],
        [6, 1, {"kind": "raised", "message": "x"}],
        [9, 1],
        [13, 7],
        [11],
    ]
    good = b"".join(frames.frame(values.pack(array)) for array in arrays)
    chance = random.Random(23)
    for _ in range(10_000):
        data = bytearray(good)
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        channel = Canned(bytes(data), chance.randrange(1, len(data)))
        served = PlainEngine(channel, application, application.pools["plain"], None)  # type: ignore[arg-type]
        try:
            served.run([])
        except Stopped:
            pass


class Canned:
    """A channel whose bytes are all there, in two pieces."""

    is_open = True

    def __init__(self, data: bytes, at: int) -> None:
        from polyport import frames

        self.lock = threading.Lock()
        self._pieces = [data[:at], data[at:]]
        self._reader = frames.Reader()
        self._reader.limit(1 << 20)

    def receive(self, wait: bool = True) -> list[list[Any]]:
        from polyport import frames

        if not self._pieces:
            raise Stopped
        try:
            return self._reader.feed(self._pieces.pop(0))
        except frames.ProtocolError:
            raise Stopped from None

    def send(self, data: bytes) -> None:
        pass
