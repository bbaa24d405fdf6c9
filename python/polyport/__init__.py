"""Functions in Python, served to the clients of many protocols.

Write a function, put :func:`function` before it, and ``polyport serve app.py`` makes it reachable
for MySQL, MessagePack-RPC and HTTP clients::

    import polyport

    @polyport.function
    def add(a: int, b: int) -> int:
        \"\"\"Adds two numbers.\"\"\"
        return a + b
"""

from polyport.context import Call, acall, call, current, within
from polyport.decorators import function, object, register, skip
from polyport.faults import (
    BadArguments,
    BadType,
    Busy,
    Cancelled,
    Conflict,
    Denied,
    Fault,
    Internal,
    LogicError,
    LoginRefused,
    NotFound,
    Raised,
    Syntax,
    Timeout,
    TooLarge,
    Unavailable,
    Unsupported,
)
from polyport.outgoing import AsyncStream, Stream
from polyport.results import Column, Foreign, Many, Rows

__all__ = [
    "AsyncStream",
    "BadArguments",
    "BadType",
    "Busy",
    "Call",
    "Cancelled",
    "Column",
    "Conflict",
    "Denied",
    "Fault",
    "Foreign",
    "Internal",
    "LogicError",
    "LoginRefused",
    "Many",
    "NotFound",
    "Raised",
    "Rows",
    "Stream",
    "Syntax",
    "Timeout",
    "TooLarge",
    "Unavailable",
    "Unsupported",
    "acall",
    "call",
    "current",
    "function",
    "object",
    "register",
    "skip",
    "within",
]
