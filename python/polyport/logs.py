"""Records of Python's ``logging`` in the server's log."""

from __future__ import annotations

import collections
import logging
import traceback
from typing import TYPE_CHECKING, Any

from polyport import values

if TYPE_CHECKING:
    from polyport.engine import Engine

#: Records that are kept until the server has said what it wants of them.
_EARLY_RECORDS = 1000

_LEVELS = {
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": 1,
}

_FORKED = logging.StreamHandler()
_FORKED.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Handler(logging.Handler):
    """Sends records to the server; those before WELCOME when that has come."""

    def __init__(self) -> None:
        super().__init__()
        self._engine: Engine | None = None
        self._early: collections.deque[logging.LogRecord] = collections.deque(maxlen=_EARLY_RECORDS)

    def attach(self, engine: Engine, level: str) -> None:
        """Begins to send, from a level up."""
        least = _LEVELS.get(level, logging.INFO)
        root = logging.getLogger()
        if self in root.handlers:
            self.setLevel(least)
            if root.level in (logging.NOTSET, logging.WARNING):
                root.setLevel(least)
        self._engine = engine
        while self._early:
            record = self._early.popleft()
            if record.levelno >= least:
                self.emit(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Sends one record."""
        if self._engine is None:
            self._early.append(record)
            return
        if not self._engine.channel.is_open:
            # A forked process has no socket; the lines of its standard error are logged as well.
            _FORKED.handle(record)
            return
        try:
            self._engine.log(
                _level(record.levelno), record.name, _clean(record.getMessage()), _fields(record)
            )
        except Exception:
            self.handleError(record)


def _level(number: int) -> str:
    for name, least in _LEVELS.items():
        if number >= least:
            return name
    return "trace"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = {name: _field(value) for name, value in vars(record).items() if name not in _USUAL}
    if record.exc_info and record.exc_info[0] is not None:
        fields["exception"] = _clean("".join(traceback.format_exception(*record.exc_info)))
    if record.stack_info:
        fields["stack"] = _clean(record.stack_info)
    return fields


def _field(value: Any) -> Any:
    try:
        values.pack(value)
    except Exception:
        return _clean(repr(value))
    return value


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
