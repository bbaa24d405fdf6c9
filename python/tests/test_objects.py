from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from server import Failed, Worker

from polyport.frames import CREDIT, DONE

Start = Callable[..., Worker]

APP = """
    import asyncio, threading, time, polyport

    @polyport.object
    class Warehouse:
        def __init__(self):
            print("a warehouse is built")
            self._items = []
            self._label = "none"
        def store(self, item): self._items.append(item); return len(self._items)
        @property
        def size(self) -> int: return len(self._items)
        @property
        def label(self): return self._label
        @label.setter
        def label(self, text): self._label = text
        def items(self):
            yield from self._items
        @staticmethod
        def twice(n): return 2 * n

    @polyport.object(mode="connection")
    class Cart:
        def __init__(self): self._items = []
        def put(self, item): self._items.append(item); return self._items

    @polyport.object(mode="call", threads=2)
    class Fresh:
        def __init__(self): self._count = 0
        def count(self): self._count += 1; return self._count
        async def acount(self): self._count += 1; return self._count

    class Mixed:
        def __init__(self): self.running = self.most = 0
        def plain(self, seconds=0.05):
            self.running += 1
            self.most = max(self.most, self.running)
            time.sleep(seconds)
            self.running -= 1
            return self.most
        def ask(self, name): return [polyport.call(name), polyport.current().user]
        async def wait(self, seconds): await asyncio.sleep(seconds); return seconds
        async def agen(self, n):
            for i in range(n): yield i
        def gen(self, n):
            for i in range(n): yield i
        @property
        def thread(self): return threading.current_thread() is threading.main_thread()

    polyport.register(Mixed(), "mixed")
    polyport.register(Mixed(), "wide", threads=3)
    polyport.register(Mixed(), flat=True)

    @polyport.object(name="pair", threads=2)
    class Pair:
        def __init__(self): self._barrier = threading.Barrier(2)
        def meet(self): self._barrier.wait(10); return True
"""


def test_a_shared_object_keeps_what_it_is_given(start: Start) -> None:
    worker = start(APP, "warehouse")
    assert worker.call("warehouse.store", "chair") == 1
    assert worker.call("warehouse.store", "table", session=8) == 2
    assert worker.call("warehouse.size") == 2
    assert worker.call("warehouse.label", []) == "none"
    assert worker.call("warehouse.label", ["shelf"]) is None
    assert worker.call("warehouse.label", []) == "shelf"
    assert worker.items(worker.begin("warehouse.items")) == ["chair", "table"]
    assert worker.call("warehouse.twice", 4) == 8
    with pytest.raises(Failed, match="takes one value") as failed:
        worker.call("warehouse.label", [1, 2])
    assert failed.value.fault["kind"] == "arguments"


def test_an_object_is_made_in_its_own_pool_alone(start: Start) -> None:
    for pool, builds in (("warehouse", 1), ("cart", 0)):
        worker = start(APP, pool)
        assert worker.drain() == 0
        assert worker.output()[0].count("a warehouse is built") == builds


def test_each_connection_has_an_object_until_it_leaves(start: Start) -> None:
    worker = start(APP, "cart")
    assert worker.call("cart.put", 1, session=1) == [1]
    assert worker.call("cart.put", 2, session=2) == [2]
    assert worker.call("cart.put", 3, session=1) == [1, 3]
    worker.leave(1)
    worker.leave(77)
    assert worker.call("cart.put", 4, session=1) == [4]
    assert worker.call("cart.put", 5, session=2) == [2, 5]


@pytest.mark.parametrize(("pool", "name"), [("threads:2", "count"), ("async", "acount")])
def test_an_object_by_call_is_always_new(start: Start, pool: str, name: str) -> None:
    worker = start(APP, pool)
    assert [worker.call(f"fresh.{name}") for _ in range(3)] == [1, 1, 1]


def test_plain_methods_beside_coroutines_run_one_at_a_time(start: Start) -> None:
    worker = start(APP, "mixed")
    plain = [worker.begin("mixed.plain", 0.05) for _ in range(5)]
    waiting = worker.begin("mixed.wait", 0.01)
    answers = [worker.receive() for _ in range(6)]
    assert answers[0] == [DONE, waiting, 0.01]
    assert answers[1:] == [[DONE, id, 1] for id in plain]
    assert worker.call("mixed.thread") is False


def test_an_object_with_threads_runs_as_many_plain_methods_at_once(start: Start) -> None:
    worker = start(APP, "wide")
    plain = [worker.begin("wide.plain", 0.3) for _ in range(9)]
    assert max(worker.receive()[2] for _ in plain) == 3
    worker = start(APP, "pair")
    ids = [worker.begin("pair.meet") for _ in range(2)]
    assert sorted(worker.receive() for _ in ids) == [[DONE, id, True] for id in ids]


def test_a_plain_method_that_waits_lets_its_own_chain_pass(start: Start) -> None:
    worker = start(APP, "mixed")
    id = worker.begin("mixed.ask", "mixed.plain")
    assert worker.receive()[2] == "mixed.plain"
    other = worker.begin("mixed.plain", 0)
    assert worker.is_silent()
    inner = worker.begin("mixed.plain", 0, chain=1000 + id)
    assert worker.end(inner) == 1
    worker.send([DONE, 1, 5])
    assert worker.end(id) == [5, "ann"]
    assert worker.end(other) == 1


def test_a_waiting_plain_method_can_be_cancelled(start: Start) -> None:
    worker = start(APP, "mixed")
    first, second = worker.begin("mixed.plain", 0.2), worker.begin("mixed.plain", 0.2)
    worker.cancel(second)
    with pytest.raises(Failed, match="before it began"):
        worker.end(second)
    assert worker.end(first) == 1


def test_both_kinds_of_generator_stream_from_one_object(start: Start) -> None:
    worker = start(APP, "mixed")
    assert worker.items(worker.begin("mixed.agen", 30)) == list(range(30))
    assert worker.items(worker.begin("mixed.gen", 30)) == list(range(30))
    # A stream of a plain generator that waits lets other plain methods run.
    id = worker.begin("mixed.gen", 20)
    for _ in range(17):
        worker.receive()
    assert worker.call("mixed.plain", 0) == 1
    worker.send([CREDIT, id, 10])
    assert [worker.receive()[2] for _ in range(5)] == [16, 17, 18, 19, None]


def test_methods_can_be_served_without_a_name_before_them(start: Start) -> None:
    worker = start(APP, "mixed#2")
    assert worker.call("wait", 0) == 0
    began = time.monotonic()
    assert worker.drain() == 0
    assert time.monotonic() - began < 5


def test_an_object_with_coroutines_is_made_where_its_loop_runs(start: Start) -> None:
    source = """
        import asyncio, polyport
        @polyport.object
        class Session:
            def __init__(self): self._loop = asyncio.get_running_loop()
            async def same(self): return self._loop is asyncio.get_running_loop()
    """
    assert start(source, "session").call("session.same") is True


def test_an_object_whose_making_fails_says_so_and_ends(start: Start) -> None:
    source = """
        import polyport
        @polyport.object
        class Broken:
            def __init__(self): raise ValueError("no disk")
            def a(self): pass
    """
    worker = start(source, "broken")
    assert worker.status() == 1
    assert "no disk" in worker.output()[1]
