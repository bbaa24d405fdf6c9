from __future__ import annotations

from collections.abc import Callable

import pytest
from server import Worker

from polyport.frames import LOG

Start = Callable[..., Worker]

APP = """
    import asyncio, gc, logging, sys, threading, polyport
    log = logging.getLogger("shop.stock")
    log.warning("loading %d", 1)
    log.info("loaded")

    class Noisy:
        def __init__(self): self.itself = self
        def __del__(self): log.warning("forgotten")

    def speak(how):
        if isinstance(how, int):
            # So that the collector comes at any of the places behind.
            gc.collect()
            gc.set_threshold(how)
            for _ in range(3): Noisy()
        if how == "levels":
            for level in ("debug", "info", "warning", "error", "critical"):
                getattr(log, level)("at %s", level)
            log.log(3, "finest")
        if how == "extra": log.warning("short", extra={"item": 5, "thing": object()})
        if how == "exception":
            try: 1 / 0
            except ZeroDivisionError: log.exception("failed")
        if how == "stack": log.warning("here", stack_info=True)
        if how == "bad": log.warning("%d", "x")
        if how == "surrogate": log.warning("\\ud800")
        if how == "large": log.warning("x" * 2_000_000)
        if how == "thread":
            thread = threading.Thread(target=log.warning, args=("from a thread",))
            thread.start(); thread.join()
        if how == "print": print("printed"); print("to error", file=sys.stderr)
        if how == "fork":
            import os
            pid = os.fork()
            if pid == 0:
                log.warning("from a child")
                os._exit(0)
            os.waitpid(pid, 0)
        if how == "basic":
            logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
            log.warning("once")

    @polyport.function(name="say")
    def plain(how): speak(how)
    @polyport.function(name="say.threads", threads=2)
    def threaded(how): speak(how)
    @polyport.function(name="say.async")
    async def coroutine(how): speak(how)
"""

ENGINES = pytest.mark.parametrize(
    ("pool", "name"), [("plain", "say"), ("threads:2", "say.threads"), ("async", "say.async")]
)


def records(worker: Worker, name: str, how: str) -> list[list[object]]:
    worker.call(name, "nothing")  # Before it come the records of loading.
    worker.logs.clear()
    worker.call(name, how)
    return worker.logs


@ENGINES
def test_records_are_sent_from_their_level_up(start: Start, pool: str, name: str) -> None:
    worker = start(APP, pool, log="info")
    assert records(worker, name, "levels") == [
        [LOG, "info", "shop.stock", "at info", {}],
        [LOG, "warn", "shop.stock", "at warning", {}],
        [LOG, "error", "shop.stock", "at error", {}],
        [LOG, "error", "shop.stock", "at critical", {}],
    ]
    worker = start(APP, pool, log="trace")
    assert [log[1] for log in records(worker, name, "levels")] == [
        "debug",
        "info",
        "warn",
        "error",
        "error",
        "trace",
    ]


@ENGINES
def test_records_carry_their_details(start: Start, pool: str, name: str) -> None:
    worker = start(APP, pool)
    extra = records(worker, name, "extra")[0]
    assert extra[3] == "short"
    assert extra[4]["item"] == 5
    assert extra[4]["thing"].startswith("<object object")
    failed = records(worker, name, "exception")[0]
    assert failed[:4] == [LOG, "error", "shop.stock", "failed"]
    assert "ZeroDivisionError: division by zero" in failed[4]["exception"]
    assert "Stack (most recent call last)" in records(worker, name, "stack")[0][4]["stack"]


@ENGINES
def test_records_that_cannot_be_sent_as_they_are_hurt_nobody(
    start: Start, pool: str, name: str
) -> None:
    worker = start(APP, pool, message_bytes=1 << 20)
    assert records(worker, name, "bad") == []
    assert records(worker, name, "surrogate")[0][3] == "\\ud800"
    assert records(worker, name, "large")[0][3] == "x" * 1000
    assert records(worker, name, "thread")[0][3] == "from a thread"


@ENGINES
def test_records_may_come_whenever_the_collector_runs(start: Start, pool: str, name: str) -> None:
    worker = start(APP, pool)
    for threshold in range(1, 300):
        worker.call(name, threshold)
    assert worker.is_silent()
    assert len(worker.logs) > 500


def test_records_of_loading_are_sent_after_welcome(start: Start) -> None:
    worker = start(APP, log="info")
    worker.call("say", "nothing")
    # The level is known only after WELCOME; until then Python's own holds, which is WARNING.
    assert worker.logs == [[LOG, "warn", "shop.stock", "loading 1", {}]]
    worker = start(APP, log="error")
    worker.call("say", "nothing")
    assert worker.logs == []


def test_the_usual_set_up_of_logging_does_not_double_records(start: Start) -> None:
    worker = start(APP)
    assert [log[3] for log in records(worker, "say", "basic")] == ["once"]
    assert worker.drain() == 0
    assert "once" not in worker.output()[0]


@ENGINES
def test_records_of_a_forked_process_go_to_standard_error(
    start: Start, pool: str, name: str
) -> None:
    worker = start(APP, pool)
    assert records(worker, name, "fork") == []
    assert worker.drain() == 0
    assert worker.output()[1] == "WARNING shop.stock: from a child\n"


def test_what_is_printed_goes_to_the_standard_streams_at_once(start: Start) -> None:
    worker = start(APP)
    worker.call("say", "print")
    assert worker.process.stdout is not None
    assert worker.process.stdout.readline() == b"printed\n"
    worker.process.kill()
    assert "to error" in worker.output()[1]
