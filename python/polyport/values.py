"""Python's values to MessagePack and back, with extensions for what MessagePack lacks.

What each extension holds stands in ``docs/protocols/worker.md``.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import pathlib
import uuid
from collections.abc import Iterable, Mapping, MappingView, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import msgpack  # type: ignore[import-untyped]

from polyport.results import Foreign, Many, Rows, columns_on_wire

_INTEGER, _DECIMAL, _DATE, _DATETIME, _SPAN = 1, 2, 3, 4, 5
_TUPLE, _SET, _FOREIGN, _ABSENT, _TABLE, _MANY = 6, 7, 8, 9, 16, 17

#: The server reads no longer integers and decimals: printing them costs their square.
_INTEGER_BYTES = 64 * 1024
_DECIMAL_DIGITS = 4300


# An extension made without the checks of its class, which cost more than packing it.
_extension = functools.partial(tuple.__new__, msgpack.ExtType)


class Absent:
    """The type of :data:`ABSENT`."""

    def __repr__(self) -> str:
        return "ABSENT"


#: Stands for an argument that the caller left out and whose default only this process knows.
ABSENT = Absent()


def pack(value: object) -> bytes:
    """One value as MessagePack. Raises ``TypeError`` for what cannot be sent.

    What is wrong with a value of the right type, such as half a surrogate pair in a text, is a
    ``ValueError``, as is a value that holds itself.
    """
    try:
        packer = _idle.pop()
    except IndexError:
        packer = msgpack.Packer(default=_extended, strict_types=True)
    try:
        packed: bytes = packer.pack(value)
    except RecursionError:
        raise ValueError("the value is nested too deep, or holds itself") from None
    if len(packed) < _KEPT_BYTES:
        _idle.append(packer)
    return packed


def pack_reply(id: int, kind: int, reply: object) -> bytes:
    """The array of a frame whose last element is what a function returned."""
    return pack([kind, id, _reply(reply) if type(reply) in _WHOLE else reply])


#: What can be a whole reply, and no part of one.
_WHOLE = frozenset((Rows, Many))


def unpack(data: bytes) -> Any:
    """The value that MessagePack holds. Raises ``ValueError`` when the bytes hold none."""
    try:
        return _unpack(data)
    except TypeError:  # A key that is not constant, such as a set: rare, so tried second.
        pass
    try:
        return _unpack(data, object_pairs_hook=_frozen_map)
    except TypeError as error:
        raise ValueError(str(error)) from None


def freeze(key: Any) -> Any:
    """A value that can be a key: lists become tuples, sets frozen sets, maps tuples of pairs."""
    if isinstance(key, (list, tuple)):
        return tuple(map(freeze, key))
    if isinstance(key, set):
        return frozenset(map(freeze, key))
    if isinstance(key, dict):
        return tuple((name, freeze(value)) for name, value in key.items())
    return key


def _frozen_map(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    return {freeze(key): value for key, value in pairs}


# A packer cannot be used again while it packs, and the elements of a tuple are packed within the
# packing of what holds the tuple; so there are as many as the deepest nesting needed.
_idle: list[Any] = []

#: A packer keeps the memory of the longest value it packed; beyond this it is given up.
_KEPT_BYTES = 1 << 20


def _reply(reply: object) -> object:
    if type(reply) is Rows:
        return _extension((_TABLE, pack([columns_on_wire(reply.columns), reply.rows])))
    if type(reply) is Many:
        return _extension((_MANY, pack([_reply(each) for each in reply.replies])))
    return reply


def _extended(value: Any) -> Any:
    """What stands for a value that MessagePack does not know; the packer asks for it."""
    known = _EXTENDED.get(type(value))
    if known is not None:
        return known(value)
    if isinstance(value, enum.Enum):
        return _finished(value.value)
    for kind, extend in _BY_BASE:
        if isinstance(value, kind):
            return extend(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: getattr(value, field.name) for field in fields}
    # NumPy's scalars and arrays, and those of libraries like it, without importing any.
    for method in ("tolist", "item"):
        plain = getattr(value, method, None)
        if callable(plain) and not isinstance(value, type):
            plain = plain()
            if type(plain) is not type(value):
                return _finished(plain)
    if isinstance(value, (Rows, Many)):
        raise TypeError(f"{type(value).__name__} can be a whole result, not a part of one")
    raise TypeError(f"a value of type '{_type_name(type(value))}' cannot be sent")


def _finished(value: Any) -> Any:
    """The packer asks once for each value, so what stands for it must be what it knows."""
    return value if type(value) in _KNOWN else _extended(value)


_KNOWN = frozenset((type(None), bool, float, str, bytes, list, dict))


def _type_name(kind: type) -> str:
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _tuple(value: tuple[Any, ...]) -> Any:
    return _extension((_TUPLE, pack(list(value))))


def _set(value: AbstractSet[Any]) -> Any:
    return _extension((_SET, pack(list(value))))


def _integer(value: int) -> Any:
    value = int(value)
    if -(2**63) <= value < 2**64:
        return value  # An integer of a class of its own.
    length = value.bit_length() // 8 + 1
    if length > _INTEGER_BYTES:
        raise ValueError(f"an integer of {length} bytes cannot be sent")
    return _extension((_INTEGER, value.to_bytes(length, "big", signed=True)))


def _decimal(value: decimal.Decimal) -> Any:
    if not value.is_finite():
        return float(value)
    text = str(value)
    if "E" in text and abs(value.adjusted()) <= _DECIMAL_DIGITS:
        text = format(value, "f")
    if len(text) > _DECIMAL_DIGITS or "E" in text:
        raise ValueError(f"a decimal of more than {_DECIMAL_DIGITS} digits cannot be sent")
    return _extension((_DECIMAL, text.encode()))


def _datetime(value: datetime.datetime) -> Any:
    if value.tzinfo is not None:
        value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return _extension((_DATETIME, value.isoformat(" ").encode()))


def _date(value: datetime.date) -> Any:
    return _extension((_DATE, value.isoformat().encode()))


def _time(value: datetime.time) -> Any:
    minutes = value.hour * 60 + value.minute
    seconds = minutes * 60 + value.second
    return _span(datetime.timedelta(seconds=seconds, microseconds=value.microsecond))


def _span(value: datetime.timedelta) -> Any:
    micros = value // datetime.timedelta(microseconds=1)
    seconds, micros = divmod(abs(micros), 1_000_000)
    sign = -1 if value < datetime.timedelta(0) else 1
    data = (sign * seconds).to_bytes(8, "big", signed=True)
    return _extension((_SPAN, data + (sign * micros * 1000).to_bytes(4, "big", signed=True)))


def _foreign(value: Foreign) -> Any:
    return _extension((_FOREIGN, pack([value.dialect, value.data])))


_EXTENDED: dict[type, Any] = {
    tuple: _tuple,
    int: _integer,
    set: _set,
    frozenset: _set,
    decimal.Decimal: _decimal,
    datetime.datetime: _datetime,
    datetime.date: _date,
    datetime.time: _time,
    datetime.timedelta: _span,
    uuid.UUID: str,
    Foreign: _foreign,
    Absent: lambda value: _extension((_ABSENT, b"")),
}

# In this order: a moment is also a date, and the keys of a map are also a set.
_BY_BASE: list[tuple[Any, Any]] = [
    (str, str.__str__),
    (int, _integer),
    (float, float.__float__),
    (tuple, _tuple),
    (list, list),
    (bytes, bytes),
    (bytearray, bytes),
    (decimal.Decimal, _decimal),
    (datetime.datetime, _datetime),
    (datetime.date, _date),
    (datetime.time, _time),
    (datetime.timedelta, _span),
    (Mapping, dict),
    (MappingView, list),
    (AbstractSet, _set),
    (Sequence, list),
    (collections.deque, list),
    (pathlib.PurePath, str),
    (uuid.UUID, str),
]


def _from_extension(code: int, data: bytes) -> Any:
    reader = _READERS.get(code)
    if reader is None:
        raise ValueError(f"there is no value of extension {code}")
    return reader(data)


_unpack = functools.partial(msgpack.unpackb, ext_hook=_from_extension, strict_map_key=False)


def _read_text_time(read: Any) -> Any:
    def reader(data: bytes) -> Any:
        text = data.decode()
        # The standard library before Python 3.11 reads three or six digits of a fraction only.
        whole, point, fraction = text.partition(".")
        try:
            return read(f"{whole}.{fraction:0<6.6}" if point else text)
        except ValueError:
            # Years before 1 are dates to the server and none to Python.
            return text

    return reader


def _read_span(data: bytes) -> datetime.timedelta:
    if len(data) != 12:
        raise ValueError("a span of time has 12 bytes")
    seconds = int.from_bytes(data[:8], "big", signed=True)
    nanos = int.from_bytes(data[8:], "big", signed=True)
    micros = abs(nanos) // 1000 * (-1 if nanos < 0 else 1)
    try:
        return datetime.timedelta(seconds=seconds, microseconds=micros)
    except OverflowError:
        return datetime.timedelta.max if seconds > 0 else datetime.timedelta.min


def _read_decimal(data: bytes) -> decimal.Decimal:
    try:
        return decimal.Decimal(data.decode())
    except decimal.InvalidOperation:
        raise ValueError("no decimal in extension 2") from None


def _read_foreign(data: bytes) -> Foreign:
    dialect, content = unpack(data)
    return Foreign(dialect, content)


def _read_absent(data: bytes) -> Absent:
    return ABSENT


def _read_table(data: bytes) -> Rows:
    columns, rows = unpack(data)
    return Rows(columns, rows)


_READERS: dict[int, Any] = {
    _INTEGER: lambda data: int.from_bytes(data, "big", signed=True),
    _DECIMAL: _read_decimal,
    _DATE: _read_text_time(datetime.date.fromisoformat),
    _DATETIME: _read_text_time(datetime.datetime.fromisoformat),
    _SPAN: _read_span,
    _TUPLE: lambda data: tuple(unpack(data)),
    _SET: lambda data: set(map(freeze, unpack(data))),
    _FOREIGN: _read_foreign,
    _ABSENT: _read_absent,
    _TABLE: _read_table,
    _MANY: lambda data: Many(unpack(data)),
}
