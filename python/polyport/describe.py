"""What a function takes and gives, told to the server and used to call the function."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import inspect
import numbers
import re
import sys
import types
import typing
from collections import abc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from polyport import values
from polyport.faults import Refused

_TYPES: dict[Any, str] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "text",
    bytes: "bytes",
    bytearray: "bytes",
    decimal.Decimal: "decimal",
    numbers.Number: "number",
    numbers.Real: "number",
    numbers.Integral: "int",
    datetime.date: "time",
    datetime.datetime: "time",
    datetime.time: "time",
    datetime.timedelta: "time",
    list: "list",
    tuple: "list",
    set: "list",
    frozenset: "list",
    abc.Sequence: "list",
    abc.MutableSequence: "list",
    abc.Iterable: "list",
    abc.Collection: "list",
    abc.Set: "list",
    abc.MutableSet: "list",
    dict: "map",
    abc.Mapping: "map",
    abc.MutableMapping: "map",
}

_STREAMS = (abc.Iterator, abc.Generator, abc.Iterable)
_ASYNC_STREAMS = (abc.AsyncIterator, abc.AsyncGenerator, abc.AsyncIterable)

#: Letters of a default's text in a signature.
_SHOWN_LETTERS = 100

_NOT_GIVEN = inspect.Parameter.empty


@dataclass
class Shape:
    """How the elements of a CALL become the arguments of a Python function."""

    count: int = 0
    #: Places of arguments whose default only this process knows, with that default.
    defaults: list[tuple[int, Any]] = field(default_factory=list)
    #: Places of arguments that are converted, with the parameter's name and what converts.
    conversions: list[tuple[int, str, Callable[[Any], Any]]] = field(default_factory=list)
    #: How many are given by position.
    positional: int = 0
    #: The place of the list of further positional arguments.
    rest: int | None = None
    #: Places of arguments given by name only.
    named: list[tuple[int, str]] = field(default_factory=list)
    #: The place of the map of further arguments by name.
    named_rest: int | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the elements are the arguments as they are."""
        simple = not self.defaults and not self.conversions
        return simple and self.positional == self.count

    def arguments(self, sent: list[Any]) -> tuple[list[Any], dict[str, Any]]:
        """The positional and the named arguments for the elements of a CALL."""
        for at, default in self.defaults:
            if sent[at] is values.ABSENT:
                sent[at] = default
        for at, name, convert in self.conversions:
            if sent[at] is not None:
                try:
                    sent[at] = convert(sent[at])
                except (TypeError, ValueError) as error:
                    raise Refused("type", f"argument '{name}': {error}") from None
        positional = sent[: self.positional]
        if self.rest is not None:
            positional += sent[self.rest]
        named = {name: sent[at] for at, name in self.named}
        if self.named_rest is not None:
            named.update(sent[self.named_rest])
        return positional, named


def signature(
    function: Callable[..., Any], method: bool = False
) -> tuple[list[dict[str, Any]], str, Shape]:
    """The parameters for HELLO, the type of the result, and how to call the function.

    The first parameter of a method is not its callers' to give.
    """
    shape = Shape()
    try:
        parameters = list(_signature(function).parameters.values())[method:]
    except (TypeError, ValueError):  # A function of an extension module that tells nothing.
        return [{"name": "args", "rest": True}], "any", Shape(count=1, rest=0)
    hints = _hints(function)
    params = []
    for at, parameter in enumerate(parameters):
        hint = hints.get(parameter.name, _NOT_GIVEN)
        params.append(_param(at, parameter, hint, shape))
    shape.count = len(params)
    return params, _returned(hints.get("return", _NOT_GIVEN)), shape


def type_of(hint: Any) -> tuple[str, bool]:
    """The name of the type that a hint declares, and whether null is taken."""
    members, nullable = _members(hint)
    kinds = {_TYPES.get(member, "any") for member in members}
    if len(kinds) > 1 and kinds <= {"int", "float", "decimal", "number"}:
        return "number", nullable
    return (kinds.pop() if len(kinds) == 1 else "any"), nullable


def conversion_of(hint: Any) -> Callable[[Any], Any] | None:
    """What makes the value that a hint declares of the one that the server sends."""
    members, _ = _members(hint)
    return _CONVERSIONS.get(members[0]) if len(members) == 1 else None


def help_of(thing: Any) -> str:
    """The documentation of a function, unindented."""
    doc = getattr(thing, "__doc__", None)
    return inspect.cleandoc(doc) if isinstance(doc, str) else ""


def _param(at: int, parameter: inspect.Parameter, hint: Any, shape: Shape) -> dict[str, Any]:
    param: dict[str, Any] = {"name": parameter.name}
    if parameter.kind is parameter.VAR_POSITIONAL:
        shape.rest = at
        return param | {"rest": True}
    if parameter.kind is parameter.VAR_KEYWORD:
        shape.named_rest = at
        return param | {"named_rest": True}
    kind, nullable = type_of(hint)
    default = parameter.default
    if kind != "any":
        param["type"] = kind
        if nullable or default is None:
            param["nullable"] = True
    convert = conversion_of(hint)
    if convert:
        shape.conversions.append((at, parameter.name, convert))
    if parameter.kind is parameter.KEYWORD_ONLY:
        param["only_named"] = True
        shape.named.append((at, parameter.name))
    else:
        shape.positional += 1
    if default is not _NOT_GIVEN:
        if _comes_back(default):
            param["default"] = default
        else:
            param["own_default"] = _shown(default)
            shape.defaults.append((at, default))
    return param


def _comes_back(value: Any) -> bool:
    """Whether the server gives back an equal value of the same type."""
    kind = type(value)
    if kind in (list, tuple):
        return all(map(_comes_back, value))
    if kind is dict:
        return all(type(key) is str and _comes_back(each) for key, each in value.items())
    if kind not in _CONSTANTS or (kind is datetime.datetime and value.tzinfo is not None):
        return False
    try:
        values.pack(value)
    except (TypeError, ValueError):
        return False
    return kind is not decimal.Decimal or bool(value.is_finite())


_CONSTANTS = frozenset(
    (type(None), bool, int, float, str, bytes)
    + (decimal.Decimal, datetime.date, datetime.datetime, datetime.timedelta)
)


def _shown(default: Any) -> str:
    # Without addresses and the order of a set: every worker of an application has to say the same.
    try:
        text = repr(default)
        if type(default) in (set, frozenset) and default:
            text = text.replace(repr(set(default)), f"{{{', '.join(sorted(map(repr, default)))}}}")
    except Exception:
        return "..."
    text = text.encode("utf-8", "backslashreplace").decode()
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)[:_SHOWN_LETTERS]


def _returned(hint: Any) -> str:
    origin = typing.get_origin(hint)
    if origin in _STREAMS[:2] or origin in _ASYNC_STREAMS:
        hint = (typing.get_args(hint) or (Any,))[0]
    kind, nullable = type_of(hint)
    return "any" if nullable else kind


def _members(hint: Any) -> tuple[list[Any], bool]:
    """The classes that a hint is a union of, without ``None``, and whether that was among them."""
    if isinstance(hint, typing.NewType):
        return _members(hint.__supertype__)
    if hasattr(typing, "TypeAliasType") and isinstance(hint, typing.TypeAliasType):
        return _members(hint.__value__)
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _members(typing.get_args(hint)[0])
    if origin not in (typing.Union, types.UnionType):
        cls = origin or hint
        if cls is None or cls is type(None):
            return [], True
        return [cls if isinstance(cls, type) else Any], False
    parts = [_members(part) for part in typing.get_args(hint)]
    classes = [cls for members, _ in parts for cls in members]
    return classes, any(nullable for _, nullable in parts)


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    if sys.version_info >= (3, 14):
        # Hints are evaluated when asked for, and may name what only a type checker imports.
        import annotationlib

        form = annotationlib.Format.FORWARDREF
        return inspect.signature(function, annotation_format=form)
    return inspect.signature(function)


def _hints(function: Any) -> dict[str, Any]:
    """The hints that can be found out; one that names what only a type checker imports cannot."""
    function = inspect.unwrap(function)
    if not hasattr(function, "__annotations__"):
        function = function.func if hasattr(function, "func") else type(function).__call__
    with contextlib.suppress(Exception):
        return typing.get_type_hints(function, include_extras=True)
    space = getattr(function, "__globals__", {})
    found = {}
    for name, hint in _raw_hints(function).items():
        try:
            found[name] = eval(hint, space) if isinstance(hint, str) else hint
        except Exception:
            found[name] = _NOT_GIVEN
    return found


def _raw_hints(function: Any) -> dict[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(function, format=annotationlib.Format.FORWARDREF)
    return getattr(function, "__annotations__", {})


def _to_datetime(value: Any) -> Any:
    if type(value) is datetime.date:
        return datetime.datetime.combine(value, datetime.time())
    if isinstance(value, datetime.datetime):
        return value
    raise TypeError(f"a date and time is needed, not {value}")


def _to_date(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        if value.time() != datetime.time():
            raise TypeError(f"a date is needed, not {value}")
        return value.date()
    if isinstance(value, datetime.date):
        return value
    raise TypeError(f"a date is needed, not {value}")


def _to_time(value: Any) -> Any:
    if isinstance(value, datetime.timedelta) and value.days == 0:
        return (datetime.datetime.min + value).time()
    if isinstance(value, datetime.time):
        return value
    raise TypeError(f"a time of day is needed, not {value}")


def _to_span(value: Any) -> Any:
    if isinstance(value, datetime.timedelta):
        return value
    raise TypeError(f"a span of time is needed, not {value}")


_CONVERSIONS: dict[Any, Callable[[Any], Any]] = {
    tuple: tuple,
    set: lambda items: set(map(values.freeze, items)),
    abc.Set: lambda items: set(map(values.freeze, items)),
    abc.MutableSet: lambda items: set(map(values.freeze, items)),
    frozenset: lambda items: frozenset(map(values.freeze, items)),
    bytearray: bytearray,
    datetime.datetime: _to_datetime,
    datetime.date: _to_date,
    datetime.time: _to_time,
    datetime.timedelta: _to_span,
}
