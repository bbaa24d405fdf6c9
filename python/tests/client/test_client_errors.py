"""What fails, and whether it ran: faults of functions, deadlines, and lost connections."""

from __future__ import annotations

import asyncio
import math
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from serving import Fake, Server, answer, fault, result

import polyport
from polyport import values
from polyport.client import AsyncClient, Client, messages


def run(url: str, work: Callable[[AsyncClient], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with AsyncClient(url) as client:
            return await work(client)

    return asyncio.run(main())


def call(kind: str, url: str, name: str = "f", *args: Any, **kwargs: Any) -> Any:
    """Calls by the client of this kind."""
    if kind == "sync":
        with Client(url) as client:
            return client.call(name, *args, **kwargs)
    return run(url, lambda client: client.call(name, *args, **kwargs))


def stream(
    kind: str, url: str, items: list[Any], name: str = "f", *args: Any, **kwargs: Any
) -> None:
    """Streams by the client of this kind into a list."""
    if kind == "sync":
        with Client(url) as client:
            items.extend(client.stream(name, *args, **kwargs))
        return

    async def work(client: AsyncClient) -> None:
        async for item in client.stream(name, *args, **kwargs):
            items.append(item)

    run(url, work)


both = pytest.mark.parametrize("kind", ["sync", "async"])


@both
@pytest.mark.parametrize("fault", polyport.Fault.__subclasses__())
def test_every_kind_of_fault_is_an_exception_of_its_own(
    server: Server, kind: str, fault: type[polyport.Fault]
) -> None:
    with pytest.raises(fault) as caught:
        call(kind, server.url(), "fail", fault.kind)
    error = caught.value
    assert type(error) is fault
    assert (str(error), error.ran, error.trace) == ("as asked", "yes", "")
    assert error.attributes == {"n": (1, b"x")}


@both
def test_an_error_of_the_function_has_its_class_and_number(server: Server, kind: str) -> None:
    with pytest.raises(polyport.Raised, match="no such thing") as caught:
        call(kind, server.url(), "fail", "else")
    assert (caught.value.class_name, caught.value.errno) == ("LogicError", 1234)
    assert isinstance(caught.value, RuntimeError)


@both
def test_what_never_ran_says_so(server: Server, kind: str) -> None:
    for name, args, error in [
        ("nothing", (), polyport.NotFound),
        ("math.add", (), polyport.BadArguments),
        ("math.add", (1, 2, 3), polyport.BadArguments),
        ("math.add", ("three",), polyport.BadType),
        ("echo", ("x" * 1_000_001,), polyport.TooLarge),
        ("no such/name?", (), polyport.NotFound),
        ("", (), polyport.NotFound),
    ]:
        with pytest.raises(error) as caught:
            call(kind, server.url(), name, *args)
        assert caught.value.ran == "no"


@both
def test_a_stream_that_fails_gives_its_items_first(server: Server, kind: str) -> None:
    items: list[Any] = []
    with pytest.raises(polyport.Raised, match="spent"):
        stream(kind, server.url(), items, "broken", 3)
    assert items == [0, 1, 2]
    with pytest.raises(polyport.BadArguments):
        stream(kind, server.url(), items, "broken")


def test_a_failed_stream_is_over_and_its_connection_is_not_used_again(client: Client) -> None:
    stream = client.stream("broken", 0)
    with pytest.raises(polyport.Raised):
        next(stream)
    assert list(stream) == []
    assert client.math.add(3, 4) == 7


@both
def test_who_may_not_is_told_why(server: Server, kind: str) -> None:
    for url in (server.url("ann:wrong"), server.url("nobody:x"), f"http://127.0.0.1:{server.port}"):
        with pytest.raises(polyport.LoginRefused) as caught:
            call(kind, url, "math.add", 3, 4)
        assert caught.value.ran == "no"
        assert isinstance(caught.value, PermissionError)
    with pytest.raises(polyport.NotFound):
        call(kind, server.url("bob:bob"), "echo", 1)


@both
def test_a_call_ends_at_its_deadline_here_and_there(server: Server, kind: str, told: Any) -> None:
    began = time.monotonic()
    with pytest.raises(polyport.Timeout, match="client gave it") as caught:
        call(kind, server.url(), "wait", 60, told.path, timeout=0.3)
    assert 0.2 < time.monotonic() - began < 3
    assert caught.value.ran == "maybe"
    assert isinstance(caught.value, TimeoutError)
    told("cancelled")
    assert call(kind, server.url(), "wait", 0.01, timeout=30) == "waited"
    assert call(kind, server.url(), "wait", 0.01, timeout=math.inf) == "waited"


def test_a_client_can_have_one_deadline_for_all_its_calls(server: Server) -> None:
    with Client(server.url(), timeout=0.2) as client:
        with pytest.raises(polyport.Timeout):
            client.wait(60)
        assert client.within(30).wait(0.4) == "waited"
        assert client.call("wait", 0.4, timeout=30) == "waited"
        with pytest.raises(polyport.Timeout):
            client.within(0.1).wait(60)
    with (
        Client(server.url("slow:slow")) as slow,
        pytest.raises(polyport.Timeout, match="its limit of 1s"),
    ):
        slow.call("wait", 60, timeout=30)
    for wrong in (-1, math.nan, "1", True):
        with pytest.raises(ValueError, match="number of seconds"):
            Client(server.url(), timeout=wrong)  # type: ignore[arg-type]


@both
def test_a_stream_ends_at_its_deadline(server: Server, kind: str, told: Any) -> None:
    items: list[Any] = []
    with pytest.raises(polyport.Timeout, match="client gave it"):
        stream(kind, server.url(), items, "endless", told.path, 0.01, timeout=0.5)
    assert items[:3] == [0, 1, 2]
    told("stopped")


def test_the_time_of_a_stream_begins_when_it_does(server: Server) -> None:
    async def work(client: AsyncClient) -> list[int]:
        stream = client.stream("math.count", 2, timeout=0.5)
        await asyncio.sleep(0.6)
        return [item async for item in stream]

    assert run(server.url(), work) == [0, 1]


@both
def test_no_time_at_all_is_no_call(server: Server, kind: str, tmp_path: Path) -> None:
    with pytest.raises(polyport.Timeout) as caught:
        call(kind, server.url(), "wait", 1, str(tmp_path / "told"), timeout=0)
    assert caught.value.ran == "no"
    assert not (tmp_path / "told").exists()


def test_an_interrupted_call_is_cancelled(client: Client, told: Any) -> None:
    class Interrupted(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(Interrupted):
            client.wait(60, told.path)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert client.math.add(3, 4) == 7
    told("cancelled")


@both
def test_a_server_that_is_not_there_is_unavailable(kind: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for url in (
        f"http://127.0.0.1:{port}",
        "http://nowhere.invalid:1",
        f"http+unix://{tmp_path}/nothing.sock",
    ):
        with pytest.raises(polyport.Unavailable, match="is not reached") as caught:
            call(kind, url)
        assert caught.value.ran == "no"
        assert isinstance(caught.value, ConnectionError)


@both
def test_a_server_that_comes_late_is_found(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    def come() -> None:
        with socket.create_server(("127.0.0.1", port)) as listener:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(result(7))

    late = threading.Timer(0.05, come)
    late.start()
    assert call(kind, f"http://127.0.0.1:{port}") == 7
    late.join()


@both
def test_what_was_too_busy_is_asked_once_more(kind: str) -> None:
    with Fake((fault("busy", "503"),), (result(7),)) as fake:
        assert call(kind, fake.url) == 7
    with Fake((fault("unavailable", "503", connection="close"), None), (result(7),)) as fake:
        assert call(kind, fake.url) == 7
    assert fake.connections == 2
    with (
        Fake((fault("busy", "503"),), (fault("busy", "503"),)) as fake,
        pytest.raises(polyport.Busy, match="as told"),
    ):
        call(kind, fake.url)
    assert len(fake.requests) == 2


@both
def test_what_may_have_run_is_never_asked_again(kind: str) -> None:
    for told in (
        (fault("unavailable", "503", ran="maybe"),),
        (fault("busy", "503", ran="yes"),),
        (fault("not_found", "404"),),
        (answer(b"<html>bad gateway</html>", "text/html", "502 Bad Gateway"),),
        (None,),
        (result(7)[:-1], None),
        (result(7)[:20], None),
    ):
        with Fake(told) as fake, pytest.raises(polyport.Fault) as caught:
            call(kind, fake.url)
        assert len(fake.requests) == 1
        if told[-1] is None:
            assert type(caught.value) is polyport.Unavailable
            assert caught.value.ran == "maybe"


@both
def test_a_worker_that_dies_in_a_call_is_not_asked_again(
    server: Server, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "told"
    with pytest.raises(polyport.Fault) as caught:
        call(kind, server.url(), "die", str(path))
    assert caught.value.ran == "maybe"
    assert path.read_text() == "ran\n"
    assert call(kind, server.url(), "math.add", 3, 4) == 7


@both
def test_a_server_without_room_says_so(kind: str, tmp_path: Path) -> None:
    config = tmp_path / "polyport.toml"
    config.write_text(
        "[[listen]]\nprotocol = 'http'\naddress = '127.0.0.1:0'\nanonymous = 'all'\n"
        "[users.all]\nrights = ['call *']\n"
        "[limits]\nconnections = 2\nguests = 2\nreserved = 0\n"
    )
    server = Server(tmp_path, "--config", str(config))
    try:
        url = f"http://127.0.0.1:{server.port}"
        with Client(url) as first, Client(url) as second:
            assert first.system.listMethods() == second.system.listMethods()
            with pytest.raises(polyport.Busy, match="too many connections") as caught:
                call(kind, url, "system.listMethods")
            assert caught.value.ran == "no"
        assert "system.listMethods" in call(kind, url, "system.listMethods")
    finally:
        server.stop()


@both
def test_the_server_says_how_long_to_wait_and_the_deadline_holds(kind: str) -> None:
    began = time.monotonic()
    with Fake((fault("busy", "503", "1"),), (result(7),)) as fake:
        assert call(kind, fake.url) == 7
    assert 1 <= time.monotonic() - began < 5
    with Fake((fault("busy", "503", "1"),)) as fake, pytest.raises(polyport.Busy):
        call(kind, fake.url, timeout=0.5)


def test_a_connection_that_was_closed_while_idle_is_replaced() -> None:
    with Fake((result(1), None), (result(2),)) as fake, Client(fake.url) as client:
        assert client.call("f") == 1
        time.sleep(0.1)
        assert client.call("f") == 2
    assert fake.connections == 2

    async def work(client: AsyncClient) -> None:
        assert await client.call("f") == 1
        # The loop shall not have noticed the end of the connection.
        time.sleep(0.1)  # noqa: ASYNC251
        assert await client.call("f") == 2

    with Fake((result(1), None), (result(2),)) as fake:
        run(fake.url, work)


def test_a_server_that_starts_anew_is_called_as_before(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("def f():\n    return 7\n")
    config = tmp_path / "polyport.toml"
    listen = "[[listen]]\nprotocol = 'http'\naddress = '127.0.0.1:{}'\nanonymous = 'all'\n"
    user = "[users.all]\nrights = ['call *']\n"
    config.write_text(listen.format(0) + user)
    words = (str(tmp_path / "app.py"), "--config", str(config))
    first = Server(tmp_path, *words)
    with Client(f"http://127.0.0.1:{first.port}") as client:
        try:
            assert client.f() == 7
        finally:
            first.stop()
        with pytest.raises(polyport.Unavailable) as caught:
            client.f()
        assert caught.value.ran == "no"
        config.write_text(listen.format(first.port) + user)
        second = Server(tmp_path, *words)
        try:
            assert client.f() == 7
        finally:
            second.stop()


@both
def test_an_answer_of_something_else_is_named(kind: str) -> None:
    html = answer(b"<html>", "text/html", "502 Bad Gateway")
    with (
        Fake((html,)) as fake,
        pytest.raises(polyport.Unavailable, match="502, text/html") as caught,
    ):
        call(kind, fake.url)
    assert (caught.value.ran, caught.value.attributes) == ("maybe", {"status": 502})
    for told, text in [
        ((answer(b"{}", "text/html"),), "200, text/html"),
        ((answer(b"\xc1"),), "cannot be read"),
        ((answer(b"\x91\x01"),), "not Polyport's"),
        ((answer(b"{", "application/json", "500 Oops"),), "cannot be read"),
        ((b"SSH-2.0-OpenSSH_9.2\r\n\r\n",), "cannot be read"),
        ((b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",), "cannot be read"),
        ((b"HTTP/1.1 301 Moved\r\nlocation: /\r\ncontent-length: 0\r\n\r\n",), "301, no type"),
    ]:
        with Fake(told) as fake, pytest.raises(polyport.Fault, match=text) as caught:
            call(kind, fake.url)
        assert caught.value.ran == "maybe"


def frame(kind: int, content: object) -> bytes:
    body = values.pack([kind, content])
    return b"\xce" + len(body).to_bytes(4, "big") + body


def streamed(*parts: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.polyport.msgpack-seq\r\n"
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return head + b"transfer-encoding: chunked\r\n\r\n" + chunks


@both
def test_a_stream_that_was_cut_off_is_no_stream_that_ended(kind: str) -> None:
    two = streamed(frame(4, 1), frame(99, "later"), frame(9, 0), frame(4, 2))
    for told in (two, two + b"0\r\n\r\n", two[:-3]):
        items: list[Any] = []
        with Fake((told, None)) as fake, pytest.raises(polyport.Fault) as caught:
            stream(kind, fake.url, items)
        assert caught.value.ran == "maybe"
        assert items[:1] == [1]
    for wrong in (b"\x00" * 9, frame(4, 1)[:-1] + b"\xc1", b"\xce\0\0\0\x01\xc0"):
        with (
            Fake((streamed(wrong),)) as fake,
            pytest.raises(polyport.Internal, match="cannot be read"),
        ):
            stream(kind, fake.url, [])
    with Fake((streamed(frame(4, 1), frame(5, None)) + b"0\r\n\r\n",)) as fake:
        items = []
        stream(kind, fake.url, items)
    assert items == [1]


@both
def test_a_server_that_says_nothing_is_given_up(kind: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(messages, "GRACE_S", 0.1)
    monkeypatch.setattr(messages, "SILENCE_S", 0.3)
    hold = threading.Event()

    def serve(listener: socket.socket, first: bytes) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(first)
            hold.wait(10)

    for first, error, keywords in [
        (b"", polyport.Timeout, {"timeout": 0.2}),
        (streamed(frame(4, 1)), polyport.Unavailable, {}),
        (streamed(frame(4, 1)), polyport.Timeout, {"timeout": 0.1}),
    ]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=serve, args=(listener, first))
            thread.start()
            with pytest.raises(error) as caught:
                stream(kind, f"http://127.0.0.1:{listener.getsockname()[1]}", [], **keywords)
            assert caught.value.ran == "maybe"
            hold.set()
            thread.join()
            hold.clear()
