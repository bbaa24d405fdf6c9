"""Errors: those that the server answers, and what becomes of those that functions raise."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable
from typing import Any, ClassVar

from polyport import values

#: Letters of a traceback and of a message that are sent; the rest is cut off.
_TEXT_LETTERS = 64 * 1024

_OWN_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep


class LogicError(Exception):
    """An error that the application means to give, with a number that MySQL clients receive.

    ``raise LogicError(1234, "no such thing")`` is error 1234 to them, and an error of the class
    ``LogicError`` with that message to everybody else.
    """

    errno: int
    message: str = ""

    def __init__(self, errno: int, message: str = "") -> None:
        if not isinstance(errno, int) or isinstance(errno, bool) or not 0 <= errno <= 0xFFFF:
            raise ValueError(f"the number of an error is an integer up to 65535, not {errno!r}")
        super().__init__(errno, message)
        self.errno = errno
        self.message = str(message)

    def __str__(self) -> str:
        return self.message


class Fault(Exception):
    """A failure in the server's own terms.

    It is what a call of another function raises, as the subclass of its kind; and a function may
    raise one to choose the kind of failure that its client sees.
    """

    #: The kind, one word such as ``not_found``.
    kind: ClassVar[str] = "internal"

    # With values, since a subclass may have an __init__ that does not call this one.

    #: The text that the user reads.
    message: str = ""
    #: The class of the exception that the function raised, empty when there was none.
    class_name: str = ""
    #: The error number that the function chose, or ``None``.
    errno: int | None = None
    #: Named details.
    attributes: dict[str, Any] = {}  # noqa: RUF012
    #: The traceback of the function, empty when there is none.
    trace: str = ""
    #: ``yes``, ``no`` or ``maybe``: whether the call may have had an effect.
    ran: str = "yes"

    def __init__(
        self,
        message: str = "",
        *,
        class_name: str = "",
        errno: int | None = None,
        attributes: dict[str, Any] | None = None,
        trace: str = "",
        ran: str = "yes",
    ) -> None:
        super().__init__(message)
        self.message = str(message)
        self.class_name = class_name
        self.errno = errno
        self.attributes = attributes or {}
        self.trace = trace
        self.ran = ran

    def __str__(self) -> str:
        return self.message


class Syntax(Fault, ValueError):
    """The request cannot be understood."""

    kind = "syntax"


class NotFound(Fault, LookupError):
    """Nothing of that name is there, or the user may not see that it is."""

    kind = "not_found"


class BadArguments(Fault, TypeError):
    """The arguments do not fit the parameters."""

    kind = "arguments"


class BadType(Fault, TypeError):
    """An argument cannot become the type that its parameter declares."""

    kind = "type"


class Denied(Fault, PermissionError):
    """The user lacks the right."""

    kind = "denied"


class LoginRefused(Fault, PermissionError):
    """Nobody is logged in, or the login was refused."""

    kind = "login"


class Raised(Fault, RuntimeError):
    """The function raised an exception: ``class_name`` is its class."""

    kind = "raised"


class Timeout(Fault, TimeoutError):
    """The time limit passed."""

    kind = "timeout"


class Cancelled(Fault):
    """Somebody stopped the call."""

    kind = "cancelled"


class Busy(Fault, RuntimeError):
    """A limit on connections, calls or memory is reached; the same call may pass later."""

    kind = "busy"


class TooLarge(Fault, ValueError):
    """One request, reply or value is over its limit."""

    kind = "too_large"


class Conflict(Fault, RuntimeError):
    """Somebody else was first."""

    kind = "conflict"


class Unsupported(Fault, NotImplementedError):
    """Understood, but not offered."""

    kind = "unsupported"


class Unavailable(Fault, ConnectionError):
    """Something behind the server is gone."""

    kind = "unavailable"


class Internal(Fault, RuntimeError):
    """A defect of the server."""

    kind = "internal"


class Refused(Exception):
    """A call that this package itself refuses before the function begins."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


_BY_KIND: dict[str, type[Fault]] = {kind.kind: kind for kind in Fault.__subclasses__()}


def from_wire(fault: Any) -> Fault:
    """The exception for a fault as frames hold it."""
    if not isinstance(fault, dict):
        return Internal(f"a fault that is none: {fault!r}")
    kind = _BY_KIND.get(str(fault.get("kind")), Raised)
    attributes = fault.get("attributes")
    errno = fault.get("errno")
    return kind(
        str(fault.get("message", "")),
        class_name=str(fault.get("class") or ""),
        errno=errno if isinstance(errno, int) else None,
        attributes=attributes if isinstance(attributes, dict) else {},
        trace=str(fault.get("trace") or ""),
        ran=str(fault.get("ran") or _RAN.get(kind.kind, "no")),
    )


def to_wire(error: BaseException) -> dict[str, Any]:
    """An exception that a function raised, as frames hold it."""
    if isinstance(error, Fault):
        # A subclass of the application's own is told by its name, those above by their kind.
        own = "" if type(error) in _BY_KIND.values() else type(error).__name__
        fault: dict[str, Any] = {
            "kind": error.kind,
            "message": _text(error)[:_TEXT_LETTERS],
            "class": _clean(str(error.class_name or own)),
            "attributes": _sendable(error.attributes),
            "trace": _clean("\n".join(filter(None, (str(error.trace), trace(error))))),
            "ran": "maybe" if error.ran == "maybe" else "yes",
        }
        errno = error.errno
    elif isinstance(error, LogicError):
        fault = _raised(error, vars(error).keys() - {"errno", "message"})
        errno = getattr(error, "errno", None)
    else:
        fault = _raised(error, getattr(error, "__dict__", {}).keys())
        errno = None
    if isinstance(errno, int) and 0 <= errno <= 0xFFFF:
        fault["errno"] = errno
    return fault


def _raised(error: BaseException, attributes: Iterable[str]) -> dict[str, Any]:
    return {
        "kind": "raised",
        "message": _text(error)[:_TEXT_LETTERS],
        "class": type(error).__name__,
        "attributes": _sendable({name: vars(error)[name] for name in attributes}),
        "trace": trace(error),
    }


def trace(error: BaseException) -> str:
    """The traceback without the frames of this package."""
    try:
        told = traceback.TracebackException.from_exception(error)
        _strip(told, set())
        text = _clean("".join(told.format()))
    except Exception as broken:  # An exception whose own text fails, for one.
        return f"(no traceback: {type(broken).__name__})"
    if len(text) <= _TEXT_LETTERS:
        return text
    # The last lines tell most, and the first where it began.
    first = _TEXT_LETTERS // 4
    return f"{text[:first]}\n…\n{text[first + 3 - _TEXT_LETTERS :]}"


_RAN = {"raised": "yes", "internal": "yes", "timeout": "maybe", "cancelled": "maybe"}


def _strip(told: Any, seen: set[int]) -> None:
    if told is None or id(told) in seen:
        return
    seen.add(id(told))
    user = [line for line in told.stack if not line.filename.startswith(_OWN_FOLDER)]
    told.stack = traceback.StackSummary.from_list(user)
    _strip(told.__cause__, seen)
    _strip(told.__context__, seen)
    for inner in getattr(told, "exceptions", None) or ():
        _strip(inner, seen)


def _text(error: BaseException) -> str:
    try:
        return _clean(str(error))
    except Exception:
        return ""


def _clean(text: str) -> str:
    """Half a surrogate pair cannot be sent."""
    return text.encode("utf-8", "backslashreplace").decode()


def _sendable(attributes: dict[str, Any]) -> dict[str, Any]:
    """The public attributes that can be sent."""
    return {
        name: value
        for name, value in attributes.items()
        if isinstance(name, str) and not name.startswith("_") and _can_be_sent({name: value})
    }


def _can_be_sent(value: Any) -> bool:
    try:
        return len(values.pack(value)) <= _TEXT_LETTERS
    except Exception:
        return False
