from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import pathlib
import random
import uuid
from decimal import Decimal
from typing import Any, NamedTuple

import msgpack
import pytest

from polyport import Foreign, Many, Rows, values
from polyport.values import ABSENT, pack, pack_reply, unpack

UTC = datetime.timezone.utc


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(2**63),
        2**64 - 1,
        2**64,
        -(2**63) - 1,
        -(2**200),
        255 << 64,
        0.5,
        float("inf"),
        Decimal("-1.50"),
        Decimal("123456789012345678901234567890.123"),
        "it's 中",
        b"\x00\xff",
        datetime.date(2026, 11, 21),
        datetime.datetime(2026, 11, 21, 15, 4, 5),
        datetime.datetime(2026, 11, 21, 15, 4, 5, 60),
        datetime.timedelta(days=-3, microseconds=1),
        datetime.timedelta(hours=838, minutes=59, seconds=59),
        [1, "x", [2.5, None]],
        (1, ("x", [(2,)])),
        {1, 2},
        {"a": 1, 2: [3], (1, 2): "tuple"},
        {(1, (2, b"x")): {"deep": {(): 0}}},
        Foreign("pickle", b"\x80\x04."),
    ],
    ids=repr,
)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    back = unpack(pack(value))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    ("value", "bytes_"),
    [
        (2**64, "c70901010000000000000000"),
        (-(2**63) - 1, "c70901ff7fffffffffffffff"),
        (Decimal("-1.50"), "c705022d312e3530"),
        (datetime.date(2026, 11, 21), "c70a03" + b"2026-11-21".hex()),
        (datetime.datetime(2026, 1, 2, 3, 4, 5), "c71304" + b"2026-01-02 03:04:05".hex()),
        (datetime.timedelta(seconds=-1), "c70c05ffffffffffffffff00000000"),
        (datetime.timedelta(microseconds=-1), "c70c050000000000000000fffffc18"),
        ((1,), "d50691" + "01"),
        ({5}, "d5079105"),
        (Foreign("pickle", b"."), "c70b0892a67069636b6c65c4012e"),
        (ABSENT, "c70009"),
    ],
    ids=repr,
)
def test_extensions_are_those_of_the_protocol(value: Any, bytes_: str) -> None:
    assert pack(value).hex() == bytes_


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)


class Number(enum.IntEnum):
    THREE = 3


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Person:
    name: str
    born: datetime.date


class Text(str):
    pass


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (Colour.RED, "red"),
        (Colour.PAIR, (1, 2)),
        (Number.THREE, 3),
        (Point(1, 2), (1, 2)),
        (
            Person("ann", datetime.date(2000, 1, 2)),
            {"name": "ann", "born": datetime.date(2000, 1, 2)},
        ),
        (Text("x"), "x"),
        (frozenset({1}), {1}),
        (bytearray(b"x"), b"x"),
        (memoryview(b"x"), b"x"),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.Counter("a"), {"a": 1}),
        (collections.deque([1]), [1]),
        (range(3), [0, 1, 2]),
        ({"a": 1}.keys(), ["a"]),
        ({"a": 1}.values(), [1]),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime.time(3, 4, 5, 6), datetime.timedelta(hours=3, minutes=4, seconds=5.000006)),
        (datetime.datetime(2026, 1, 1, 1, tzinfo=UTC), datetime.datetime(2026, 1, 1, 1)),
        (
            datetime.datetime(2026, 1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
            datetime.datetime(2025, 12, 31, 23),
        ),
        (Decimal("1E+3"), Decimal(1000)),
    ],
    ids=repr,
)
def test_what_the_server_does_not_know_is_sent_as_the_nearest_that_it_knows(
    value: Any, sent: Any
) -> None:
    back = unpack(pack(value))
    assert back == sent
    assert type(back) is type(sent)


def test_a_decimal_that_is_no_number_is_sent_as_a_float() -> None:
    assert str(unpack(pack(Decimal("NaN")))) == "nan"
    assert unpack(pack(Decimal("-Infinity"))) == float("-inf")


def test_numbers_of_numpy_are_sent_as_pythons() -> None:
    numpy = pytest.importorskip("numpy")
    assert unpack(pack(numpy.int64(3))) == 3
    assert unpack(pack(numpy.float32(0.5))) == 0.5
    assert unpack(pack(numpy.bool_(True))) is True
    assert unpack(pack({"m": numpy.array([[1, 2], [3, 4]])})) == {"m": [[1, 2], [3, 4]]}
    assert unpack(pack(numpy.datetime64("2026-11-21"))) == datetime.date(2026, 11, 21)
    assert unpack(pack(numpy.uint64(2**64 - 1))) == 2**64 - 1


class Unknown:
    pass


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (Unknown(), "test_values.Unknown"),
        ([{"a": (object(),)}], "'object'"),
        (Unknown, "'type'"),
        ([Rows(["a"])], "Rows can be a whole result"),
        ((i for i in ()), "generator"),
    ],
)
def test_the_type_of_what_cannot_be_sent_is_named(value: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        pack(value)
    assert pack(1) == b"\x01"


def test_what_is_too_large_or_endless_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    endless_tuple: list[Any] = []
    endless_tuple.append((endless_tuple,))
    bad = [endless, endless_tuple, 1 << (8 * 65536), Decimal(10) ** 5000, Decimal("1E-5000")]
    for value in [*bad, "\ud800"]:
        with pytest.raises(ValueError):
            pack(value)


def test_keys_that_python_cannot_hold_become_constant() -> None:
    key_list = msgpack.packb({(1, 2): "x"})
    assert unpack(key_list) == {(1, 2): "x"}
    key_set = b"\x81" + pack({1, 2}) + b"\x01"
    assert unpack(key_set) == {frozenset({1, 2}): 1}
    set_of_lists = msgpack.packb(msgpack.ExtType(7, msgpack.packb([[1], [2]])))
    assert unpack(set_of_lists) == {(1,), (2,)}
    tuple_with_set = msgpack.packb(msgpack.ExtType(6, pack([{1}])))
    assert unpack(b"\x81" + tuple_with_set + b"\x01") == {(frozenset({1}),): 1}


def test_times_that_python_cannot_hold_stay_text_or_are_cut() -> None:
    def extension(code: int, text: bytes) -> Any:
        return unpack(msgpack.packb(msgpack.ExtType(code, text)))

    assert extension(3, b"0000-00-00") == "0000-00-00"
    nine = extension(4, b"2026-11-21 15:04:05.123456789")
    assert nine == datetime.datetime(2026, 11, 21, 15, 4, 5, 123456)
    one = extension(4, b"2026-11-21 15:04:05.5")
    assert one == datetime.datetime(2026, 11, 21, 15, 4, 5, 500000)
    assert extension(5, b"\x7f" + b"\xff" * 7 + b"\0" * 4) == datetime.timedelta.max
    assert extension(
        5, (-1).to_bytes(8, "big", signed=True) + (-999).to_bytes(4, "big", signed=True)
    ) == (datetime.timedelta(seconds=-1))


def test_tables_and_several_replies_are_whole_replies() -> None:
    rows = Rows(["n", ("price", Decimal)], [(1, Decimal("1.5")), [2, None]])
    kind, id, back = unpack(pack_reply(9, 5, rows))
    assert (kind, id, back) == (5, 9, rows)
    assert back.columns == [("n", "any"), ("price", "decimal")]
    many = Many([rows, 7, Many([None])])
    assert unpack(pack_reply(9, 5, many))[2] == many


def test_a_table_refuses_rows_that_do_not_fit_and_columns_of_no_type() -> None:
    with pytest.raises(ValueError, match="row 1 has 1 cells"):
        Rows(["a", "b"], [(1, 2), (1,)])
    with pytest.raises(ValueError, match="no column"):
        Rows([("a", "sometype")])


def test_bytes_that_are_no_value_are_an_error_and_nothing_else() -> None:
    chance = random.Random(3)
    good = [
        pack([2, 1, "math.add", [3, (4,), {5}], {"k": Decimal("1.5")}, [1, "u", None]]),
        pack({(1, 2): datetime.datetime(2026, 1, 2), "x": Foreign("pickle", b"x"), 2: [ABSENT]}),
        pack_reply(1, 5, Many([Rows(["a"], [[1]]), datetime.timedelta(1)])),
    ]
    for _ in range(10_000):
        data = bytearray(chance.choice(good))
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            unpack(bytes(data))
        except (ValueError, RecursionError):
            pass


def test_a_packer_does_not_keep_the_memory_of_a_long_value() -> None:
    pack(b"x" * (8 << 20))
    assert all(len(packer.bytes()) < 1 << 20 for packer in values._idle)
