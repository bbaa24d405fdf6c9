"""What a function may return besides plain values."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

#: The names of types, as parameters, results and columns declare them.
TYPES = frozenset(
    ("any", "bool", "int", "number", "float", "decimal", "text", "bytes", "time", "list", "map")
)

_BY_CLASS: dict[type, str] = {
    bool: "bool",
    int: "int",
    float: "float",
    decimal.Decimal: "decimal",
    str: "text",
    bytes: "bytes",
    datetime.date: "time",
    datetime.datetime: "time",
    datetime.timedelta: "time",
    datetime.time: "time",
    list: "list",
    tuple: "list",
    dict: "map",
}


class Column(NamedTuple):
    """A column of a table or a stream: its name, and the name of its type."""

    name: str
    type: str = "any"


#: What stands for a column: a name, or a name and a type, as Python's own or by its name.
ColumnLike = str | Column | tuple[str, "str | type"]


class Rows:
    """A table: named columns, and rows as long as there are columns.

    A column is a name, or a pair of a name and a type: ``Rows(["n", ("price", Decimal)], rows)``.
    """

    __slots__ = ("columns", "rows")

    columns: list[Column]
    rows: list[list[Any]]

    def __init__(self, columns: Iterable[ColumnLike], rows: Iterable[Iterable[Any]] = ()) -> None:
        self.columns = to_columns(columns)
        self.rows = [list(row) for row in rows]
        width = len(self.columns)
        for number, row in enumerate(self.rows):
            if len(row) != width:
                raise ValueError(f"row {number} has {len(row)} cells, the table {width} columns")

    def __iter__(self) -> Any:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rows):
            return NotImplemented
        return self.columns == other.columns and self.rows == other.rows

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Rows({[column.name for column in self.columns]}, {self.rows})"


class Many:
    """Several results of one call, one after the other: ``Many([Rows(…), Rows(…)])``."""

    __slots__ = ("replies",)

    replies: list[Any]

    def __init__(self, replies: Iterable[Any]) -> None:
        self.replies = list(replies)

    def __iter__(self) -> Any:
        return iter(self.replies)

    def __len__(self) -> int:
        return len(self.replies)

    def __eq__(self, other: object) -> bool:
        return self.replies == other.replies if isinstance(other, Many) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Many({self.replies})"


class Foreign(NamedTuple):
    """An object of another program, kept as the bytes it came in; only its dialect reads it."""

    dialect: str
    data: bytes


def to_columns(columns: Iterable[ColumnLike]) -> list[Column]:
    """The columns that names, or pairs of a name and a type, stand for."""
    return [_column(column) for column in columns]


def columns_on_wire(columns: Sequence[Column]) -> list[str | list[str]]:
    """Columns as frames hold them."""
    return [name if kind == "any" else [name, kind] for name, kind in columns]


def _column(column: ColumnLike) -> Column:
    name, kind = (column, "any") if isinstance(column, str) else column
    if isinstance(kind, type):
        kind = _BY_CLASS.get(kind, "any")
    if not isinstance(name, str) or kind not in TYPES:
        raise ValueError(f"no column: {column!r}; the types are {', '.join(sorted(TYPES))}")
    return Column(name, kind)
