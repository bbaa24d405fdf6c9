"""What server programs say, and what the server is told."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

import polyport
from polyport.compat.pymysqlrpc import LogicError, RPCServer, genACLmap
from polyport.compat.server import address, is_exposed, to_toml, unique_names

ODD = 'q"u\\o\x7ft\n\t\x00e é 中 😀'


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib is newer")
def test_settings_are_read_as_they_were_written() -> None:
    import tomllib

    settings: dict[str, Any] = {
        "insecure": True,
        "users": {ODD: {"password": ODD, "exports": {}}, "a.b": {"password": ""}},
        "listen": [{"protocol": "mysql"}],
        "limits": {"login_s": 2.5, "connections": 7},
    }
    assert tomllib.loads(to_toml(settings)) == settings


def test_functions_of_any_name_are_registered_under_different_plain_names() -> None:
    names = ["add", "add", "a-b", "a_b", "1st", "", "math.add", "größe", "add_2"]
    registered = unique_names(names)
    assert registered == [
        *("add", "add_2", "a_b", "a_b_2", "_1st", "_", "math.add", "größe", "add_2_2"),
    ]
    for name in registered:
        polyport.application.check_name(name)


def test_modules_become_the_map_of_their_public_functions() -> None:
    module = types.ModuleType("sums")
    module.add = module._own = lambda a, b: a + b  # type: ignore[attr-defined]
    module.Sum, module.os = type("Sum", (), {}), sys  # type: ignore[attr-defined]
    assert genACLmap(module, "no module") == {
        "pymysqlrpc": ("rpcpass", {"add": vars(module)["add"]}),
        "root": ("rootpass", "webviewpass"),
    }


def test_an_error_has_number_and_text() -> None:
    error = LogicError(errno=1234, errmsg="no such thing")
    assert isinstance(error, polyport.LogicError)
    assert (error.errno, error.errmsg, error.args) == (
        1234,
        "no such thing",
        (1234, "no such thing"),
    )


@pytest.mark.parametrize(
    ("listener", "host", "port"),
    [
        (("0.0.0.0", 3308), "0.0.0.0", 3308),
        (("", 3308), "", 3308),
        ("127.0.0.1:3308", "127.0.0.1", 3308),
        (":3308", "", 3308),
        ("[::1]:3308", "::1", 3308),
        (3308, "", 3308),
    ],
)
def test_listeners_are_those_of_gevent(listener: Any, host: str, port: int) -> None:
    server = RPCServer(listener, {})
    assert (server.server_host, server.server_port) == (host, port)


def test_a_socket_cannot_be_handed_over() -> None:
    with pytest.raises(TypeError, match="a listener is"):
        RPCServer(object(), {})


def test_a_method_that_would_never_be_called_is_refused() -> None:
    class Server(RPCServer):
        def handle(self, socket: Any, address: Any) -> None:
            pass

    with pytest.raises(TypeError, match="would never be called"):
        Server(3308, {})


def test_only_the_loopback_is_for_this_machine_alone() -> None:
    exposed = ["", "0.0.0.0", "::", "10.1.2.3"]
    assert [is_exposed(host) for host in exposed] == [True] * 4
    assert not any(is_exposed(host) for host in ("127.0.0.1", "::1", "127.0.0.2"))
    assert address("", 1) == "0.0.0.0:1"
    assert address("::1", 1) == "[::1]:1"


def test_each_argument_reaches_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyport.compat.program.command", lambda number: ["worker"])
    aclmap: dict[str, Any] = {"ann": ("a", {"f": len, "g": len}), "root": ("r", "v")}
    server = RPCServer(
        ("127.0.0.1", 3308),
        aclmap,
        spawn=7,
        webport=99,
        querytimeout=1.5,
        conntimeout=2,
        activetimeout=60,
    )
    settings = server._settings()
    assert settings["limits"] == {"connections": 7, "login_s": 2, "idle_s": 60}
    assert settings["users"] == {
        "ann": {
            "password": "a",
            "exports": {"f": "f", "g": "g"},
            "time_limits": {"mysql": 1.5},
        },
        "root": {
            "password": "r",
            "exports": {},
            "time_limits": {"mysql": 1.5},
            "rights": ["admin"],
        },
    }
    assert settings["listen"] == [
        {"protocol": "mysql", "address": "127.0.0.1:3308"},
        {"protocol": "http", "address": "127.0.0.1:99"},
    ]
    assert settings["insecure"] is False
    unlimited = RPCServer(3308, aclmap, spawn="default", interval=0, webport=0)._settings()
    assert unlimited["limits"] == {"connections": 16_384}
    assert unlimited["users"]["ann"]["time_limits"] == {}
    assert [listen["protocol"] for listen in unlimited["listen"]] == ["mysql"]
    assert unlimited["insecure"] is True
