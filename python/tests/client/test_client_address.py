"""Where a server is and who asks: addresses, logins, TLS and Unix sockets."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from serving import Server

import polyport
from polyport.client import AsyncClient, Client
from polyport.client.address import Address, parse


def added(url: str, **keywords: Any) -> int:
    """Three and four, by a coroutine."""

    async def main() -> int:
        async with AsyncClient(url, token="t0ken", **keywords) as client:
            result: int = await client.math.add(3, 4)
            return result

    return asyncio.run(main())


def test_an_address_says_all_or_little() -> None:
    assert parse("http://localhost") == Address("localhost", 8308)
    assert parse("http://10.0.0.1:80/").port == 80
    assert parse("http://[::1]:5").authority == "[::1]:5"
    assert parse("http://host/a b/c/").prefix == "/a%20b/c"
    assert parse("http+unix:///run/p.sock").unix == "/run/p.sock"
    assert parse("http+unix://%2Frun%2Fp.sock").unix == "/run/p.sock"
    assert parse("http+unix://ann:pw@%2Frun%2Fp.sock").authorization == "Basic YW5uOnB3"
    assert parse("http://ann:p%40w@h").authorization == "Basic YW5uOnBAdw=="
    assert parse("http://h", user="ann", password="p@w").authorization == "Basic YW5uOnBAdw=="
    assert parse("http://h", token="t0ken").authorization == "Bearer t0ken"
    assert parse("https://h").tls is not None


@pytest.mark.parametrize(
    ("url", "keywords", "why"),
    [
        ("localhost:8308", {}, "begins with http://"),
        ("mysql://h", {}, "begins with http://"),
        ("http://", {}, "names a host"),
        ("http+unix://", {}, "the path of a socket"),
        ("http://h?x", {}, "neither"),
        ("http://h#x", {}, "neither"),
        ("http://h:port", {}, "Port"),
        ("http://ann@h", {"token": "t"}, "not both"),
        ("http://h", {"password": "x"}, "belongs to a user"),
        ("http://h", {"user": "a:b"}, "no colon"),
        ("http://h", {"token": "a\r\nhost: evil"}, "printable"),
        ("http://h", {"token": ""}, "printable"),
        ("http://h", {"ca": "x"}, "https://"),
    ],
)
def test_what_is_no_address_is_refused(url: str, keywords: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Client(url, **keywords)  # type: ignore[arg-type]


def test_without_an_address_the_environment_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLYPORT_URL", raising=False)
    assert repr(Client()) == "<Client of http://localhost:8308>"
    monkeypatch.setenv("POLYPORT_URL", "http://ann:pw@elsewhere:1")
    assert repr(AsyncClient()) == "<AsyncClient of http://elsewhere:1>"


def test_a_token_and_a_user_log_in(server: Server) -> None:
    url = f"http://localhost:{server.port}"
    assert Client(url, token="t0ken").math.add(3, 4) == 7
    assert Client(url, user="ann", password="se:cret/é").math.add(3, 4) == 7
    with pytest.raises(polyport.LoginRefused):
        Client(url, token="other").math.add(3, 4)


def test_a_unix_socket_is_spoken_to(server: Server, tmp_path: Path) -> None:
    for url in (f"http+unix://{server.socket}", f"http+unix://{server.socket.replace('/', '%2F')}"):
        with Client(url, token="t0ken") as client:
            assert client.math.add(3, 4) == 7
            assert list(client.stream("math.count", 2)) == [0, 1]
        assert added(url) == 7


def test_tls_needs_a_certificate_that_is_trusted(server: Server) -> None:
    url = f"https://localhost:{server.tls_port}"
    certificates = [
        *(server.folder / "data").glob("**/*.crt"),
        *(server.folder / "data").glob("**/*cert*.pem"),
    ]
    assert certificates, sorted((server.folder / "data").glob("**/*"))
    with Client(url, token="t0ken", ca=certificates[0]) as client:
        for _ in range(3):
            assert client.math.add(3, 4) == 7
        assert list(client.stream("math.count", 2)) == [0, 1]
        assert len(client._pool._idle) == 1
    assert added(url, ca=certificates[0]) == 7
    careless = ssl.create_default_context()
    careless.check_hostname = False
    careless.verify_mode = ssl.CERT_NONE
    assert Client(url, token="t0ken", tls=careless).math.add(3, 4) == 7

    for attempt in (
        lambda: Client(url, token="t0ken").math.add(3, 4),
        lambda: added(url),
        lambda: Client(f"https://localhost:{server.port}", token="t0ken").math.add(3, 4),
    ):
        with pytest.raises(polyport.Unavailable, match="is not reached") as caught:
            attempt()
        assert caught.value.ran == "no"
        assert isinstance(caught.value.__cause__, ssl.SSLError)
