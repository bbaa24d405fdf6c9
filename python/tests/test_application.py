from __future__ import annotations

import functools
import math
import types
from typing import Any

import pytest

import polyport
from polyport import application
from polyport.application import Application, snake_case


@pytest.fixture(autouse=True)
def app(monkeypatch: pytest.MonkeyPatch) -> Application:
    app = Application()
    monkeypatch.setattr(application, "APPLICATION", app)
    return app


def pools(app: Application) -> dict[str, Any]:
    return {name: entry.pool.name for name, entry in app.entries.items()}


def test_each_kind_of_function_has_its_pool(app: Application) -> None:
    @polyport.function
    def plain() -> None: ...

    @polyport.function(name="many.rows")
    def generator() -> Any:
        yield 1

    @polyport.function(threads=4)
    def threaded() -> None: ...

    @polyport.function
    async def coroutine() -> None: ...

    @polyport.function(concurrency=7, workers=2)
    async def narrow() -> Any:
        yield 1

    assert plain() is None
    assert pools(app) == {
        "plain": "plain",
        "many.rows": "plain",
        "threaded": "threads:4",
        "coroutine": "async",
        "narrow": "async:7*2",
    }
    assert {name: pool.on_wire() for name, pool in app.pools.items()} == {
        "plain": {"concurrency": 1},
        "threads:4": {"concurrency": 4},
        "async": {"concurrency": 100, "workers": 1},
        "async:7*2": {"concurrency": 7, "workers": 2},
    }
    streams = [name for name, entry in app.entries.items() if entry.on_wire().get("stream")]
    assert streams == ["many.rows", "narrow"]


def test_options_that_do_not_fit_are_refused() -> None:
    async def coroutine() -> None: ...

    def plain() -> None: ...

    with pytest.raises(TypeError, match="threads"):
        polyport.function(concurrency=3)(plain)
    with pytest.raises(TypeError, match="concurrency"):
        polyport.function(threads=3)(coroutine)
    with pytest.raises(ValueError, match="threads is an integer from 1 up"):
        polyport.function(threads=0)(plain)
    with pytest.raises(TypeError, match="return Rows"):
        polyport.function(columns=["a"])(plain)
    with pytest.raises(TypeError, match="are for objects"):
        polyport.register(plain, flat=True)
    with pytest.raises(TypeError, match="are for functions"):
        polyport.register(Base(), columns=["a"])
    with pytest.raises(TypeError, match="no name"):
        polyport.register(lambda: 1)
    for name in ("", "a..b", "a-b", ".a", "a b"):
        with pytest.raises(ValueError, match="a name is"):
            polyport.function(name=name)(plain)


def test_a_name_is_there_once() -> None:
    def add() -> None: ...

    polyport.register(add)
    with pytest.raises(ValueError, match="two functions have the name 'add'"):
        polyport.register(add)


class Base:
    def inherited(self) -> str:
        """From the base."""
        return "base"

    def overridden(self) -> str:
        return "base"


class BankAccount(Base):
    """Not served itself."""

    limit = 5

    class Inner: ...

    def overridden(self) -> str:
        return "own"

    @property
    def balance(self) -> int:
        """What is there."""
        return 3

    @balance.setter
    def balance(self, value: int) -> None: ...

    @functools.cached_property
    def owner(self) -> str:
        return "ann"

    @staticmethod
    def rate(year: int) -> float:
        return year / 100

    @classmethod
    def kind(cls) -> str:
        return cls.__name__

    @polyport.function(name="list", columns=["n", ("name", str)])
    def entries(self, n: int) -> Any:
        yield n, "x"

    @polyport.skip
    def public_but_not_served(self) -> None: ...

    def _private(self) -> None: ...


def test_methods_and_properties_of_a_class_are_served(app: Application) -> None:
    polyport.object(BankAccount)
    told = {name: entry.on_wire() for name, entry in app.entries.items()}
    pool = "bank_account"
    assert told == {
        "bank_account.inherited": {
            "name": "bank_account.inherited",
            "pool": pool,
            "returns": "text",
            "help": "From the base.",
        },
        "bank_account.overridden": {
            "name": "bank_account.overridden",
            "pool": pool,
            "returns": "text",
        },
        "bank_account.balance": {
            "name": "bank_account.balance",
            "pool": pool,
            "params": [{"name": "value", "rest": True}],
            "returns": "int",
            "help": "What is there.",
            "property": "write",
        },
        "bank_account.owner": {
            "name": "bank_account.owner",
            "pool": pool,
            "returns": "text",
            "property": "read",
        },
        "bank_account.rate": {
            "name": "bank_account.rate",
            "pool": pool,
            "params": [{"name": "year", "type": "int"}],
            "returns": "float",
        },
        "bank_account.kind": {"name": "bank_account.kind", "pool": pool, "returns": "text"},
        "bank_account.list": {
            "name": "bank_account.list",
            "pool": pool,
            "params": [{"name": "n", "type": "int"}],
            "stream": True,
        },
    }
    assert app.pools[pool].on_wire() == {"concurrency": 1, "workers": 1, "state": True}


def test_pools_of_objects_follow_their_mode_and_methods(app: Application) -> None:
    class Calm:
        def a(self) -> None: ...

        async def b(self) -> None: ...

    class Plain:
        def a(self) -> None: ...

    polyport.object(mode="connection", name="cart", threads=3)(Plain)
    polyport.object(mode="connection", name="chat", threads=3, concurrency=9)(Calm)
    polyport.object(mode="call", name="tools", threads=2)(Calm)
    polyport.object(name="plain")(Plain)
    polyport.register(Plain(), flat=True)
    assert pools(app) == {
        "cart.a": "cart",
        "chat.a": "chat",
        "chat.b": "chat",
        "tools.a": "threads:2",
        "tools.b": "async",
        "plain.a": "plain#2",
        "a": "plain#3",
    }
    assert app.pools["cart"].on_wire() == {"concurrency": 3, "sticky": True, "state": True}
    chat = app.pools["chat"]
    assert chat.on_wire() == {"concurrency": 9, "sticky": True, "state": True}
    assert (chat.engine, chat.threads) == ("async", 3)


def test_objects_that_cannot_be_are_refused() -> None:
    class Needy:
        def __init__(self, must: int) -> None: ...

        def a(self) -> None: ...

    with pytest.raises(TypeError, match="register an object of it"):
        polyport.object(Needy)
    with pytest.raises(TypeError, match="an object that exists is shared"):
        polyport.register(Needy(1), mode="call")
    with pytest.raises(ValueError, match="mode"):
        polyport.register(Needy, mode="single")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="one worker"):
        polyport.register(Needy(1), workers=2)
    with pytest.raises(TypeError, match="no coroutine methods"):
        polyport.register(Needy(1), concurrency=2)


def test_without_any_decorator_the_public_functions_of_the_file_are_served(
    app: Application,
) -> None:
    module = types.ModuleType("shop")
    source = """
from functools import lru_cache
from math import sqrt
from textwrap import dedent
def add(a, b): return a + b
def _hidden(): pass
class Thing:
    def method(self): pass
limit = 3
async def later(): pass
@lru_cache
def cached(): pass
"""
    exec(source, module.__dict__)  # noqa: S102
    app.add_module(module)
    assert list(app.entries) == ["add", "later", "cached"]


def test_whatever_can_be_called_is_served_as_a_function(app: Application) -> None:
    @functools.lru_cache
    def cached(n: int) -> int:
        return n

    class Adder:
        def __call__(self, a: int, b: int) -> float:
            return a + b

    class Waiter:
        async def __call__(self) -> None: ...

    class Both:
        def __call__(self) -> None: ...

        def method(self) -> None: ...

    polyport.function(cached)
    polyport.register(Adder(), "add")
    polyport.register(Waiter(), "wait")
    polyport.register(Both(), "both")
    polyport.register(functools.partial(cached, 1), "one")
    polyport.register(math.sqrt)
    names = ["cached", "add", "wait", "both.method", "one", "sqrt"]
    assert list(app.entries) == names
    assert app.entries["add"].on_wire() == {
        "name": "add",
        "pool": "plain",
        "params": [{"name": "a", "type": "int"}, {"name": "b", "type": "int"}],
        "returns": "float",
    }
    assert app.entries["wait"].pool.name == "async"
    assert app.entries["cached"].start([5], 0) == 5

    class Nothing:
        _private = 1

    with pytest.raises(TypeError, match="nothing public"):
        polyport.register(Nothing())


def test_a_list_of_public_names_is_followed(app: Application) -> None:
    module = types.ModuleType("shop")
    exec("__all__ = ['b']\ndef a(): pass\ndef b(): pass\n", module.__dict__)  # noqa: S102
    app.add_module(module)
    assert list(app.entries) == ["b"]


@pytest.mark.parametrize(
    ("name", "snake"),
    [("Warehouse", "warehouse"), ("BankAccount", "bank_account"), ("HTTPCache2", "http_cache2")],
)
def test_a_class_gives_its_object_a_name(name: str, snake: str) -> None:
    assert snake_case(name) == snake
