from __future__ import annotations

import datetime
import enum
import functools
import math
import re
import typing
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, NewType, Optional, Union

import pytest

from polyport.describe import signature, type_of
from polyport.faults import Refused
from polyport.values import ABSENT

if TYPE_CHECKING:
    from nowhere import Unknown

Age = NewType("Age", int)


@pytest.mark.parametrize(
    ("hint", "kind", "nullable"),
    [
        (int, "int", False),
        (bool, "bool", False),
        (float, "float", False),
        (str, "text", False),
        (bytes, "bytes", False),
        (Decimal, "decimal", False),
        (datetime.date, "time", False),
        (datetime.timedelta, "time", False),
        (list, "list", False),
        (list[int], "list", False),
        (typing.List[int], "list", False),  # noqa: UP006
        (tuple[int, ...], "list", False),
        (set[str], "list", False),
        (Sequence[int], "list", False),
        (dict[str, int], "map", False),
        (Mapping[str, Any], "map", False),
        (int | float, "number", False),
        (Union[int, Decimal, None], "number", True),  # noqa: UP007
        (Optional[str], "text", True),  # noqa: UP045
        (datetime.date | datetime.datetime, "time", False),
        (int | str, "any", False),
        (Any, "any", False),
        (Annotated[int, "years"], "int", False),
        (Annotated[int | None, "years"], "int", True),
        (Age, "int", False),
        (None, "any", True),
        (Callable[[], int], "any", False),
        ("never resolved", "any", False),
    ],
)
def test_hints_declare_types(hint: Any, kind: str, nullable: bool) -> None:
    assert type_of(hint) == (kind, nullable)


def test_every_kind_of_parameter_is_told() -> None:
    marker = object()

    def f(
        a: int,
        /,
        b: str = "x",
        c=None,  # type: ignore[no-untyped-def]
        d: Any = marker,
        e: int = None,  # type: ignore[assignment]  # noqa: RUF013
        *rest: int,
        only: float,
        other: bool = True,
        **more: Any,
    ) -> list[int]: ...

    params, returns, _ = signature(f)
    assert returns == "list"
    assert params == [
        {"name": "a", "type": "int"},
        {"name": "b", "type": "text", "default": "x"},
        {"name": "c", "default": None},
        {"name": "d", "own_default": "<object object>"},
        {"name": "e", "type": "int", "nullable": True, "default": None},
        {"name": "rest", "rest": True},
        {"name": "only", "type": "float", "only_named": True},
        {"name": "other", "type": "bool", "only_named": True, "default": True},
        {"name": "more", "named_rest": True},
    ]


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    ("default", "told"),
    [
        (1, {"default": 1}),
        ((1, "a"), {"default": (1, "a")}),
        ([1], {"default": [1]}),
        ({"a": 1}, {"default": {"a": 1}}),
        (datetime.date(2026, 1, 2), {"default": datetime.date(2026, 1, 2)}),
        ({"b", "a"}, {"own_default": "{'a', 'b'}"}),
        (Colour.RED, {"own_default": "<Colour.RED: 1>"}),
        (re.compile("x"), {"own_default": "re.compile('x')"}),
        (math.sin, {"own_default": "<built-in function sin>"}),
        ("\ud800", {"own_default": "'\\ud800'"}),
    ],
)
def test_a_default_is_told_if_the_server_gives_back_the_same(default: Any, told: Any) -> None:
    def f(a=default): ...  # type: ignore[no-untyped-def]

    assert signature(f)[0] == [{"name": "a"} | told]


def test_one_hint_that_cannot_be_found_leaves_the_others() -> None:
    def f(a: Unknown, b: int) -> Unknown: ...

    params, returns, _ = signature(f)
    assert params == [{"name": "a"}, {"name": "b", "type": "int"}]
    assert returns == "any"


def test_streams_tell_the_type_of_their_items() -> None:
    def f() -> Iterator[int]:
        yield 1

    async def g() -> AsyncIterator[str]:
        yield ""

    assert signature(f)[1] == "int"
    assert signature(g)[1] == "text"


def test_functions_of_extensions_and_partial_ones_are_described() -> None:
    assert signature(math.sqrt)[0] == [{"name": "x"}]
    assert signature(max)[0] == [{"name": "args", "rest": True}]

    def f(a: int, b: int = 2) -> int: ...

    params, _, _ = signature(functools.partial(f, 1))
    assert params == [{"name": "b", "type": "int", "default": 2}]


def call(function: Callable[..., Any], sent: list[Any]) -> Any:
    positional, named = signature(function)[2].arguments(sent)
    return function(*positional, **named)


def test_elements_become_the_arguments_of_any_function() -> None:
    marker = object()

    def f(a, b=marker, *rest, c=marker, **more):  # type: ignore[no-untyped-def]
        return a, b is marker, rest, c is marker, more

    assert call(f, [1, ABSENT, [], ABSENT, {}]) == (1, True, (), True, {})
    assert call(f, [1, 2, [3, 4], 5, {"x": 6}]) == (1, False, (3, 4), False, {"x": 6})


def test_arguments_are_what_the_hint_says() -> None:
    def f(
        a: tuple[int, ...],
        b: set[int],
        c: datetime.datetime,
        d: datetime.date,
        e: datetime.time,
        g: bytearray,
        h: datetime.date | None,
        i: frozenset[Any],
    ) -> Any:
        return a, b, c, d, e, g, h, i

    day, moment = datetime.date(2026, 1, 2), datetime.datetime(2026, 1, 2)
    span = datetime.timedelta(hours=1)
    got = call(f, [[1, 2], [3], day, moment, span, b"x", None, [[1]]])
    expected = ((1, 2), {3}, moment, day, datetime.time(1), bytearray(b"x"), None, {(1,)})
    assert got == expected
    assert [type(each) for each in got] == [type(each) for each in expected[:-1]] + [frozenset]


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (datetime.date, datetime.datetime(2026, 1, 2, 3)),
        (datetime.date, datetime.timedelta(1)),
        (datetime.datetime, datetime.timedelta(1)),
        (datetime.timedelta, datetime.date(2026, 1, 2)),
        (datetime.time, datetime.timedelta(days=1)),
        (datetime.time, datetime.timedelta(seconds=-1)),
    ],
)
def test_a_time_of_another_kind_is_refused(hint: Any, value: Any) -> None:
    def f(when): ...  # type: ignore[no-untyped-def]

    f.__annotations__["when"] = hint
    with pytest.raises(Refused, match="argument 'when'") as refused:
        call(f, [value])
    assert refused.value.kind == "type"
