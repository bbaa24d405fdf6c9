"""Calls and streams of both clients, against a server that runs."""

from __future__ import annotations

import asyncio
import copy
import datetime
import decimal
import gc
import os
import pickle
import sys
import threading
import time
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from serving import Server

import polyport
from polyport.client import AsyncClient, Client
from polyport.client.base import IDLE_CONNECTIONS

VALUES = [
    None,
    True,
    2**63,
    -(10**30),
    0.5,
    decimal.Decimal("1.50"),
    "größe",
    b"\x00\xff",
    datetime.date(2026, 11, 21),
    datetime.datetime(2026, 11, 21, 15, 4, 5, 6),
    datetime.timedelta(hours=-1),
    [1, [2]],
    (1, (2, b"x")),
    {1, "a"},
    {1: "a", None: (1, 2), "x": {}},
]


def run(server: Server, work: Callable[[AsyncClient], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with AsyncClient(server.url()) as client:
            return await work(client)

    return asyncio.run(main())


def connections(client: Client) -> int:
    return len(client._pool._idle)


def test_values_of_every_kind_go_both_ways(server: Server, client: Client) -> None:
    assert client.call("echo", VALUES) == VALUES
    assert run(server, lambda client: client.call("echo", VALUES)) == VALUES
    assert list(client.stream("echo", VALUES)) == [VALUES]


def test_arguments_go_by_position_and_by_name(server: Server, client: Client) -> None:
    assert client.call("math.add", 3, 4) == 7
    assert client.call("math.add", 3, b=4) == 7
    assert client.math.add(a=3) == 13
    both = [[1, 2], {"name": 3, "self": 4, "args": 5}]
    assert client.together(1, 2, name=3, self=4, args=5) == both
    assert client.call("together", 1, 2, name=3, self=4, args=5) == both
    assert run(server, lambda client: client.math.add(3, b=4)) == 7
    assert run(server, lambda client: client.together(1, timeout=2)) == [[1], {"timeout": 2}]


def test_a_parameter_called_timeout_is_reached_by_attribute(client: Client) -> None:
    assert client.timeout(5) == 5
    assert client.timeout(timeout=5) == 5
    assert client.within(9).timeout(timeout=5) == 5


def test_tables_and_several_results_keep_their_shape(client: Client) -> None:
    table = client.table()
    assert table == polyport.Rows(["n", ("s", str)], [[1, "a"], [2, None]])
    assert client.several() == polyport.Many([1, polyport.Rows(["a"], [[2]]), [3]])


def test_items_come_as_they_are_made(server: Server, client: Client, told: Any) -> None:
    began = time.monotonic()
    stream = client.stream("endless", told.path, 0.05)
    assert [next(stream), next(stream), next(stream)] == [0, 1, 2]
    assert time.monotonic() - began < 5
    stream.close()
    told("stopped")

    async def work(client: AsyncClient) -> None:
        stream = client.stream("math.count", 3)
        assert [item async for item in stream] == [0, 1, 2]
        assert [item async for item in stream] == []

    run(server, work)
    assert list(client.stream("math.count", 10_000)) == list(range(10_000))
    assert client.call("math.count", 3) == [0, 1, 2]


def test_what_is_no_stream_is_streamed_too(server: Server, client: Client) -> None:
    assert list(client.stream("math.add", 3, 4)) == [7]
    rows = client.stream("table")
    assert next(rows) == [1, "a"]
    assert [column.name for column in rows.columns] == ["n", "s"]
    assert rows.columns[1].type == "text"
    assert list(rows) == [[2, None]]
    several = client.stream("several")
    assert [(item, len(several.columns)) for item in several] == [(1, 0), ([2], 1), ([3], 0)]

    async def work(client: AsyncClient) -> list[Any]:
        async with client.stream("table") as rows:
            return [row async for row in rows]

    assert run(server, work) == [[1, "a"], [2, None]]


def test_a_stream_that_is_left_stops_its_function(
    server: Server, client: Client, told: Any, tmp_path: Any
) -> None:
    for number in client.stream("endless", told.path):
        if number == 100:
            break
    told("stopped")
    # A client that reads nothing holds the function back; the connection's end ends it.
    path = str(tmp_path / "held")
    with client.stream("endless", path) as held:
        next(held)
    told("stopped", path)

    async def work(client: AsyncClient) -> None:
        async with client.stream("endless", str(tmp_path / "async")) as stream:
            async for number in stream:
                if number == 3:
                    break
        forgotten = client.stream("endless", str(tmp_path / "forgotten"))
        async for number in forgotten:
            if number == 3:
                break
        del forgotten
        never = client.stream("endless", str(tmp_path / "never"))
        await never.aclose()
        assert [item async for item in never] == []

    run(server, work)
    told("stopped", str(tmp_path / "async"))
    told("stopped", str(tmp_path / "forgotten"))
    assert not (tmp_path / "never").exists()


def test_a_cancelled_task_cancels_its_call(server: Server, told: Any) -> None:
    async def work(client: AsyncClient) -> None:
        task = asyncio.create_task(client.call("wait", 60, told.path))
        while "begun" not in await client.call("told", told.path):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.call("wait", 60), 0.05)
        # Its connection is not used for the next one.
        assert await client.math.add(3, 4) == 7

    run(server, work)
    told("cancelled")


def test_calls_of_tasks_run_at_once(server: Server) -> None:
    async def work(client: AsyncClient) -> list[Any]:
        return await asyncio.gather(*(client.call("wait", 0.3) for _ in range(30)))

    began = time.monotonic()
    assert run(server, work) == ["waited"] * 30
    assert time.monotonic() - began < 5


def test_threads_share_a_client_and_its_connections(client: Client) -> None:
    wrong: list[Any] = []

    def work(number: int) -> None:
        for other in range(50):
            if client.math.add(number, other) != number + other:
                wrong.append((number, other))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert 1 <= connections(client) <= IDLE_CONNECTIONS


def test_a_connection_is_kept_for_the_next_call(server: Server, client: Client) -> None:
    assert connections(client) == 0
    for _ in range(3):
        client.math.add(3, 4)
        list(client.stream("math.count", 3))
        client.functions()
        with pytest.raises(polyport.NotFound):
            client.call("nothing")
    assert connections(client) == 1
    client.close()
    assert client.math.add(3, 4) == 7

    async def work(client: AsyncClient) -> int:
        for _ in range(3):
            await client.math.add(3, 4)
            assert [item async for item in client.stream("math.count", 2)] == [0, 1]
        return len(client._pool._idle)

    assert run(server, work) == 1


def test_one_client_serves_one_event_loop_after_the_other(server: Server) -> None:
    client = AsyncClient(server.url())

    async def last() -> int:
        async with client:
            result: int = await client.math.add(3, 4)
            return result

    # What was not closed with its loop is closed without, which Python warns of.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        for _ in range(2):
            assert asyncio.run(client.call("math.add", 3, 4)) == 7
        assert asyncio.run(last()) == 7
        gc.collect()


def test_a_forked_process_makes_connections_of_its_own(client: Client) -> None:
    assert client.math.add(3, 4) == 7
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if client.math.add(5, 6) == 11 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert client.math.add(3, 4) == 7


def test_functions_are_described(server: Server, client: Client) -> None:
    known = {function.name: function for function in client.functions()}
    add = known["math.add"]
    assert (add.signature, add.returns) == ("(a: int, b: int = 10) -> int", "int")
    assert [(each.name, each.type, each.required) for each in add.parameters] == [
        ("a", "int", True),
        ("b", "int", False),
    ]
    assert add.parameters[1].default == 10
    assert known["together"].parameters[0].rest and known["together"].parameters[1].named_rest
    assert "system.listMethods" in known
    assert client.help("math.add") == "math.add(a: int, b: int = 10) -> int\n\nAdds two numbers."
    with pytest.raises(polyport.NotFound):
        client.help("nothing")
    with Client(server.url("bob:bob")) as bob:
        assert [each.name for each in bob.functions()] == ["math.add", "math.count"]
    assert run(server, lambda client: client.help("math.add")).startswith("math.add(a")
    assert {each.name for each in run(server, lambda client: client.functions())} == known.keys()


def test_a_client_is_shown_without_its_password_and_has_no_hidden_functions(client: Client) -> None:
    assert "cret" not in repr(client)
    assert repr(client.math.add) == "<function math.add>"
    for name in ("_hidden", "__deepcopy__"):
        with pytest.raises(AttributeError):
            getattr(client, name)
        with pytest.raises(AttributeError):
            getattr(client.math, name)
    assert copy.copy(client).math.add(3, 4) == 7
    with pytest.raises(TypeError):
        pickle.dumps(client)


def test_what_cannot_be_sent_is_refused_before_it_is(client: Client) -> None:
    with pytest.raises(TypeError, match="cannot be sent"):
        client.echo(object())
    assert connections(client) == 0


def test_importing_the_client_starts_nothing_and_needs_only_msgpack() -> None:
    code = "import sys, polyport.client; print(sorted(m.split('.')[0] for m in sys.modules))"
    import subprocess

    folder = os.path.dirname(os.path.dirname(polyport.__file__))
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": folder},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "msgpack" in shown
    assert not [name for name in ("requests", "httpx", "aiohttp", "urllib3") if name in shown]
